//! Sends requests to a member of etcd: HTTP to the JSON gateway of its version 3 API.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use ureq::http::Uri;

use super::IN_FLIGHT_MAX;

/// The maximum time to connect to a member, and the maximum time to wait for its response. It is as long as a client of
/// the node waits for a reply.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum length of a response. Etcd accepts requests up to 1.5 MiB, and base64 adds a third to a value.
const RESPONSE_BYTES_MAX: u64 = 4 << 20;

/// The size of each of the two buffers of a connection. It is small because there may be hundreds of connections, and most
/// messages have a few hundred bytes.
const BUFFER_BYTES: usize = 8 << 10;

pub(super) const RANGE: &str = "/v3/kv/range";
pub(super) const PUT: &str = "/v3/kv/put";
pub(super) const TXN: &str = "/v3/kv/txn";
pub(super) const GRANT: &str = "/v3/lease/grant";
pub(super) const REVOKE: &str = "/v3/lease/revoke";

/// The address of a member, such as `http://127.0.0.1:2379`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberUrl(String);

impl FromStr for MemberUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('/');
        let is_right = |uri: Uri| {
            uri.scheme_str() == Some("http")
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.path() == "/"
                && uri.query().is_none()
        };
        match text.parse().is_ok_and(is_right) {
            true => Ok(MemberUrl(String::from(text))),
            false => Err(format!(
                "{text:?} is not the address of a member of etcd, such as http://127.0.0.1:2379. TLS is not supported"
            )),
        }
    }
}

/// The reason why a request to a member failed. The request may nevertheless have taken effect.
#[derive(Debug, Error)]
#[error("etcd at {}: {why}", url.0)]
pub struct GatewayError {
    url: MemberUrl,
    why: Why,
}

#[derive(Debug, Error)]
pub(super) enum Why {
    /// There is no complete response.
    #[error(transparent)]
    Http(#[from] ureq::Error),
    #[error("HTTP status {0}: {1}")]
    Status(u16, String),
    #[error("the response is not one of etcd's version 3 API: {0}")]
    Response(#[from] serde_json::Error),
    #[error("this member belongs to another cluster than {}", .0.0)]
    OtherCluster(MemberUrl),
}

/// The response to any request.
#[derive(Deserialize)]
pub(super) struct Response<T> {
    pub header: Header,
    #[serde(flatten)]
    pub content: T,
}

/// The header, which etcd puts into every response: a response without it is not etcd's.
#[derive(Deserialize)]
pub(super) struct Header {
    pub cluster_id: String,
}

/// The body of a response whose status is not 200.
#[derive(Deserialize)]
struct Failure {
    message: String,
}

/// A member. Its connections stay open from one request to the next.
pub(super) struct Member {
    url: MemberUrl,
    agent: ureq::Agent,
}

impl Member {
    pub(super) fn new(url: MemberUrl) -> Self {
        let config = ureq::Agent::config_builder()
            // Requests go to the member itself, and none is sent twice.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .no_delay(true)
            // There is no timeout for the whole request, because ureq would start a thread for each request.
            .timeout_connect(Some(RESPONSE_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_recv_body(Some(RESPONSE_TIMEOUT))
            .max_idle_connections(IN_FLIGHT_MAX)
            .max_idle_connections_per_host(IN_FLIGHT_MAX)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES)
            .build();
        Member {
            url,
            agent: config.into(),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url.0
    }

    /// Sends one request, once, and reads the response.
    ///
    /// # Errors
    ///
    /// When there is no response, or one that is not etcd's or does not report success.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        json: &Value,
    ) -> Result<Response<T>, GatewayError> {
        self.try_ask(path, json).map_err(|why| self.error(why))
    }

    fn try_ask<T: DeserializeOwned>(&self, path: &str, json: &Value) -> Result<Response<T>, Why> {
        let url = format!("{}{path}", self.url.0);
        let request = self.agent.post(url).content_type("application/json");
        let mut response = request.send(json.to_string())?;
        let body = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX);
        let body = body.read_to_vec()?;
        match response.status().as_u16() {
            200 => Ok(serde_json::from_slice(&body)?),
            status => {
                let failure = serde_json::from_slice(&body);
                let message = failure.map_or_else(
                    |_| String::from_utf8_lossy(&body).into_owned(),
                    |Failure { message }| message,
                );
                Err(Why::Status(status, message))
            }
        }
    }

    pub(super) fn error(&self, why: Why) -> GatewayError {
        let url = self.url.clone();
        GatewayError { url, why }
    }
}
