//! Decodes the JSON events of Rejoin's own API into records, so that `rejoin_replay::View` can show them.
//!
//! What the API leaves out (a consumer's token, for example) is empty in the record. Unknown events
//! of newer servers are skipped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rejoin_core::{
    Actor, CloseCause, ConsumerId, Controller, Description, Event, InterruptCause, JobId, JobMode,
    JobOutput, JobSlot, LeaveCause, LinkChange, LossCause, NodeTerm, Outcome, Record, Redaction,
    Sequence, Server, SessionId, SessionNumber, TerminalSize, Timestamp, Visibility,
};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An event of any type: the fields that its type doesn't have are empty.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionEvent<'a> {
    pub(crate) sequence: u64,
    at: u64,
    #[serde(rename = "type")]
    kind: String,
    pub(crate) job: Option<u64>,
    /// The bytes that the runner encoded, unchanged.
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    number: u64,
    #[serde(default)]
    service: String,
    user: Option<String>,
    remote: Option<String>,
    server: Option<EventServer>,
    #[serde(default)]
    timeout_millis: u64,
    #[serde(default)]
    consumer: u32,
    #[serde(default)]
    cause: String,
    statement: Option<String>,
    #[serde(rename = "place")]
    slot: Option<String>,
    request: Option<String>,
    /// Whether a job takes input.
    #[serde(default)]
    input: bool,
    #[serde(default)]
    output_limit: u64,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    first: u64,
    #[serde(default)]
    last: u64,
    content: Option<String>,
    content_base64: Option<String>,
    #[serde(default)]
    end: bool,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    status: i32,
    message: Option<String>,
    output: Option<String>,
    terminal: Option<EventSize>,
    /// Who controls a job's terminal at first.
    controller: Option<EventController>,
    /// Who controls it from now on.
    client: Option<String>,
    #[serde(default)]
    columns: u16,
    #[serde(default)]
    rows: u16,
    /// Whether the processes that a job leaves go on.
    #[serde(default)]
    kept: bool,
    /// How many bytes were typed that are not logged.
    #[serde(default)]
    bytes: u64,
    title: Option<String>,
    link: Option<String>,
    /// When a link ends, in milliseconds since 1970.
    #[serde(default)]
    expires: u64,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    by: Option<EventActor>,
    /// The records that were redacted.
    #[serde(default)]
    records: Vec<u64>,
    /// The node that has taken the session over, and in which term.
    node: Option<String>,
    #[serde(default)]
    term: u64,
    /// Who redacted the bytes of this record, and when.
    redacted: Option<EventRedaction>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct EventSize {
    columns: u16,
    rows: u16,
}

#[derive(Debug, Deserialize)]
struct EventController {
    client: String,
    user: Option<String>,
}

impl From<EventController> for Controller {
    fn from(EventController { client, user }: EventController) -> Self {
        Self {
            client: client.into(),
            user: user.map(Into::into),
        }
    }
}

#[derive(Debug, Deserialize)]
struct EventActor {
    account: Option<String>,
    token: Option<String>,
    link: Option<String>,
    frontend: String,
    address: Option<String>,
}

impl EventActor {
    fn actor(self) -> Actor {
        Actor {
            account: self.account.map(Into::into),
            token: self.token.or(self.link).map(Into::into),
            frontend: self.frontend.into(),
            address: self.address.map(Into::into),
        }
    }
}

/// Who asked, as the API says it; none if it does not.
pub(crate) fn actor_of(by: &Value) -> Option<Actor> {
    EventActor::deserialize(by).ok().map(EventActor::actor)
}

#[derive(Debug, Deserialize)]
struct EventRedaction {
    at: u64,
    by: Option<EventActor>,
}

impl EventRedaction {
    fn redaction(self) -> Redaction {
        Redaction {
            at: Timestamp::from_millis(self.at),
            by: self.by.map(|by| Arc::new(by.actor())),
        }
    }
}

#[derive(Debug, Deserialize)]
struct EventServer {
    process: u32,
    version: String,
    node: Option<String>,
}

impl<'a> SessionEvent<'a> {
    pub(crate) fn parse(event: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(event)
    }

    /// The name of its type.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// A result, as the runner encoded it.
    pub(crate) fn result(&self) -> Option<&'a str> {
        self.result.map(RawValue::get)
    }

    /// Columns and rows of a terminal: the new ones, or a new job's.
    pub(crate) fn size(&self) -> Option<(u16, u16)> {
        let new = self.terminal.map(|it| (it.columns, it.rows));
        new.or_else(|| (self.columns > 0).then_some((self.columns, self.rows)))
    }

    /// Whether a job is in the foreground.
    pub(crate) fn is_foreground(&self) -> bool {
        self.slot.as_deref() != Some("background")
    }

    pub(crate) fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// How a job ended.
    pub(crate) fn ending(self) -> (Outcome, i32, Option<String>) {
        (outcome(&self.outcome), self.status, self.message)
    }

    pub(crate) const fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at)
    }

    /// The record of this event; none if its type is unknown or not visible.
    pub(crate) fn record(mut self, session: SessionId) -> Option<Record> {
        let (sequence, at) = (Sequence(self.sequence), self.at());
        let actor = self.by.take().map(|by| Arc::new(by.actor()));
        let redacted = self.redacted.take().map(|it| Arc::new(it.redaction()));
        self.event().map(|event| Record {
            session,
            sequence,
            at,
            clock: at.into(),
            actor,
            redacted,
            event,
        })
    }

    fn event(self) -> Option<Event> {
        let slot = match self.slot.as_deref() {
            Some("background") => JobSlot::Background,
            _ => JobSlot::Foreground,
        };
        let mode = JobMode {
            slot,
            visibility: Visibility::Session,
        };
        let job = self.job.map(JobId);
        let timeout = Duration::from_millis(self.timeout_millis);
        let consumer = ConsumerId {
            token: [0; 16],
            ordinal: self.consumer,
        };
        Some(match self.kind.as_str() {
            "session-created" => Event::SessionCreated {
                number: SessionNumber(self.number),
                service: self.service.into(),
                user: self.user.map(Into::into),
                remote: self.remote.map(Into::into),
                server: self.server.map(|server| Server {
                    process: server.process,
                    version: server.version.into(),
                    node: server.node.map(Into::into),
                })?,
                timeout,
            },
            "session-resumed" => match self.node {
                None => Event::SessionResumed,
                Some(node) => Event::SessionTakenOver {
                    by: Arc::new(NodeTerm {
                        node: node.into(),
                        term: self.term,
                    }),
                },
            },
            "user-set" => Event::UserSet {
                user: self.user?.into(),
            },
            "session-described" => Event::SessionDescribed {
                description: Description {
                    title: self.title.map(Into::into),
                    labels: self
                        .labels
                        .into_iter()
                        .map(|(key, value)| (key.into(), value.into()))
                        .collect(),
                }
                .into(),
            },
            "link-added" | "link-removed" | "link-joined" | "link-left" => Event::LinkChanged {
                link: self.link?.into(),
                change: match self.kind.as_str() {
                    "link-added" => LinkChange::Added {
                        expires: Timestamp::from_millis(self.expires),
                    },
                    "link-removed" => LinkChange::Removed,
                    "link-joined" => LinkChange::Joined,
                    _ => LinkChange::Left,
                },
            },
            "consumer-joined" => Event::ConsumerJoined {
                consumer,
                timeout,
                foreground: None,
            },
            "consumer-left" => Event::ConsumerLeft {
                consumer,
                cause: match self.cause.as_str() {
                    "left" => LeaveCause::Left,
                    "expired" => LeaveCause::Expired,
                    "session-closed" => LeaveCause::SessionClosed,
                    _ => return None,
                },
            },
            "job-submitted" => Event::JobSubmitted {
                job: job?,
                mode,
                statement: self.statement?.into(),
                timeout,
                output_limit: self.output_limit,
                request: self.request.map(Into::into),
                input: self.input,
                output: match (self.terminal, self.output.as_deref()) {
                    (Some(EventSize { columns, rows }), _) => {
                        JobOutput::Terminal(TerminalSize { columns, rows })
                    }
                    (None, Some("merged")) => JobOutput::Merged,
                    // A server that does not say it knows no other.
                    (None, _) => JobOutput::Separate,
                },
                controller: self.controller.map(|it| Arc::new(it.into())),
            },
            "terminal-resized" => Event::TerminalResized {
                job: job?,
                mode,
                size: TerminalSize {
                    columns: self.columns,
                    rows: self.rows,
                },
            },
            "controller-changed" => Event::ControllerChanged {
                job: job?,
                mode,
                controller: self.client.map(|client| {
                    let user = self.user.map(Into::into);
                    let client = client.into();
                    Arc::new(Controller { client, user })
                }),
            },
            "leftovers-chosen" => Event::LeftoversChosen {
                job: job?,
                mode,
                kept: self.kept,
            },
            "records-redacted" => Event::RecordsRedacted {
                records: self.records.into_iter().map(Sequence).collect(),
            },
            "input-hidden" => Event::InputHidden {
                job: job?,
                mode,
                bytes: self.bytes,
            },
            "statement-refused" => Event::StatementRefused {
                statement: self.statement.map(Into::into),
                reason: self.reason.into(),
            },
            "records-lost" => Event::RecordsLost {
                first: Sequence(self.first),
                last: Sequence(self.last),
                cause: loss_cause(&self.cause)?,
            },
            "job-started" => Event::JobStarted {
                job: job?,
                private: false,
            },
            "result" => Event::ResultEmitted {
                job: job?,
                mode,
                result: self.result?.get().into(),
                position: None,
            },
            "input" => Event::InputWritten {
                job: job?,
                mode,
                bytes: input_bytes(self.content, self.content_base64)?.into(),
                end: self.end,
            },
            "interrupt-requested" => Event::InterruptRequested {
                job: job?,
                cause: match self.cause.as_str() {
                    "requested" => InterruptCause::Requested,
                    "timeout" => InterruptCause::Timeout,
                    "output-limit" => InterruptCause::OutputLimit,
                    "session-closed" => InterruptCause::SessionClosed,
                    "shutdown" => InterruptCause::Shutdown,
                    _ => return None,
                },
                private: false,
            },
            "job-finished" => Event::JobFinished {
                job: job?,
                mode,
                outcome: outcome(&self.outcome),
                status: self.status,
                message: self.message.map(Into::into),
            },
            "session-closed" => Event::SessionClosed {
                cause: match self.cause.as_str() {
                    "idle" => CloseCause::Idle,
                    _ => CloseCause::Requested,
                },
            },
            _ => return None,
        })
    }
}

fn outcome(name: &str) -> Outcome {
    match name {
        "completed" => Outcome::Completed,
        "interrupted" => Outcome::Interrupted,
        "timed-out" => Outcome::TimedOut,
        "lost" => Outcome::Lost,
        // An outcome that only a newer server knows must still end the job.
        _ => Outcome::Failed,
    }
}

/// The API leaves out the counts of removed records, and they are not shown.
fn loss_cause(cause: &str) -> Option<LossCause> {
    match cause {
        "damage" => Some(LossCause::Damage),
        // Who deleted it is beside the event.
        "retention" | "deletion" => Some(LossCause::Retention {
            last_number: SessionNumber(0),
            last_job: JobId(0),
        }),
        _ => None,
    }
}

fn input_bytes(content: Option<String>, content_base64: Option<String>) -> Option<Vec<u8>> {
    match (content, content_base64) {
        (Some(text), _) => Some(text.into_bytes()),
        (None, Some(text)) => STANDARD.decode(text).ok(),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::SESSION;
    use rejoin_replay::{Printer, View};

    fn record(event: &str) -> Option<Record> {
        SessionEvent::parse(event).unwrap().record(SESSION)
    }

    #[test]
    fn events_of_a_server_are_shown_as_a_replay_shows_them() {
        let events = [
            r#"{"sequence":1,"at":5,"type":"session-created","number":3,"remote":null,"server":{"process":7,"version":"1"},"service":"shell","timeoutMillis":1,"user":"anna"}"#,
            r#"{"sequence":2,"at":6,"type":"job-submitted","input":true,"job":9,"outputLimit":1,"place":"background","request":null,"statement":"cat","timeoutMillis":1,"by":{"account":"ada","address":"[::1]:9","frontend":"mcp","token":"ci"}}"#,
            r#"{"sequence":3,"at":6,"type":"private"}"#,
            r#"{"sequence":4,"at":6,"type":"input","contentBase64":"/wA=","end":true,"job":9}"#,
            r#"{"sequence":5,"at":6,"type":"of-tomorrow","job":9,"sea":[1]}"#,
            r#"{"sequence":6,"at":7,"type":"result","job":9,"result":{"type":"shell","stream":"stdout","content":"a\n"}}"#,
            r#"{"sequence":7,"at":7,"type":"result","job":9,"result":{ "b":1.0,"a":"\u0041" }}"#,
            r#"{"sequence":8,"at":8,"type":"session-resumed","node":"n2","term":7}"#,
            r#"{"sequence":9,"at":8,"type":"job-finished","job":9,"message":"no","outcome":"failed","status":3}"#,
            r#"{"sequence":10,"at":8,"type":"session-closed","cause":"idle"}"#,
        ];
        let view = View {
            all: false,
            events: true,
        };
        let mut printer = Printer::new(false);
        let mut seen = vec![];
        for record in events.iter().filter_map(|event| record(event)) {
            let shown = view.show(&record);
            seen.extend(shown.iter().flat_map(|shown| printer.bytes(shown)));
        }
        let expected = "[session 3 created by anna on the service shell]\n[job 9 is of ada (token ci, mcp, [::1]:9)]\n$ cat &\n\
            [job 9: 2 bytes of input, then end of input]\na\n{\n  \"a\": \"A\",\n  \"b\": 1.0\n}\n\
            [node n2 took over: the next command begins in the start directory]\n\
            [job 9 failed, status 3: no]\n[session closed: idle]\n";
        assert_eq!(String::from_utf8(seen).unwrap(), expected);
    }

    #[test]
    fn a_job_with_an_unknown_outcome_has_ended() {
        let event = r#"{"sequence":1,"at":5,"type":"job-finished","job":9,"outcome":"evaporated","status":4}"#;
        assert!(matches!(
            record(event).unwrap().event,
            Event::JobFinished { status: 4, .. }
        ));
    }
}
