//! Requests to the HTTP API of Arthas.

use crate::limits::{PULL_WAIT, RESPONSE_BYTES};
use crate::options::{ArthasCredentials, ArthasOptions};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;

/// One result as Arthas sent it: the text of each member is kept.
pub(crate) type Members = BTreeMap<String, Box<RawValue>>;

/// A client for one Arthas. Clones share their settings.
#[derive(Clone, Debug)]
pub(crate) struct ArthasClient {
    agent: Agent,
    url: Arc<str>,
    credentials: Option<ArthasCredentials>,
    timeout: Duration,
}

/// Why Arthas gave no usable response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArthasError {
    #[error("Arthas can't be reached: {0}")]
    Unreachable(String),
    #[error("Arthas did not answer in time")]
    Silent,
    #[error("Arthas refuses the user or the password of this service")]
    Unauthorized,
    #[error("what answers is not Arthas' HTTP API: {0}")]
    NotArthas(String),
}

/// A response of Arthas.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Response {
    pub(crate) state: String,
    pub(crate) message: String,
    pub(crate) session_id: String,
    pub(crate) consumer_id: String,
    pub(crate) body: Body,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Body {
    pub(crate) job_id: u64,
    pub(crate) results: Vec<Members>,
}

impl Response {
    pub(crate) fn succeeded(&self) -> bool {
        self.state == "SUCCEEDED" || self.state == "SCHEDULED"
    }

    /// Whether Arthas does not know the session or the consumer of the request (any more).
    pub(crate) fn is_unknown_session(&self) -> bool {
        let message = &self.message;
        message.starts_with("session not found") || message.starts_with("consumer not found")
    }
}

impl ArthasClient {
    pub(crate) fn new(options: &ArthasOptions) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .timeout_connect(Some(options.timeout))
            .user_agent(concat!("rejoin/", env!("CARGO_PKG_VERSION")))
            .build();
        Self {
            agent: agent.into(),
            url: format!("{}/api", options.url.trim_end_matches('/')).into(),
            credentials: options.credentials.clone(),
            timeout: options.timeout,
        }
    }

    /// Makes a session and its consumer: the response has the identities of both.
    pub(crate) async fn init_session(&self) -> Result<Response, ArthasError> {
        let response = self.send(json!({"action": "init_session"})).await?;
        let has_ids = !response.session_id.is_empty() && !response.consumer_id.is_empty();
        match response.succeeded() && has_ids {
            true => Ok(response),
            false if response.message.is_empty() => {
                Err(ArthasError::NotArthas("it made no session".into()))
            }
            false => Err(ArthasError::NotArthas(response.message)),
        }
    }

    /// Runs a command outside of every session, and waits for its results.
    pub(crate) async fn exec(&self, command: &str) -> Result<Response, ArthasError> {
        self.send(json!({"action": "exec", "command": command}))
            .await
    }

    /// Starts a command in a session. Its results come by [`pull`](Self::pull).
    pub(crate) async fn start(
        &self,
        session: &str,
        command: &str,
    ) -> Result<Response, ArthasError> {
        let request = json!({"action": "async_exec", "command": command, "sessionId": session});
        self.send(request).await
    }

    /// The results since the last pull. Arthas waits up to [`PULL_WAIT`] for the first.
    pub(crate) async fn pull(
        &self,
        session: &str,
        consumer: &str,
    ) -> Result<Response, ArthasError> {
        let request =
            json!({"action": "pull_results", "consumerId": consumer, "sessionId": session});
        self.send_within(request, PULL_WAIT + self.timeout).await
    }

    /// Interrupts the command that runs in a session.
    pub(crate) async fn interrupt(&self, session: &str) -> Result<Response, ArthasError> {
        let request = json!({"action": "interrupt_job", "sessionId": session});
        self.send(request).await
    }

    /// Asks whether a session is open.
    pub(crate) async fn info(&self, session: &str) -> Result<Response, ArthasError> {
        let request = json!({"action": "session_info", "sessionId": session});
        self.send(request).await
    }

    /// Closes a session and ends its command.
    pub(crate) async fn close(&self, session: &str) -> Result<Response, ArthasError> {
        let request = json!({"action": "close_session", "sessionId": session});
        self.send(request).await
    }

    async fn send(&self, request: Value) -> Result<Response, ArthasError> {
        self.send_within(request, self.timeout).await
    }

    async fn send_within(
        &self,
        request: Value,
        timeout: Duration,
    ) -> Result<Response, ArthasError> {
        let client = self.clone();
        blocking::unblock(move || client.send_blocking(&request, timeout)).await
    }

    fn send_blocking(&self, body: &Value, timeout: Duration) -> Result<Response, ArthasError> {
        let mut request = self
            .agent
            .post(&*self.url)
            .header("content-type", "application/json")
            .config()
            .timeout_global(Some(timeout))
            .build();
        if let Some(credentials) = &self.credentials {
            request = request.header("authorization", basic(credentials));
        }
        let answer = request.send(body.to_string());
        let mut answer = answer.map_err(|error| failed(&error))?;
        match answer.status().as_u16() {
            200 => {}
            401 | 403 => return Err(ArthasError::Unauthorized),
            status => return Err(ArthasError::NotArthas(format!("HTTP status {status}"))),
        }
        let body = answer.body_mut().with_config().limit(RESPONSE_BYTES);
        let text = body.read_to_string().map_err(|error| failed(&error))?;
        let response: Response = serde_json::from_str(&text)
            .map_err(|_| ArthasError::NotArthas("the response is not its JSON".into()))?;
        match response.state.is_empty() {
            true => Err(ArthasError::NotArthas("the response has no state".into())),
            false => Ok(response),
        }
    }
}

fn basic(ArthasCredentials { user, password }: &ArthasCredentials) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    )
}

fn failed(error: &ureq::Error) -> ArthasError {
    match error {
        ureq::Error::Timeout(_) => ArthasError::Silent,
        ureq::Error::BodyExceedsLimit(limit) => {
            ArthasError::NotArthas(format!("a response of more than {limit} bytes"))
        }
        error => ArthasError::Unreachable(error.to_string()),
    }
}
