//! Requests to Rejoin's own API, and their errors.
//!
//! Invariant: a request is sent once, and credentials never follow a redirect.

use super::limits::{ANSWER, ANSWER_BYTES, CONNECT, SHORTEST_ANSWER, SILENCE, UNUSED};
use super::server_config::ServerConfig;
use super::{ClientError, unix};
use crate::args::ServerArgs;
use crate::trust;
use rejoin_engine::{Runtime, SmolRuntime};
use serde::Deserialize;
use serde_json::Value;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::request::Builder;
use ureq::http::{Request, Response, StatusCode};
use ureq::tls::TlsConfig;
use ureq::{Agent, AsSendBody, Body, BodyReader, Timeout};

/// A client for one server. Clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    agent: Agent,
    server: Arc<ServerConfig>,
    /// When all requests have to be over, on the machine's stopwatch.
    until: Option<Duration>,
}

/// How long a stream may take, of which [`SILENCE`] is the most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamTimes {
    /// To begin.
    pub(crate) answer: Duration,
    /// Without anything that comes.
    pub(crate) silence: Duration,
}

/// The fields of an error response that are used here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
    retryable: bool,
}

impl Api {
    pub(crate) fn new(args: &ServerArgs) -> Result<Self, ClientError> {
        Self::with_silence(args, SILENCE)
    }

    /// A client for a command that is followed, and for which the server may be away so long.
    pub(crate) fn following(args: &ServerArgs, patience: Duration) -> Result<Self, ClientError> {
        Self::with_silence(args, patience.clamp(ANSWER, SILENCE))
    }

    /// A client that waits so long for an answer.
    pub(crate) fn with_silence(args: &ServerArgs, silence: Duration) -> Result<Self, ClientError> {
        let server = ServerConfig::load(args)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_age(UNUSED)
            .timeout_connect(Some(silence.min(CONNECT)))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .timeout_per_write(Some(silence))
            .user_agent(concat!("rejoin/", env!("CARGO_PKG_VERSION")));
        if server.is_local {
            // A proxy cannot reach this machine's loopback address.
            config = config.proxy(None);
        }
        if server.is_https {
            config = config.tls_config(tls(&server)?);
        }
        let agent = match &server.socket {
            Some(path) => unix::agent(config.build(), path),
            None => config.build().into(),
        };
        Ok(Self {
            agent,
            server: Arc::new(server),
            until: None,
        })
    }

    /// A client whose requests, but for streams and downloads, are over after `most`, together and whatever
    /// the server does.
    pub(crate) fn within(&self, most: Duration) -> Self {
        Self {
            until: Some(SmolRuntime.elapsed().saturating_add(most)),
            ..self.clone()
        }
    }

    fn sent<B: AsSendBody>(&self, request: Request<B>) -> Result<Response<Body>, ureq::Error> {
        let Some(until) = self.until else {
            return self.agent.run(request);
        };
        let left = until.saturating_sub(SmolRuntime.elapsed());
        let request = self.agent.configure_request(request);
        let request = request.timeout_global(Some(left.max(SHORTEST_ANSWER)));
        self.agent.run(request.build())
    }

    /// The server's address, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// Whether only this machine can reach the server by its address.
    pub(crate) fn is_local(&self) -> bool {
        self.server.is_local
    }

    /// Whether it asks by a link, which shows one session and changes nothing.
    pub(crate) fn is_by_link(&self) -> bool {
        self.server.is_by_link()
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, ClientError> {
        let request = self.built(self.request("GET", path).body(()))?;
        self.answer(self.sent(request))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, ClientError> {
        let request = self.built(self.request("DELETE", path).body(()))?;
        self.changed(self.sent(request))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.post_bytes(path, "application/json", body.to_string().as_bytes())
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self.request("PUT", path);
        let request = request.header("content-type", "application/json");
        let body = body.to_string();
        let request = self.built(request.body(body.as_bytes()))?;
        self.changed(self.sent(request))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        let request = self.request("PATCH", path);
        let request = request.header("content-type", "application/json");
        let request = self.built(request.body(body.to_string()))?;
        self.changed(self.sent(request))
    }

    pub(crate) fn post_bytes(
        &self,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> Result<Value, ClientError> {
        let request = self.request("POST", path).header("content-type", kind);
        let request = self.built(request.body(body))?;
        self.changed(self.sent(request))
    }

    /// Sends a message of the Model Context Protocol. Returns the answer, whatever its status; an
    /// empty one is null.
    pub(crate) fn post_message(
        &self,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Result<Value, ClientError> {
        let mut request = self.request("POST", "/mcp");
        request = request.header("content-type", "application/json");
        request = request.header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = self.built(request.body(body))?;
        let answer = self.sent(request).map_err(|error| self.failed(error))?;
        let status = answer.status();
        let body = answer.into_body().into_with_config().limit(ANSWER_BYTES);
        let body = body.read_to_vec().map_err(|error| self.failed(error))?;
        match serde_json::from_slice(&body) {
            Ok(answer) => Ok(answer),
            Err(_) if body.is_empty() && status.is_success() => Ok(Value::Null),
            // From a proxy, while the server is down.
            Err(_) if matches!(status.as_u16(), 502..=504) => Err(ClientError::Unreachable(
                self.server.url.clone(),
                status.to_string(),
            )),
            Err(_) => Err(self.not_rejoin(&status.to_string())),
        }
    }

    /// The event stream of a session after a sequence. None: the session has no more events.
    pub(crate) fn stream(
        &self,
        session: &str,
        after: &str,
        times: StreamTimes,
    ) -> Result<Option<BodyReader<'static>>, ClientError> {
        let path = format!("/sessions/{session}/stream");
        let request = self
            .request("GET", &path)
            .header("accept", "text/event-stream")
            .header("last-event-id", after);
        let request = self.built(request.body(()))?;
        let request = self.agent.configure_request(request);
        let request = request
            .timeout_connect(Some(times.answer.min(CONNECT)))
            .timeout_recv_response(Some(times.answer.min(SILENCE)))
            .timeout_per_read(Some(times.silence.min(SILENCE)));
        let answer = self.agent.run(request.build());
        let answer = answer.map_err(|it| self.failed(it))?;
        match answer.status().as_u16() {
            204 => Ok(None),
            200 => Ok(Some(
                answer
                    .into_body()
                    .into_with_config()
                    .limit(u64::MAX)
                    .reader(),
            )),
            _ => Err(self.answer(Ok(answer)).map_or_else(
                |refused| refused,
                |_| self.not_rejoin("an unusable response"),
            )),
        }
    }

    /// The body of a response, which may be long.
    pub(crate) fn download(&self, path: &str) -> Result<BodyReader<'static>, ClientError> {
        let request = self.built(self.request("GET", path).body(()))?;
        let answer = self.sent(request).map_err(|it| self.failed(it))?;
        if answer.status().as_u16() == 200 {
            let body = answer.into_body().into_with_config();
            return Ok(body.limit(u64::MAX).reader());
        }
        Err(self.answer(Ok(answer)).map_or_else(
            |refused| refused,
            |_| self.not_rejoin("an unusable response"),
        ))
    }

    fn request(&self, method: &str, path: &str) -> Builder {
        let url = format!("{}{path}", self.server.base());
        let request = Request::builder().method(method).uri(url);
        match &self.server.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    fn built<B>(
        &self,
        request: Result<Request<B>, ureq::http::Error>,
    ) -> Result<Request<B>, ClientError> {
        request.map_err(|error| self.failed(error.into()))
    }

    fn answer(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, ClientError> {
        let answer = answer.map_err(|error| self.failed(error))?;
        let status = answer.status();
        let body = answer.into_body().into_with_config().limit(ANSWER_BYTES);
        let body = body.read_to_vec().map_err(|error| self.failed(error))?;
        if status.is_success() {
            return match body.is_empty() {
                true => Ok(Value::Null),
                false => serde_json::from_slice(&body)
                    .map_err(|_| self.not_rejoin("a response that is not JSON")),
            };
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        if status == StatusCode::UNAUTHORIZED && problem.code != "link_ended" {
            return Err(match self.server.authorization {
                Some(_) => ClientError::WrongLogin,
                None => ClientError::LoginRequired,
            });
        }
        if problem.code.is_empty() {
            return Err(match status.as_u16() {
                // From a proxy, while the server is down.
                502..=504 => ClientError::Unreachable(self.server.url.clone(), status.to_string()),
                // A server with TLS answers so to unencrypted requests; ours are well formed.
                400 if !self.server.is_https => {
                    ClientError::Scheme(self.server.url.clone(), "https")
                }
                _ => self.not_rejoin(&status.to_string()),
            });
        }
        Err(ClientError::Refused {
            status: status.as_u16(),
            code: problem.code,
            detail: problem.detail,
            is_retryable: problem.retryable,
        })
    }

    /// The answer to a request that changes something. Where the connection broke after it may have been
    /// sent, it is unknown whether that was done.
    fn changed(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Value, ClientError> {
        let is_sent = answer.as_ref().err().is_none_or(may_be_sent);
        self.answer(answer).map_err(|error| match error {
            ClientError::Unreachable(url, why) if is_sent => ClientError::Unanswered(url, why),
            error => error,
        })
    }

    fn not_rejoin(&self, what: &str) -> ClientError {
        ClientError::NotRejoin(self.server.url.clone(), what.to_owned())
    }

    fn failed(&self, error: ureq::Error) -> ClientError {
        let url = self.server.url.clone();
        match error {
            ureq::Error::Io(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    || (self.server.socket.is_some()
                        && error.kind() == io::ErrorKind::NotFound) =>
            {
                ClientError::NoServer(url)
            }
            ureq::Error::HostNotFound => ClientError::NoSuchHost(url),
            ureq::Error::Io(error) => match tls_error(&error) {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    ClientError::Untrusted(url, error.to_string())
                }
                Some(rustls::Error::InvalidMessage(_)) => ClientError::Scheme(url, "http"),
                _ => ClientError::Unreachable(url, error.to_string()),
            },
            error => ClientError::Unreachable(url, error.to_string()),
        }
    }
}

/// Whether a request may have reached the server that failed with this error.
fn may_be_sent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed => false,
        ureq::Error::Io(error) => !matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused
                | io::ErrorKind::NotFound
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
        ),
        _ => true,
    }
}

/// The TLS error that broke a connection, if any.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Trusts the certificates in the file, or else the system's.
fn tls(server: &ServerConfig) -> Result<TlsConfig, ClientError> {
    let read = |file: &PathBuf| {
        let pem = std::fs::read(file).map_err(|error| error.to_string());
        pem.and_then(|pem| trust::certificates(&pem))
            .map_err(|why| ClientError::Settings(format!("{}: {why}", file.display())))
    };
    let trusted = server.cacert.as_ref().map(read).transpose()?;
    Ok(trust::tls(trusted))
}
