//! Servers of NATS JetStream, and threads of this process.

use crate::join::{JoinError, Member, MembershipSettings};
use crate::limits::{ANSWER, DISCARD, LOOK, PAUSE};
use crate::surroundings::{Answer, NodePatience, Noticing, Server, Surroundings, Thread};
use futures::future::{BoxFuture, FutureExt, LocalBoxFuture};
use rejoin_engine::peers::{PeerError, ServerStatus};
use rejoin_engine::{Runtime, SmolRuntime};
use rejoin_log::SegmentLog;
use rejoin_log::disk::{Directory, Disk};
use rejoin_log::segment::{Durability, LogId, OpenOptions, Opened, Options};
use rejoin_log_jetstream::{
    AskError, Connection, JetStream, JetStreamSettings, Notices, SyncProof, ask_server,
};
use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a node of the server has around it.
struct Nats {
    settings: MembershipSettings,
    connection: Connection,
}

/// Connects to the servers.
pub(crate) fn connect(
    settings: MembershipSettings,
) -> Result<(Member, Arc<dyn Surroundings>), JoinError> {
    let connection = Connection::open(&settings.connection)?;
    let member = Member {
        cluster: settings.cluster.clone(),
        node: settings.node.clone(),
        process: settings.process,
        version: settings.version.clone(),
    };
    let nats = Nats {
        settings,
        connection,
    };
    Ok((member, Arc::new(nats)))
}

impl Nats {
    fn directory(&self, log: u8) -> PathBuf {
        self.settings.directory.join(log.to_string())
    }

    /// Where a copy is moved before it is removed, so that a crash leaves no half of it.
    fn discarded(&self, log: u8) -> PathBuf {
        self.settings.directory.join(format!("{log}.discarded"))
    }

    /// Whether this machine has a copy of a log with records, or one that is in use or can't be read.
    fn has_records(&self, log: u8) -> bool {
        let directory = self.directory(log);
        let found = directory
            .exists()
            .then(|| OpenOptions::read_only(directory).open_unfolded());
        found.is_some_and(|found| found.map_or(true, |(_, report)| report.records > 0))
    }
}

fn remove_directory(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// No secret.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").finish_non_exhaustive()
    }
}

impl Surroundings for Nats {
    fn server(&self, log: u8) -> Result<(Server, LogId), JoinError> {
        let settings = &self.settings;
        let streams = JetStreamSettings {
            servers: settings.connection.servers.clone(),
            cluster: settings.cluster.clone(),
            number: log,
            replicas: settings.replicas,
            sync: settings.sync.clone(),
        };
        // Random as the process is, and different for each log.
        let mut id = settings.process.0;
        if let Some(last) = id.last_mut() {
            *last ^= log;
        }
        let id = LogId::from_bytes(id);
        let has_records = || self.has_records(log);
        let server = JetStream::on(&self.connection, &streams, id, has_records)?;
        let id = server.log();
        Ok((Box::new(server), id))
    }

    fn copy(&self, log: u8, id: LogId) -> Result<Opened<SegmentLog>, JoinError> {
        let directory = self.directory(log);
        // A crash may have left it. If it can't be removed now, it is the next time.
        let _ = remove_directory(&self.discarded(log));
        std::fs::create_dir_all(&directory).map_err(|error| JoinError::Directory {
            directory: directory.clone(),
            error,
        })?;
        // The stream is durable, and the copy can be read again.
        let options = Options {
            durability: Durability::Flush,
            ..Options::default()
        };
        let opened = OpenOptions::directory(directory, id)
            .options(options)
            .limits(self.settings.limits)
            .open();
        let opened = opened.map_err(|error| JoinError::Copy { log, error })?;
        let compactor = opened.log().compactor();
        // Nobody waits for its end: it ends with the copy.
        let started = self.thread(
            "rejoin-compact".to_owned(),
            Box::new(move || rejoin_engine::compact(compactor)),
        );
        if let Err(error) = started {
            tracing::error!(log, %error, "cannot compact the copy of a log: no thread");
        }
        Ok(opened)
    }

    fn discard_copy(&self, log: u8) -> io::Result<()> {
        let (directory, discarded) = (self.directory(log), self.discarded(log));
        let disk = Directory::open(&directory)?;
        // The compactor may be about to end.
        let mut tries = DISCARD.as_millis() / PAUSE.as_millis();
        let _lock = loop {
            match disk.lock()? {
                Some(lock) => break lock,
                None if tries == 0 => return Err(io::ErrorKind::ResourceBusy.into()),
                None => std::thread::sleep(PAUSE),
            }
            tries = tries.saturating_sub(1);
        };
        remove_directory(&discarded)?;
        std::fs::rename(&directory, &discarded)?;
        remove_directory(&discarded)
    }

    fn no_room(&self) -> Option<String> {
        self.connection.no_room()
    }

    fn notices(&self, log: u8) -> Result<Box<dyn Noticing>, String> {
        let notices = self.connection.notice(&self.settings.cluster, log);
        let notices = notices.map_err(|error| error.to_string())?;
        Ok(Box::new(notices))
    }

    fn entry_notices(&self, key: &str) -> Result<Box<dyn Noticing + Send>, String> {
        let notices = self.connection.notice_entry(&self.settings.cluster, key);
        let notices = notices.map_err(|error| error.to_string())?;
        Ok(Box::new(notices))
    }

    fn answer(
        &self,
        log: u8,
        term: u64,
        answer: Box<Answer>,
    ) -> Result<Box<dyn Any + Send>, String> {
        let answering = self
            .connection
            .answer(&self.settings.cluster, log, term, answer);
        let answering = answering.map_err(|error| error.to_string())?;
        Ok(Box::new(answering))
    }

    fn ask(
        &self,
        log: u8,
        term: u64,
        request: Vec<u8>,
    ) -> BoxFuture<'static, Result<Vec<u8>, PeerError>> {
        let asked = self
            .connection
            .ask(&self.settings.cluster, log, term, request, ANSWER);
        async move {
            asked.await.map_err(|error| match error {
                AskError::NoOwner => PeerError::NoOwner,
                AskError::Unanswered | AskError::TooLarge => {
                    tracing::debug!(log, %error, "asked another node in vain");
                    PeerError::Unanswered
                }
            })
        }
        .boxed()
    }

    fn thread(&self, name: String, work: Box<dyn FnOnce() + Send>) -> io::Result<Thread> {
        let thread = std::thread::Builder::new().name(name).spawn(work)?;
        Ok(Box::new(move || drop(thread.join())))
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// By the clock, which goes on while the process is stopped: a node that wakes up looks at once.
    fn sleep_unless(&self, time: Duration, is_over: &dyn Fn() -> bool) {
        let end = SmolRuntime.elapsed().saturating_add(time);
        while !is_over() {
            let left = end.saturating_sub(SmolRuntime.elapsed());
            if left.is_zero() {
                break;
            }
            self.sleep(left.min(LOOK));
        }
    }

    fn wait(&self, future: LocalBoxFuture<'_, ()>) {
        smol::block_on(future);
    }

    fn patience(&self) -> NodePatience {
        self.settings.patience
    }

    fn monitoring(&self) -> &[String] {
        match &self.settings.sync {
            SyncProof::Monitoring(addresses) => addresses,
            SyncProof::NotRequired => &[],
        }
    }

    fn ask_server(&self, address: &str) -> Result<ServerStatus, String> {
        let report = ask_server(address)?;
        Ok(ServerStatus {
            name: Some(report.name.into()),
            version: Some(report.version.into()),
            syncs: Some(report.syncs),
        })
    }

    fn stream_end(&self, log: u8) -> Option<(u64, u64)> {
        self.connection.stream_end(&self.settings.cluster, log)
    }
}

impl Noticing for Notices {
    fn wait(&self, patience: Duration) -> bool {
        Self::wait(self, patience)
    }
}
