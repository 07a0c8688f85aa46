//! A connection to the servers of NATS, and what nodes ask of each other over it.
//!
//! The client's runtime has a thread of its own, which all that uses the connection shares.

use crate::api::StreamAnswer;
use crate::gates::{check_payload, check_version};
use crate::jetstream::{ConnectError, begin};
use crate::limits::{ANSWER, ANSWERS_AT_ONCE, PING};
use crate::recent::Recent;
use crate::room::Room;
use async_nats::client::RequestErrorKind;
use async_nats::{Client, ConnectOptions, Event, Request};
use futures::StreamExt;
use futures::channel::oneshot as answers;
use futures::future::BoxFuture;
use rejoin_cluster::NodeName;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};

/// How this program proves to the servers who it is.
#[derive(Clone, Default)]
pub enum Access {
    /// Not at all.
    #[default]
    Open,
    /// By a user's name and a password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// By a token.
    Token(String),
}

/// No secret.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
        })
    }
}

/// Which servers to connect to.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSettings {
    /// Addresses of servers, `nats://host:port`, or `tls://host:port`. One that answers is enough.
    pub servers: Vec<String>,
    /// How this program proves who it is.
    pub access: Access,
    /// The certificates of the authority that signed those of the servers, as PEM. None: the authorities
    /// that the system trusts.
    pub authority: Option<PathBuf>,
}

/// A connection. Clones share it; it reconnects by itself.
#[derive(Clone)]
pub struct Connection {
    pub(crate) client: Client,
    pub(crate) handle: Handle,
    room: Arc<Mutex<Room>>,
    begun: Instant,
    /// Whether all servers have said that they sync.
    pub(crate) is_checked: Arc<AtomicBool>,
    _thread: Arc<RuntimeThread>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Runs the client until it is dropped.
struct RuntimeThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for RuntimeThread {
    fn drop(&mut self) {
        self.stop = None;
        // The last one to use the connection may be a task of this thread.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Why another node did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No node listens in this term, or the one that does has just given the log away. The request was
    /// not carried out.
    #[error("no node answers for the log in this term")]
    NoOwner,
    /// No answer came. The request may have been carried out.
    #[error("the node that has the log did not answer")]
    Unanswered,
    /// The request is larger than the servers take, and was not sent.
    #[error("the request is larger than the NATS servers take")]
    TooLarge,
}

impl Connection {
    /// Connects, and checks the version of the server and how large its messages may be.
    ///
    /// # Errors
    ///
    /// If no server answers, or if one is not as it must be.
    pub fn open(settings: &ConnectionSettings) -> Result<Self, ConnectError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("rejoin-nats".to_owned())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
            })?;
        let thread = Arc::new(RuntimeThread {
            stop: Some(stop),
            thread: Some(thread),
        });
        let mut options = ConnectOptions::new()
            .name("rejoin")
            .ping_interval(PING)
            // For each try to connect, too: whoever uses the connection says when it is away. But nobody else
            // says what the user of NATS may not do: that is not answered.
            .event_callback(async |event| match event {
                Event::ServerError(error) => tracing::warn!(%error, "the servers of NATS refuse"),
                event => tracing::debug!(%event, "the connection to NATS"),
            })
            .connection_timeout(ANSWER)
            .request_timeout(Some(ANSWER));
        options = match settings.access.clone() {
            Access::Open => options,
            Access::Password { user, password } => options.user_and_password(user, password),
            Access::Token(token) => options.token(token),
        };
        if let Some(authority) = &settings.authority {
            options = options.add_root_certificates(authority.clone());
        }
        let client = handle.block_on(options.connect(settings.servers.as_slice()));
        let client = client.map_err(|error| ConnectError::Unreachable {
            servers: settings.servers.join(", "),
            reason: error.to_string(),
        })?;
        let server = client.server_info();
        check_version(&server.server_name, &server.version)?;
        check_payload(server.max_payload)?;
        Ok(Self {
            client,
            handle,
            room: Arc::default(),
            begun: begin(),
            is_checked: Arc::default(),
            _thread: thread,
        })
    }

    /// Notes the answer to a message: whether it was refused because there is no room.
    pub(crate) fn note_room(&self, subject: &str, refused: Option<&str>) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        match refused {
            Some(reason) => {
                if room.refuse(subject, reason, self.begun.elapsed()) {
                    tracing::error!(
                        subject,
                        reason,
                        "the NATS servers have no room: what is written waits until they have"
                    );
                }
            }
            None => {
                if room.answer(subject) {
                    tracing::info!(subject, "the NATS servers have room again");
                }
            }
        }
    }

    /// What the servers have said if they have no room for messages. None: nothing was refused of late.
    #[must_use]
    pub fn no_room(&self) -> Option<String> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.missing(self.begun.elapsed())
    }

    /// Asks the node that has log `log` of a cluster since `term`, and waits for its answer, `patience` at
    /// most. If the future is dropped, the request may still be carried out.
    pub fn ask(
        &self,
        cluster: &NodeName,
        log: u8,
        term: u64,
        request: Vec<u8>,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Vec<u8>, AskError>> {
        let (client, subject) = (self.client.clone(), ask_subject(cluster, log, term));
        let (sender, answer) = answers::channel();
        // Not in the caller's runtime, which is another one.
        self.handle.spawn(async move {
            let request = Request::new()
                .timeout(Some(patience))
                .payload(request.into());
            let answered = match client.send_request(subject, request).await {
                Ok(answer) if answer.payload.is_empty() => Err(AskError::NoOwner),
                Ok(answer) => Ok(answer.payload.to_vec()),
                Err(error) => Err(match error.kind() {
                    RequestErrorKind::NoResponders => AskError::NoOwner,
                    RequestErrorKind::MaxPayloadExceeded => AskError::TooLarge,
                    _ => AskError::Unanswered,
                }),
            };
            // Its asker may have been dropped.
            let _ = sender.send(answered);
        });
        Box::pin(async { answer.await.unwrap_or(Err(AskError::Unanswered)) })
    }

    /// Answers what other nodes ask about log `log`, which this node has since `term`, until what it returns
    /// is dropped. `answer` gives none if the log is not this node's any more; then nothing was done.
    ///
    /// The futures of `answer` run on the connection's thread and must not block. Requests beyond
    /// `ANSWERS_AT_ONCE` are refused, so that the other node asks again.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub fn answer<F>(
        &self,
        cluster: &NodeName,
        log: u8,
        term: u64,
        answer: F,
    ) -> Result<Answering, ConnectError>
    where
        F: Fn(Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>> + Send + Sync + 'static,
    {
        let client = self.client.clone();
        let subscribing = client.subscribe(ask_subject(cluster, log, term));
        let subscribed = self.handle.block_on(subscribing);
        let mut requests = subscribed.map_err(|error| ConnectError::Unreachable {
            servers: "the present connection".to_owned(),
            reason: error.to_string(),
        })?;
        // From now on, a request of any node reaches this one.
        let _ = self.handle.block_on(client.flush());
        let (stop, mut stopped) = oneshot::channel::<()>();
        let answer = Arc::new(answer);
        let free = Arc::new(Semaphore::new(ANSWERS_AT_ONCE));
        self.handle.spawn(async move {
            let mut is_stopped = false;
            let mut recent = Recent::default();
            loop {
                let request = tokio::select! {
                    _ = &mut stopped, if !is_stopped => {
                        is_stopped = true;
                        // What has been sent here must not wait for an answer in vain.
                        if requests.drain().await.is_err() {
                            break;
                        }
                        continue;
                    }
                    request = requests.next() => request,
                };
                let Some(request) = request else { break };
                let Some(reply) = request.reply else { continue };
                if !recent.is_new(&reply) {
                    tracing::debug!(log, "the servers of NATS delivered a request twice");
                    continue;
                }
                let (client, answer) = (client.clone(), answer.clone());
                let permit = free.clone().try_acquire_owned();
                tokio::spawn(async move {
                    let answered = match &permit {
                        Ok(_) if !is_stopped => answer(request.payload.to_vec()).await,
                        _ => None,
                    };
                    let payload = answered.unwrap_or_default();
                    if let Err(error) = client.publish(reply, payload.into()).await {
                        tracing::warn!(log, %error, "could not answer another node");
                    }
                });
            }
        });
        Ok(Answering { _stop: stop })
    }

    /// The sequence of the last message in the stream of a log, and how many bytes the stream has at its
    /// leader. None: the servers did not answer.
    #[must_use]
    pub fn stream_end(&self, cluster: &NodeName, log: u8) -> Option<(u64, u64)> {
        let stream = stream_name(cluster, log);
        let asked = self
            .client
            .send_request(format!("$JS.API.STREAM.INFO.{stream}"), Request::new());
        let answer = self.handle.block_on(asked).ok()?;
        let answer: StreamAnswer = serde_json::from_slice(&answer.payload).ok()?;
        let state = answer.state?;
        Some((state.last_seq, state.bytes))
    }

    /// Notices that something is about to be appended to the stream of a log, by any node.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub fn notice(&self, cluster: &NodeName, log: u8) -> Result<Notices, ConnectError> {
        self.notice_subject(log_subject(cluster, log))
    }

    /// Notices that an entry of the key-value store of a cluster is about to be written, by any node.
    ///
    /// # Errors
    ///
    /// If the connection is closed.
    pub fn notice_entry(&self, cluster: &NodeName, key: &str) -> Result<Notices, ConnectError> {
        self.notice_subject(format!("$KV.{}.{key}", bucket(cluster)))
    }

    fn notice_subject(&self, subject: String) -> Result<Notices, ConnectError> {
        let subscribing = self.client.subscribe(subject);
        let subscribed = self.handle.block_on(subscribing);
        let mut messages = subscribed.map_err(|error| ConnectError::Unreachable {
            servers: "the present connection".to_owned(),
            reason: error.to_string(),
        })?;
        let (sender, receiver): (SyncSender<()>, _) = sync_channel(1);
        let (stop, mut stopped) = oneshot::channel::<()>();
        self.handle.spawn(async move {
            loop {
                let message = tokio::select! {
                    _ = &mut stopped => break,
                    message = messages.next() => message,
                };
                if message.is_none() {
                    break;
                }
                // Full: it is noticed already.
                let _ = sender.try_send(());
            }
        });
        Ok(Notices {
            receiver,
            _stop: stop,
        })
    }
}

/// Answers other nodes until it is dropped. What arrives later is answered with [`AskError::NoOwner`].
#[derive(Debug)]
pub struct Answering {
    _stop: oneshot::Sender<()>,
}

/// See [`Connection::notice`]. Only a hint: what is published is not stored yet, and a notice may get lost.
#[derive(Debug)]
pub struct Notices {
    receiver: Receiver<()>,
    _stop: oneshot::Sender<()>,
}

impl Notices {
    /// Waits for the next notice, `patience` at most. Whether one came.
    pub fn wait(&self, patience: Duration) -> bool {
        match self.receiver.recv_timeout(patience) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                // The connection is closed: don't let the caller spin.
                std::thread::sleep(patience);
                false
            }
        }
    }
}

pub(crate) fn stream_name(cluster: &NodeName, log: u8) -> String {
    format!("REJOIN-{cluster}-{log}")
}

pub(crate) fn log_subject(cluster: &NodeName, log: u8) -> String {
    format!("rejoin.{cluster}.log.{log}")
}

/// The name of the key-value store.
pub(crate) fn bucket(cluster: &NodeName) -> String {
    format!("REJOIN-{cluster}")
}

/// With the term, so that a former owner that wakes up is asked nothing.
fn ask_subject(cluster: &NodeName, log: u8, term: u64) -> String {
    format!("rejoin.{cluster}.ask.{log}.{term}")
}
