//! Nodes that a test serves by itself, with a thread for each connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use serde_json::{Value, json};

/// What a node does when it has received a request.
pub enum Action {
    /// Replies with this body.
    Reply(Value),
    /// Sends this line.
    Line(&'static [u8]),
    /// Does nothing.
    Ignore,
    /// Closes the connection.
    Close,
}

use Action::{Close, Ignore, Line, Reply};

/// What nodes do: called with the index of the node and the body of a request, `authenticate` included.
pub trait Behaviour: Fn(usize, &Value) -> Action + Send + Sync + 'static {}

impl<F: Fn(usize, &Value) -> Action + Send + Sync + 'static> Behaviour for F {}

/// Serves nodes on loopback, and returns their addresses.
pub fn serve(node_count: usize, behaviour: impl Behaviour) -> Vec<String> {
    let behaviour: Arc<dyn Behaviour> = Arc::new(behaviour);
    let nodes = 0..node_count;
    let listener = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners: Vec<TcpListener> = nodes.map(listener).collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
    let addresses = listeners.iter().map(address).collect();
    for (node, listener) in listeners.into_iter().enumerate() {
        let behaviour = Arc::clone(&behaviour);
        thread::spawn(move || accept(node, &listener, &behaviour));
    }
    addresses
}

fn accept(node: usize, listener: &TcpListener, behaviour: &Arc<dyn Behaviour>) {
    for stream in listener.incoming() {
        let behaviour = Arc::clone(behaviour);
        let stream = stream.expect("a connection");
        // It ends with an error if eddy closes the connection first.
        thread::spawn(move || converse(node, &stream, &*behaviour));
    }
}

/// Answers the lines of one connection.
pub fn converse(
    node: usize,
    mut stream: &TcpStream,
    behaviour: &dyn Behaviour,
) -> std::io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let message: Value = serde_json::from_str(&line?).expect("clients send JSON");
        let request = &message["body"];
        match behaviour(node, request) {
            Ignore => {}
            Close => return stream.shutdown(std::net::Shutdown::Both),
            Line(line) => stream.write_all(&[line, b"\n"].concat())?,
            Reply(mut body) => {
                body["in_reply_to"] = request["msg_id"].clone();
                let line = json!({"src": format!("n{node}"), "dest": "c1", "body": body});
                stream.write_all(format!("{line}\n").as_bytes())?;
            }
        }
    }
    Ok(())
}

/// The answer that lets a client in.
pub fn let_in() -> Action {
    Reply(json!({"type": "authenticate_ok"}))
}

/// An error without a code of the protocol's.
pub fn refuse(text: &str) -> Action {
    Reply(json!({"type": "error", "code": 1000, "text": text}))
}

/// Nodes without a token that do this with all other requests.
pub fn open(behaviour: impl Behaviour) -> impl Behaviour {
    move |node, request: &Value| match request["type"] == "authenticate" {
        true => let_in(),
        false => behaviour(node, request),
    }
}

/// Nodes that send back what they are sent.
pub fn echo() -> impl Behaviour {
    open(|_, request| Reply(json!({"type": "echo_ok", "echo": request["echo"]})))
}

/// Nodes that count together. Each request passes `wrong` before it is served, with the number of requests before.
pub fn counter(
    wrong: impl Fn(i64, &Value) -> Option<Action> + Send + Sync + 'static,
) -> impl Behaviour {
    let (total, asked) = (AtomicI64::new(0), AtomicI64::new(0));
    open(move |_, request| {
        if let Some(action) = wrong(asked.fetch_add(1, Ordering::SeqCst), request) {
            return action;
        }
        match request["type"].as_str() {
            Some("add") => {
                let delta = request["delta"].as_i64().expect("a whole number");
                total.fetch_add(delta, Ordering::SeqCst);
                Reply(json!({"type": "add_ok"}))
            }
            _ => Reply(json!({"type": "read_ok", "value": total.load(Ordering::SeqCst)})),
        }
    })
}
