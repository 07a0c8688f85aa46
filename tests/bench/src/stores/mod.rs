//! Stores for a log: each writes batches of the same records and makes them durable. All are used
//! through the same queue and thread, so that only the store differs.

mod embedded;
mod nats;
mod plain;

pub use embedded::{Fjall, Segments, Sqlite};
pub use nats::{Nats, version as nats_version};
pub use plain::Plain;

use crate::Outcome;
use async_channel::{Receiver, Sender};
use futures::channel::oneshot;
use rejoin_core::Record;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// Writes batches, one after the other.
pub trait Store: Send + 'static {
    /// Writes a batch. Returns when it is as durable as this store makes it.
    ///
    /// # Errors
    ///
    /// If the store fails.
    fn append(&mut self, records: &[Arc<Record>]) -> Outcome<()>;
}

/// Group commit: a thread that writes all waiting records to a store as one batch.
#[derive(Clone, Debug)]
pub struct Committer {
    queue: Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    record: Arc<Record>,
    done: oneshot::Sender<()>,
}

impl Committer {
    pub fn start(store: impl Store) -> (Self, JoinHandle<Outcome<()>>) {
        let (queue, inbox) = async_channel::bounded(MOST_IN_BATCH);
        (Self { queue }, thread::spawn(move || commit(store, &inbox)))
    }

    /// Waits until the record is durable.
    ///
    /// # Errors
    ///
    /// If the store has failed. The result of its thread has the reason.
    pub async fn append(&self, record: Arc<Record>) -> Outcome<()> {
        let (done, waiting) = oneshot::channel();
        self.queue.send(Waiting { record, done }).await?;
        Ok(waiting.await?)
    }
}

fn commit(mut store: impl Store, inbox: &Receiver<Waiting>) -> Outcome<()> {
    while let Ok(first) = inbox.recv_blocking() {
        let mut records = vec![first.record];
        let mut waiting = vec![first.done];
        while records.len() < MOST_IN_BATCH {
            let Ok(more) = inbox.try_recv() else { break };
            records.push(more.record);
            waiting.push(more.done);
        }
        store.append(&records)?;
        for done in waiting {
            let _ = done.send(());
        }
    }
    Ok(())
}

const MOST_IN_BATCH: usize = 1024;
