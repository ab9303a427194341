//! Drives a browser with the part of the WebDriver protocol (w3c.github.io/webdriver) that the tests need.

use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::{fs, process};

use serde_json::{Value, json};

/// The browser of all tests that run at the same time. The last of them drops it, as nothing drops what a static owns.
static SHARED: Mutex<Weak<Mutex<Browser>>> = Mutex::new(Weak::new());

/// A browser with one tab. It ends when this is dropped.
pub struct Browser {
    driver: Child,
    /// Its output, kept open so that it can go on writing.
    _stdout: Lines<BufReader<ChildStdout>>,
    port: u16,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// The browser that other tests use too, or `None` where chromedriver is not installed.
    pub fn shared() -> Option<Arc<Mutex<Self>>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().or_else(|| {
            let browser = Arc::new(Mutex::new(Self::start()?));
            *shared = Arc::downgrade(&browser);
            Some(browser)
        })
    }

    /// Waits until no other test uses the browser, and replaces its tab by a new one. Nothing is left of what the test
    /// before has opened, set or logged, even if it failed.
    pub fn new_tab(browser: &Mutex<Self>) -> MutexGuard<'_, Self> {
        let mut browser = browser.lock().unwrap_or_else(PoisonError::into_inner);
        let tab = browser.post("window/new", &json!({"type": "tab"}));
        browser.command("DELETE", "window", &json!({}));
        browser.post("window", &tab);
        browser.log();
        browser
    }

    fn start() -> Option<Self> {
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
            // It ends with the driver, however that ends.
            "--remote-debugging-pipe",
            &format!("--user-data-dir={}", browser.profile.display()),
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.ask("POST", "/session", &capabilities);
        let session = session.expect("a session is created");
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
        self.command("POST", command, body)
    }

    fn command(&mut self, method: &str, command: &str, body: &Value) -> Value {
        let answer = self.ask(method, &format!("{}/{command}", self.session), body);
        answer.unwrap_or_else(|error| panic!("{command} {body}: {error}"))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let body = body.to_string();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut reply = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reply.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
        }
        let mut json = vec![0; length];
        reply.read_exact(&mut json)?;
        let mut answer: Value = serde_json::from_slice(&json)?;
        match answer["value"].take() {
            error if !error["error"].is_null() => Err(io::Error::other(error.to_string())),
            value => Ok(value),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Nothing here panics: a test that has failed may be what drops it.
        let _ = self.ask("DELETE", &self.session, &json!({}));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}
