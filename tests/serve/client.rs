//! A client or a peer: a connection on which a test sends and receives lines.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::service::WAIT_MAX;

pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).expect("the service listens"))
    }

    /// Connects as soon as the service listens.
    pub fn connect_soon(address: SocketAddr) -> Self {
        let until = Instant::now() + WAIT_MAX;
        loop {
            match TcpStream::connect(address) {
                Ok(stream) => return Self::on(stream),
                Err(error) => assert!(
                    Instant::now() < until,
                    "nobody listens at {address}: {error}"
                ),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A client on a connection.
    pub fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(WAIT_MAX)).expect("not zero");
        stream.set_nodelay(true).expect("it is connected");
        Client(BufReader::new(stream))
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// Sends a line as it is.
    #[track_caller]
    pub fn send_line(&mut self, line: &str) {
        let mut stream = self.stream();
        stream
            .write_all(line.as_bytes())
            .expect("the connection is open");
        stream.write_all(b"\n").expect("the connection is open");
    }

    /// Sends a body.
    #[track_caller]
    pub fn send(&mut self, body: &Value) {
        self.send_line(&json!({"body": body}).to_string());
    }

    /// Receives a line; `None` at the end of the connection.
    #[track_caller]
    pub fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                Some(serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            }
            Err(error) => panic!("nothing is received: {error}"),
        }
    }

    /// Receives the body of a message.
    #[track_caller]
    pub fn receive_body(&mut self) -> Value {
        let mut line = self.receive().expect("the connection is open");
        line["body"].take()
    }

    /// Sends a request and receives the body of the answer.
    #[track_caller]
    pub fn ask(&mut self, body: Value) -> Value {
        self.send(&body);
        self.receive_body()
    }

    /// Asks until the answer is one that is waited for.
    #[track_caller]
    pub fn ask_until(&mut self, body: Value, is_right: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + WAIT_MAX;
        loop {
            let answer = self.ask(body.clone());
            if is_right(&answer) {
                return answer;
            }
            assert!(
                Instant::now() < until,
                "{body} is still answered by {answer}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Receives an error and the end of the connection, and returns the text of the error.
    #[track_caller]
    pub fn receive_refusal(&mut self) -> String {
        let body = self.receive_body();
        assert_eq!(
            (&body["type"], &body["code"]),
            (&json!("error"), &json!(1000)),
            "{body}"
        );
        assert_eq!(self.receive(), None);
        String::from(body["text"].as_str().expect("a text"))
    }

    pub fn shut_down_write(&self) {
        self.stream()
            .shutdown(Shutdown::Write)
            .expect("the connection is open");
    }
}
