//! Requests to Rejoin's own API, and what can go wrong with them.
//!
//! What enters: a method, a path and a body. What leaves: JSON, or a stream of bytes. Never: a
//! request is made twice here, or its credentials follow a redirect.

use super::ClientError;
use super::limits::{ANSWER_BYTES, CONNECT, SILENCE, UNUSED};
use super::server_config::Target;
use crate::args::ServerArgs;
use serde::Deserialize;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use ureq::http::request::Builder;
use ureq::http::{Request, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, BodyReader};

/// A server that can be asked. Copies share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    agent: Agent,
    target: Arc<Target>,
}

/// What a refusal says, as far as it is used here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    code: String,
    detail: String,
    retryable: bool,
}

impl Api {
    pub(crate) fn find(args: &ServerArgs) -> Result<Self, ClientError> {
        let target = Target::find(args)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_age(UNUSED)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE))
            .user_agent(concat!("rejoin/", env!("CARGO_PKG_VERSION")));
        if target.is_local {
            // A proxy is for the way to other machines.
            config = config.proxy(None);
        }
        if target.is_https {
            config = config.tls_config(tls(&target)?);
        }
        Ok(Self {
            agent: config.build().into(),
            target: Arc::new(target),
        })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, ClientError> {
        let request = self.made(self.request("GET", path).body(()))?;
        self.answer(self.agent.run(request))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, ClientError> {
        let request = self.made(self.request("DELETE", path).body(()))?;
        self.answer(self.agent.run(request))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.post_bytes(path, "application/json", body.to_string().as_bytes())
    }

    pub(crate) fn post_bytes(
        &self,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> Result<Value, ClientError> {
        let request = self.request("POST", path).header("content-type", kind);
        let request = self.made(request.body(body))?;
        self.answer(self.agent.run(request))
    }

    /// The events of a session after a sequence, as the server sends them. None: there will be no
    /// more.
    pub(crate) fn stream(
        &self,
        session: &str,
        after: u64,
    ) -> Result<Option<BodyReader<'static>>, ClientError> {
        let path = format!("/sessions/{session}/stream");
        let request = self
            .request("GET", &path)
            .header("accept", "text/event-stream")
            .header("last-event-id", after.to_string());
        let request = self.made(request.body(()))?;
        let answer = self.agent.run(request).map_err(|it| self.failed(it))?;
        match answer.status().as_u16() {
            204 => Ok(None),
            200 => Ok(Some(
                answer
                    .into_body()
                    .into_with_config()
                    .limit(u64::MAX)
                    .reader(),
            )),
            _ => Err(self
                .answer(Ok(answer))
                .map_or_else(|refused| refused, |_| self.stranger("an answer of no use"))),
        }
    }

    fn request(&self, method: &str, path: &str) -> Builder {
        let url = format!("{}{path}", self.target.url);
        let request = Request::builder().method(method).uri(url);
        match &self.target.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    fn made<B>(
        &self,
        request: Result<Request<B>, ureq::http::Error>,
    ) -> Result<Request<B>, ClientError> {
        request.map_err(|error| self.failed(error.into()))
    }

    fn answer(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, ClientError> {
        let answer = answer.map_err(|error| self.failed(error))?;
        let status = answer.status();
        let body = answer.into_body().into_with_config().limit(ANSWER_BYTES);
        let body = body.read_to_vec().map_err(|error| self.failed(error))?;
        if status.is_success() {
            return match body.is_empty() {
                true => Ok(Value::Null),
                false => serde_json::from_slice(&body)
                    .map_err(|_| self.stranger("an answer that is no JSON")),
            };
        }
        if status == StatusCode::UNAUTHORIZED {
            return Err(match self.target.authorization {
                Some(_) => ClientError::NotLetIn,
                None => ClientError::Nobody,
            });
        }
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
        if problem.code.is_empty() {
            return Err(match status.as_u16() {
                // Said by something on the way, while the server is away.
                502..=504 => ClientError::Unreachable(self.target.url.clone(), status.to_string()),
                // What an encrypted address says; no request of ours is as bad.
                400 if !self.target.is_https => {
                    ClientError::Scheme(self.target.url.clone(), "https")
                }
                _ => self.stranger(&status.to_string()),
            });
        }
        Err(ClientError::Refused {
            status: status.as_u16(),
            code: problem.code,
            detail: problem.detail,
            is_retryable: problem.retryable,
        })
    }

    fn stranger(&self, what: &str) -> ClientError {
        ClientError::Stranger(self.target.url.clone(), what.to_owned())
    }

    fn failed(&self, error: ureq::Error) -> ClientError {
        let url = self.target.url.clone();
        match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                ClientError::NobodyThere(url)
            }
            ureq::Error::HostNotFound => ClientError::NoSuchHost(url),
            ureq::Error::Io(error) => match encryption(&error) {
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

/// What was wrong with the encryption of a connection, if that is what broke it.
fn encryption(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Trusts what the file says, or else what the system trusts.
fn tls(target: &Target) -> Result<TlsConfig, ClientError> {
    let trusted: Vec<Certificate<'static>> = match &target.cacert {
        Some(file) => {
            let shown = file.display();
            let unusable = |why: String| ClientError::Settings(format!("{shown}: {why}"));
            let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
            let mut found = vec![];
            for part in parse_pem(&pem) {
                if let PemItem::Certificate(it) = part.map_err(|it| unusable(it.to_string()))? {
                    found.push(it);
                }
            }
            if found.is_empty() {
                return Err(unusable("there is no certificate in it".to_owned()));
            }
            found
        }
        None => rustls_native_certs::load_native_certs()
            .certs
            .iter()
            .map(|it| Certificate::from_der(it).to_owned())
            .collect(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(trusted))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}
