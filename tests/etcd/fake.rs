//! Fake members of a cluster, whose responses a test defines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// The header of every response of etcd's.
pub const HEADER: &str = r#""header":{"cluster_id":"1","member_id":"2","revision":"3"}"#;

/// Starts a member that opens sessions as etcd does, and returns its address. For all other requests, `respond` returns the
/// bytes of the response from the path and the body of the request. Each connection serves one request.
pub fn member(respond: impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static) -> String {
    member_from_the_start(move |path, body| match path {
        "/v3/lease/grant" => ok(&format!(r#"{{{HEADER},"ID":"7","TTL":"60"}}"#)),
        "/v3/kv/range" if body == OPENING => ok(&format!("{{{HEADER}}}")),
        "/v3/lease/revoke" => ok(&format!("{{{HEADER}}}")),
        _ => respond(path, body),
    })
}

/// The body of the range with which a session opens.
const OPENING: &str = r#"{"key":"AA=="}"#;

/// Like [`member`], but `respond` serves all requests.
pub fn member_from_the_start(
    respond: impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let respond = Arc::new(respond);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, respond) = (stream.expect("a connection"), Arc::clone(&respond));
            thread::spawn(move || serve(stream, &*respond));
        }
    });
    format!("http://{address}")
}

/// A response that reports success.
pub fn ok(body: &str) -> Vec<u8> {
    response("200 OK", body)
}

/// A response with the given status.
pub fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}");
    format!("{head}\r\n\r\n{body}").into_bytes()
}

fn serve(stream: TcpStream, respond: &dyn Fn(&str, &str) -> Vec<u8>) {
    let mut reader = BufReader::new(stream);
    if let Some((path, body)) = request(&mut reader) {
        // This fails if the client has closed the connection.
        let _ = reader.get_mut().write_all(&respond(&path, &body));
    }
}

/// The path and the body of the next request.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut lines = reader.by_ref().lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1).expect("POST, path and version");
    let mut length = 0;
    for line in lines {
        let line = line.ok()?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("JSON");
    Some((String::from(path), body))
}
