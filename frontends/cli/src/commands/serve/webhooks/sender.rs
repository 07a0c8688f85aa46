//! Sends one signed request, as Standard Webhooks describes it: `webhook-id`, `webhook-timestamp` and
//! `webhook-signature`.
//!
//! Invariant: no redirect is followed and no proxy is used, so that what was looked at is what is asked.

use super::addresses::PublicResolver;
use super::message::Message;
use crate::settings::Webhook;
use crate::trust;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rejoin_engine::{Runtime, SmolRuntime};
use sha2::Sha256;
use std::sync::Arc;
use ureq::Agent;
use ureq::unversioned::transport::DefaultConnector;

/// Bytes of an answer that are read; what it says does not matter.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Sends messages to one webhook.
#[derive(Clone)]
pub(super) struct Sender {
    agent: Agent,
    url: Arc<str>,
    key: Arc<[u8]>,
}

impl Sender {
    /// # Errors
    ///
    /// When the certificates to trust can't be read.
    pub(super) fn new(webhook: &Webhook) -> Result<Self, String> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .proxy(None)
            .timeout_global(Some(webhook.timeout))
            .user_agent(concat!("rejoin/", env!("CARGO_PKG_VERSION")));
        if webhook.url.starts_with("https:") {
            let trusted = webhook.cacert.as_deref().map(trust::certificates);
            let trusted = trusted
                .transpose()
                .map_err(|why| format!("`cacert` {why}"))?;
            config = config.tls_config(trust::tls(trusted));
        }
        let resolver = PublicResolver::new(webhook.allows_private);
        Ok(Self {
            agent: Agent::with_parts(config.build(), DefaultConnector::default(), resolver),
            url: webhook.url.as_str().into(),
            key: webhook.key.as_slice().into(),
        })
    }

    /// Sends a message; why it did not arrive, if it did not. The reason never has the URL, in which
    /// there may be a secret.
    pub(super) async fn send(&self, message: &Message, body: String) -> Result<(), String> {
        let (sender, id) = (self.clone(), message.id.clone());
        smol::unblock(move || sender.send_blocking(&id, &body)).await
    }

    fn send_blocking(&self, id: &str, body: &str) -> Result<(), String> {
        let timestamp = SmolRuntime.now().as_millis() / 1_000;
        let signature = signature(&self.key, id, timestamp, body);
        let request = self
            .agent
            .post(&*self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature);
        let answer = request.send(body);
        let mut answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        // So that the connection ends in order.
        let _ = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES)
            .read_to_vec();
        match status.is_success() {
            true => Ok(()),
            false => Err(format!("it answered {}", status.as_u16())),
        }
    }
}

/// The signature of a request, `v1,` and the code of its ID, time and body in Base64.
fn signature(key: &[u8], id: &str, timestamp: u64, body: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        // The example of the specification's libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signature(
            &key,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
