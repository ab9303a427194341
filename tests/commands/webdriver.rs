//! Drives a browser with the part of the WebDriver protocol (w3c.github.io/webdriver) that the tests need.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, process, thread};

use serde_json::{Value, json};

/// One browser runs at a time: several on few processors would take longer than the tests wait.
static TURN: Mutex<()> = Mutex::new(());

/// A browser with one window. It ends when this is dropped.
pub struct Browser {
    driver: Child,
    /// Its output, kept open so that it can go on writing.
    _stdout: Lines<BufReader<ChildStdout>>,
    port: u16,
    session: String,
    profile: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// A browser, or `None` where chromedriver is not installed.
    pub fn start() -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // It prints its port once it listens there.
        let stdout = driver.stdout.take().expect("it is a pipe");
        let mut stdout = BufReader::new(stdout).lines();
        let port = stdout.find_map(|line| {
            let line = line.expect("it prints UTF-8");
            line.rsplit_once("successfully on port ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        });
        let port = port.expect("it listens");
        let profile = std::env::temp_dir().join(format!("eddy-browser-{}-{port}", process::id()));
        let mut browser = Browser {
            driver,
            _stdout: stdout,
            port,
            session: String::new(),
            profile,
            _turn: turn,
        };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", browser.profile.display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.ask("POST", "/session", &capabilities);
        let id = session["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("/session/{id}");
        Some(browser)
    }

    /// Sets the size of the window, in pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics});
        self.post("goog/cdp/execute", &command);
    }

    /// Opens a page.
    pub fn open(&mut self, url: &str) {
        self.post("url", &json!({"url": url}));
    }

    /// Runs a script, and returns its result.
    pub fn run(&mut self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Clicks into the middle of the first element that a CSS selector finds.
    pub fn click(&mut self, selector: &str) {
        let query = json!({"using": "css selector", "value": selector});
        let found = self.post("element", &query);
        let ids = found.as_object().expect("an element");
        let id = ids
            .values()
            .next()
            .and_then(Value::as_str)
            .expect("it has an id");
        self.post(&format!("element/{id}/click"), &json!({}));
    }

    /// Clicks at a place in the window, in pixels from its upper left corner.
    pub fn click_at(&mut self, x: i64, y: i64) {
        self.move_to(x, y);
        self.press();
    }

    /// Moves the mouse to a place in the window, in pixels from its upper left corner.
    pub fn move_to(&mut self, x: i64, y: i64) {
        self.act(&json!([{"type": "pointerMove", "duration": 0, "x": x, "y": y}]));
    }

    /// Clicks where the mouse is.
    pub fn press(&mut self) {
        self.act(&json!([
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]));
    }

    fn act(&mut self, actions: &Value) {
        let mouse = json!({"type": "pointer", "id": "mouse", "actions": actions});
        self.post("actions", &json!({"actions": [mouse]}));
    }

    /// What the browser has logged since the last call.
    pub fn log(&mut self) -> Value {
        self.post("se/log", &json!({"type": "browser"}))
    }

    fn post(&mut self, command: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}/{command}", self.session), body)
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the driver listens");
        let body = body.to_string();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .expect("the driver reads");
        let mut reply = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reply.read_line(&mut line).expect("the driver answers");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
        }
        let mut json = vec![0; length];
        reply.read_exact(&mut json).expect("a whole answer");
        let mut answer: Value = serde_json::from_slice(&json).expect("an answer is JSON");
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "{path} {body}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !thread::panicking() {
            self.ask("DELETE", &self.session, &json!({}));
        }
        // By now it may have ended by itself.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
