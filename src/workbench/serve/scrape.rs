//! A request for metrics: the little of HTTP that Prometheus needs.

use std::time::Duration;

use super::limits::SCRAPE_LINES_MAX;
use crate::workbench::token::Token;

/// A request that is being read.
pub(super) struct Scrape {
    pub since: Duration,
    /// The status of the response, once the first line has been read.
    status: Option<&'static str>,
    line_count: usize,
    is_authorized: bool,
}

/// The status of a response with the metrics.
const OK: &str = "200 OK";

/// The status of the response to what is not HTTP.
pub(super) const BAD_REQUEST: &str = "400 Bad Request";

impl Scrape {
    pub(super) fn new(since: Duration) -> Self {
        Scrape {
            since,
            status: None,
            line_count: 0,
            is_authorized: false,
        }
    }

    /// Takes a line of the request, and returns the status of the response once that is clear.
    pub(super) fn take_line(&mut self, line: &str, token: Option<&Token>) -> Option<&'static str> {
        let line = line.trim_end_matches('\r');
        self.line_count += 1;
        let Some(status) = self.status else {
            let status = status_of(line);
            self.status = Some(status);
            return (status == BAD_REQUEST).then_some(status);
        };
        if self.line_count > SCRAPE_LINES_MAX {
            return Some(BAD_REQUEST);
        }
        if let (Some(token), Some(given)) = (token, bearer(line)) {
            self.is_authorized |= token.is(given);
        }
        let is_permitted = token.is_none() || self.is_authorized;
        line.is_empty().then_some(match is_permitted {
            true => status,
            false => "401 Unauthorized",
        })
    }
}

/// The status of the response to a request with this first line.
fn status_of(line: &str) -> &'static str {
    let mut words = line.split(' ');
    let words = [words.next(), words.next(), words.next(), words.next()];
    match words {
        [Some(method), Some(path), Some(version), None] if version.starts_with("HTTP/1.") => {
            match (method, path) {
                ("GET", "/metrics") => OK,
                ("GET", _) => "404 Not Found",
                _ => "405 Method Not Allowed",
            }
        }
        _ => BAD_REQUEST,
    }
}

/// The token in a header line.
fn bearer(line: &str) -> Option<&str> {
    let (name, value) = line.split_once(':')?;
    let is_authorization = name.eq_ignore_ascii_case("authorization");
    let value = value.trim_start();
    let scheme = value.get(.."bearer ".len()).filter(|_| is_authorization)?;
    scheme
        .eq_ignore_ascii_case("bearer ")
        .then(|| value["bearer ".len()..].trim())
}

/// The response with this status. `metrics` makes the text of the metrics.
pub(super) fn response(status: &str, metrics: impl FnOnce() -> String) -> String {
    let (kind, text) = match status {
        OK => (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            metrics(),
        ),
        _ => (
            "text/plain; charset=utf-8",
            format!("{status}. Metrics are at /metrics\n"),
        ),
    };
    let length = text.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}
