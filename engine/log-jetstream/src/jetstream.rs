//! A client of JetStream for one log.
//!
//! Only requests and their answers are used, no consumers. Each call blocks its caller until the answer,
//! or until it has waited long enough.

use crate::api::{
    MessageAnswer, NEVER_STORED, NO_MESSAGE, NO_ROOM, NO_STREAM, NOT_REPLICATED, PublishAnswer,
    StreamAnswer, StreamConfig, StreamState, WRONG_LAST,
};
use crate::connection::{Connection, ConnectionSettings, bucket, log_subject, stream_name};
use crate::gates::{ServerFault, SyncProof, check_stream, check_sync};
use crate::limits::{ANSWER, CUT_OFF, OPENING, REPLICAS_ASKED, TAIL_BYTES, TAIL_MESSAGES};
use crate::patience::Patience;
use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::{Client, HeaderMap, Message, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use rejoin_cluster::{Appended, Bounds, Entry, Got, LogServer, NodeName, Written};
use rejoin_log::segment::LogId;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Where a log's stream is, and what is asked of its servers.
#[derive(Clone, Debug)]
pub struct JetStreamSettings {
    /// Addresses of servers, `nats://host:port`. One that answers is enough.
    pub servers: Vec<String>,
    /// The name of the cluster: lower-case letters, digits and `-`.
    pub cluster: NodeName,
    /// The number of the log.
    pub number: u8,
    /// How many servers keep each message: 3, or 5. 1 is for tests.
    pub replicas: usize,
    /// How it is known that they sync.
    pub sync: SyncProof,
}

/// Why there is no connection to a log's stream.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server could be reached.
    #[error("no NATS server answers at {servers}: {reason}")]
    Unreachable {
        /// The addresses.
        servers: String,
        /// Why not.
        reason: String,
    },
    /// The servers are not as they must be.
    #[error(transparent)]
    ServerFault(#[from] ServerFault),
    /// They refuse the stream.
    #[error("the servers refuse stream {stream}: {reason}")]
    Refused {
        /// The stream.
        stream: String,
        /// What they say.
        reason: String,
    },
    /// They say nothing about the stream.
    #[error("the servers do not answer for stream {stream}: most of them may be away")]
    Unanswered {
        /// The stream.
        stream: String,
    },
    /// This process can't start a thread.
    #[error("the client could not be started: {0}")]
    Io(#[from] std::io::Error),
}

/// A connection for one log. Reconnects by itself.
pub struct JetStream {
    client: Client,
    handle: Handle,
    connection: Connection,
    stream: String,
    subject: String,
    bucket: String,
    log: LogId,
    batches: u64,
    /// Tells the batches of this connection from those of others.
    batch_prefix: String,
    begun: Instant,
    /// Since when no entry could be read, on the same stopwatch.
    unanswered_since: Option<Duration>,
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream")
            .field("stream", &self.stream)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl JetStream {
    /// Connects, checks the servers, and creates the stream and the key-value store if they don't
    /// exist. A new stream gets the identity `new_id`, which must be random.
    ///
    /// `has_records`: this machine has a copy with records. Then a stream that doesn't exist is not
    /// created: the servers have lost it.
    ///
    /// Blocks, up to a minute if the servers elect a leader meanwhile.
    ///
    /// # Errors
    ///
    /// If no server answers, or if they are not as they must be: see [`ServerFault`].
    pub fn connect(
        settings: &JetStreamSettings,
        new_id: LogId,
        has_records: bool,
    ) -> Result<Self, ConnectError> {
        let connection = Connection::open(&ConnectionSettings {
            servers: settings.servers.clone(),
            ..ConnectionSettings::default()
        })?;
        Self::on(&connection, settings, new_id, || has_records)
    }

    /// As [`connect`](Self::connect), over a connection that is there. `has_records` is asked only if the
    /// stream doesn't exist.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn on(
        connection: &Connection,
        settings: &JetStreamSettings,
        new_id: LogId,
        has_records: impl FnOnce() -> bool,
    ) -> Result<Self, ConnectError> {
        // Once: a node that can't reach one server, and has lost a log, must be able to open it again.
        if !connection.is_checked.load(Ordering::Acquire) {
            check_sync(&settings.sync, settings.replicas)?;
            connection.is_checked.store(true, Ordering::Release);
        }
        let cluster = &settings.cluster;
        let number = settings.number;
        let mut connection = Self {
            client: connection.client.clone(),
            handle: connection.handle.clone(),
            connection: connection.clone(),
            stream: stream_name(cluster, number),
            subject: log_subject(cluster, number),
            bucket: bucket(cluster),
            log: new_id,
            batches: 0,
            batch_prefix: new_id.to_string(),
            begun: begin(),
            unanswered_since: None,
        };
        connection.log = connection.ensure_streams(settings.replicas, new_id, has_records)?;
        Ok(connection)
    }

    /// The identity of the log, which is kept with its stream.
    #[must_use]
    pub fn log(&self) -> LogId {
        self.log
    }

    /// The connection that it uses.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn ensure_streams(
        &mut self,
        replicas: usize,
        new_id: LogId,
        has_records: impl FnOnce() -> bool,
    ) -> Result<LogId, ConnectError> {
        let metadata = BTreeMap::from([
            ("rejoin-log".to_owned(), new_id.to_string()),
            ("rejoin-format".to_owned(), "1".to_owned()),
        ]);
        let log = StreamConfig {
            name: self.stream.clone(),
            subjects: vec![self.subject.clone()],
            storage: "file".to_owned(),
            num_replicas: replicas,
            retention: "limits".to_owned(),
            discard: "new".to_owned(),
            max_age: 0,
            max_msgs: -1,
            max_msgs_per_subject: -1,
            allow_direct: true,
            allow_atomic: true,
            deny_delete: true,
            metadata,
        };
        let found = self.ensure_stream(&log, || !has_records())?;
        let store = StreamConfig {
            name: format!("KV_{}", self.bucket),
            subjects: vec![format!("$KV.{}.>", self.bucket)],
            max_msgs_per_subject: 1,
            allow_atomic: false,
            metadata: BTreeMap::new(),
            ..log
        };
        self.ensure_stream(&store, || true)?;
        let id = found.metadata.get("rejoin-log").map(String::as_str);
        let format = found.metadata.get("rejoin-format").map(String::as_str);
        match (id.and_then(log_id), format) {
            (Some(id), Some("1")) => Ok(id),
            _ => Err(ConnectError::ServerFault(ServerFault::Configuration {
                stream: self.stream.clone(),
                what: "its metadata are not those of a log that this version can read".to_owned(),
            })),
        }
    }

    /// The stream as it exists, created if it may be.
    fn ensure_stream(
        &mut self,
        wanted: &StreamConfig,
        may_create: impl FnOnce() -> bool,
    ) -> Result<StreamConfig, ConnectError> {
        let patience = Patience::of(OPENING, self);
        let stream = || wanted.name.clone();
        let (mut refused, mut may_create) = (None, Some(may_create));
        loop {
            let info: Option<StreamAnswer> = self.api(&format!("STREAM.INFO.{}", wanted.name), &());
            if let Some(answer) = info {
                if let Some(found) = answer.config {
                    check_stream(&found, wanted)?;
                    return Ok(found);
                }
                let error = answer.error;
                let is_missing = error.as_ref().is_some_and(|it| it.err_code == NO_STREAM);
                if is_missing && may_create.take().is_some_and(|may_create| !may_create()) {
                    let stream = stream();
                    return Err(ConnectError::ServerFault(ServerFault::Gone { stream }));
                }
                if is_missing {
                    let create = format!("STREAM.CREATE.{}", wanted.name);
                    let created: Option<StreamAnswer> = self.api(&create, wanted);
                    if let Some(error) = created.and_then(|answer| answer.error) {
                        refused = Some(error.description);
                        if error.err_code == NOT_REPLICATED {
                            break;
                        }
                    }
                } else if let Some(error) = error {
                    refused = Some(error.description);
                }
            }
            if !patience.pause(self) {
                break;
            }
        }
        let stream = stream();
        Err(match refused {
            Some(reason) => ConnectError::Refused { stream, reason },
            None => ConnectError::Unanswered { stream },
        })
    }

    /// A request to JetStream's API. None: no answer, or one that can't be read.
    fn api<T: DeserializeOwned>(&self, name: &str, body: &impl serde::Serialize) -> Option<T> {
        let body = serde_json::to_vec(body).ok()?;
        let body = if body == b"null" { Vec::new() } else { body };
        let request = Request::new().payload(body.into());
        let sent = self.client.send_request(format!("$JS.API.{name}"), request);
        let answer = self.handle.block_on(sent).ok()?;
        serde_json::from_slice(&answer.payload).ok()
    }

    /// Publishes a message and waits for the answer.
    fn publish(&self, subject: String, headers: HeaderMap, payload: &[u8]) -> Published {
        let request = Request::new()
            .headers(headers)
            .payload(payload.to_vec().into());
        let sent = self.client.send_request(subject.clone(), request);
        let published = Self::published(self.handle.block_on(sent));
        match &published {
            Published::Error(code, reason) if NO_ROOM.contains(code) => {
                self.connection.note_room(&subject, Some(reason));
            }
            Published::Stored(_) | Published::Error(..) => {
                self.connection.note_room(&subject, None);
            }
            Published::TooLarge | Published::Unknown => {}
        }
        published
    }

    fn published(answer: Result<Message, RequestError>) -> Published {
        match answer {
            Ok(answer) => match serde_json::from_slice::<PublishAnswer>(&answer.payload) {
                Ok(PublishAnswer {
                    error: Some(error), ..
                }) => Published::Error(error.err_code, error.description),
                Ok(answer) => Published::Stored(answer.seq),
                Err(_) => Published::Unknown,
            },
            Err(error) if error.kind() == RequestErrorKind::MaxPayloadExceeded => {
                Published::TooLarge
            }
            Err(_) => Published::Unknown,
        }
    }

    /// A server that is cut off from the others answers pings, and nothing else. Each node reads entries every
    /// second, so it is those that show it.
    fn note(&mut self, is_answered: bool) {
        let now = self.begun.elapsed();
        if is_answered {
            self.unanswered_since = None;
            return;
        }
        let since = *self.unanswered_since.get_or_insert(now);
        if now.saturating_sub(since) >= CUT_OFF {
            tracing::debug!("leaves a NATS server that has not answered for long");
            // If there is no connection, one is being made.
            let _ = self.handle.block_on(self.client.force_reconnect());
            self.unanswered_since = Some(now);
        }
    }

    fn append_headers(&self, expected: u64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Stream", self.stream.as_str());
        headers.insert("Nats-Expected-Last-Sequence", expected.to_string());
        headers
    }

    fn append_one(&self, expected: u64, message: &[u8]) -> Published {
        self.publish(self.subject.clone(), self.append_headers(expected), message)
    }

    /// Several messages as one. The server answers to the last one.
    fn append_batch(&mut self, expected: u64, messages: &[Vec<u8>]) -> Published {
        self.batches = self.batches.saturating_add(1);
        // At most 64 bytes.
        let batch = format!("{}-{:x}", self.batch_prefix, self.batches);
        for (index, message) in messages.iter().enumerate() {
            let mut headers = if index == 0 {
                self.append_headers(expected)
            } else {
                HeaderMap::new()
            };
            headers.insert("Nats-Batch-Id", batch.as_str());
            let sequence = index.saturating_add(1);
            headers.insert("Nats-Batch-Sequence", sequence.to_string());
            if sequence == messages.len() {
                headers.insert("Nats-Batch-Commit", "1");
                return self.publish(self.subject.clone(), headers, message);
            }
            let sent = self.client.publish_with_headers(
                self.subject.clone(),
                headers,
                message.clone().into(),
            );
            if self.handle.block_on(sent).is_err() {
                return Published::Unknown;
            }
        }
        Published::Unknown
    }

    /// The last message with a sequence or a subject, as the leader knows it.
    fn message(&self, stream: &str, body: &impl serde::Serialize) -> Option<MessageAnswer> {
        self.api(&format!("STREAM.MSG.GET.{stream}"), body)
    }

    fn state(&self, stream: &str, filter: Option<&str>) -> Option<StreamState> {
        let body = filter.map(|filter| BTreeMap::from([("subjects_filter", filter)]));
        let answer: StreamAnswer = self.api(&format!("STREAM.INFO.{stream}"), &body)?;
        answer.state
    }

    /// Messages from a sequence on, from any replica.
    fn direct(&self, from: u64, count: u64) -> Option<Vec<(u64, Vec<u8>)>> {
        let request = format!(r#"{{"seq":{from},"batch":{count},"max_bytes":{TAIL_BYTES}}}"#);
        let subject = format!("$JS.API.DIRECT.GET.{}", self.stream);
        let inbox = self.client.new_inbox();
        self.handle.block_on(async {
            let mut answers = self.client.subscribe(inbox.clone()).await.ok()?;
            let sent = self
                .client
                .publish_with_reply(subject, inbox, request.into());
            sent.await.ok()?;
            let mut found = Vec::new();
            loop {
                let next = tokio::time::timeout(ANSWER, answers.next());
                let message = next.await.ok().flatten()?;
                // A status ends the answer: no more messages, or no server to ask.
                if let Some(status) = message.status {
                    let is_end = matches!(status.as_u16(), 204 | 404);
                    return is_end.then_some(found);
                }
                let headers = message.headers.as_ref()?;
                let sequence = headers.get("Nats-Sequence")?.as_str().parse().ok()?;
                found.push((sequence, message.payload.to_vec()));
            }
        })
    }
}

enum Published {
    Stored(u64),
    Error(u32, String),
    TooLarge,
    Unknown,
}

impl LogServer for JetStream {
    fn append(&mut self, expected: u64, messages: &[Vec<u8>]) -> Appended {
        let published = match messages {
            [message] => self.append_one(expected, message),
            _ => self.append_batch(expected, messages),
        };
        match published {
            Published::Stored(sequence) => Appended::Stored(sequence),
            Published::Error(code, _) if WRONG_LAST.contains(&code) => Appended::WrongLast,
            Published::Error(code, reason) if NEVER_STORED.contains(&code) => {
                Appended::Refused(reason)
            }
            Published::Error(code, reason) => {
                tracing::debug!(code, %reason, "a batch was not stored");
                Appended::Unknown
            }
            Published::TooLarge => {
                Appended::Refused("the message is larger than the servers take".to_owned())
            }
            Published::Unknown => Appended::Unknown,
        }
    }

    fn get(&mut self, sequence: u64) -> Got {
        let body = BTreeMap::from([("seq", sequence)]);
        // Twice, because the message may have been stored between the two questions.
        for _ in 0..2 {
            let Some(answer) = self.message(&self.stream, &body) else {
                return Got::Unknown;
            };
            match (answer.message, answer.error) {
                (Some(message), _) if message.seq == sequence => {
                    return match STANDARD.decode(message.data) {
                        Ok(bytes) => Got::Message(bytes),
                        Err(_) => Got::Unknown,
                    };
                }
                (_, Some(error)) if error.err_code == NO_MESSAGE => {}
                _ => return Got::Unknown,
            }
            let Some(bounds) = self.bounds() else {
                return Got::Unknown;
            };
            if sequence < bounds.first || sequence > bounds.last {
                return Got::Nothing(bounds);
            }
        }
        // The leader has lost it and does not know. What a replica has was stored by a majority.
        for _ in 0..REPLICAS_ASKED {
            let found = self.direct(sequence, 1).unwrap_or_default();
            if let Some((found, bytes)) = found.into_iter().next()
                && found == sequence
            {
                tracing::warn!(
                    stream = %self.stream,
                    sequence,
                    "the leader of the stream has lost a message that another server has"
                );
                return Got::Message(bytes);
            }
        }
        self.bounds().map_or(Got::Unknown, Got::Nothing)
    }

    fn bounds(&mut self) -> Option<Bounds> {
        let state = self.state(&self.stream, None)?;
        Some(Bounds {
            first: state.first_seq,
            last: state.last_seq,
        })
    }

    fn tail(&mut self, from: u64) -> Option<Vec<(u64, Vec<u8>)>> {
        self.direct(from, TAIL_MESSAGES)
    }

    fn purge(&mut self, before: u64) -> bool {
        let body = BTreeMap::from([("seq", before)]);
        let answer: Option<StreamAnswer> =
            self.api(&format!("STREAM.PURGE.{}", self.stream), &body);
        answer.is_some_and(|answer| answer.error.is_none())
    }

    fn size(&mut self) -> Option<u64> {
        self.state(&self.stream, None).map(|state| state.bytes)
    }

    fn beats(&mut self) -> Option<Vec<(NodeName, Entry)>> {
        let prefix = format!("$KV.{}.node.", self.bucket);
        let filter = format!("{prefix}>");
        let state = self.state(&format!("KV_{}", self.bucket), Some(&filter))?;
        let mut beats = Vec::new();
        for subject in state.subjects.keys() {
            let Some(name) = subject.strip_prefix(&prefix) else {
                continue;
            };
            let entry = self.read(&format!("node.{name}"))?;
            // A node that has ended leaves an empty beat.
            if let (Some(entry), Ok(name)) = (entry, name.parse())
                && !entry.value.is_empty()
            {
                beats.push((name, entry));
            }
        }
        Some(beats)
    }

    fn read(&mut self, key: &str) -> Option<Option<Entry>> {
        let subject = format!("$KV.{}.{key}", self.bucket);
        let body = BTreeMap::from([("last_by_subj", subject)]);
        let answer = self.message(&format!("KV_{}", self.bucket), &body);
        let found = answer.and_then(|answer| match (answer.message, answer.error) {
            (Some(message), _) => Some(Some(Entry {
                revision: message.seq,
                value: STANDARD.decode(message.data).ok()?,
            })),
            (None, Some(error)) if error.err_code == NO_MESSAGE => Some(None),
            // A server without a leader says that it is not available.
            _ => None,
        });
        self.note(found.is_some());
        found
    }

    fn write(&mut self, key: &str, expected: u64, value: &[u8]) -> Written {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", expected.to_string());
        let subject = format!("$KV.{}.{key}", self.bucket);
        match self.publish(subject, headers, value) {
            Published::Stored(revision) => Written::Done(revision),
            Published::Error(code, _) if WRONG_LAST.contains(&code) => Written::Conflict,
            Published::Error(..) | Published::TooLarge | Published::Unknown => Written::Unknown,
        }
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// How long servers are waited for is not the engine's time, and nothing in the log depends on it.
#[expect(clippy::disallowed_methods, reason = "the only clock of this crate")]
pub(crate) fn begin() -> Instant {
    Instant::now()
}

fn log_id(text: &str) -> Option<LogId> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok())??;
    Some(LogId::from_bytes(number.to_be_bytes()))
}
