//! The world around a simulated node, for the driver of the real one.

use super::net::{Net, ProcessCell};
use super::server::SimulatedServer;
use super::threads::{self, SimulatedThread};
use super::truth::log_id;
use futures::FutureExt;
use futures::future::{BoxFuture, LocalBoxFuture};
use rejoin_core::Limits;
use rejoin_engine::peers::PeerError;
use rejoin_log::SegmentLog;
use rejoin_log::segment::{Durability, LogId, OpenOptions, Opened, Options};
use rejoin_log::testing::SimulatedDisk;
use rejoin_node::{Answer, JoinError, Noticing, Server, Surroundings, Thread};
use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The disks of a machine, one for the copy of each log.
pub(super) type Disks = Arc<Mutex<BTreeMap<u8, SimulatedDisk>>>;

/// What a process of a node has around it.
#[derive(Debug)]
pub(super) struct SimulatedSurroundings {
    pub(super) net: Arc<Net>,
    pub(super) process: Arc<ProcessCell>,
    pub(super) disks: Disks,
    pub(super) limits: Limits,
    pub(super) segment_bytes: u64,
}

impl Surroundings for SimulatedSurroundings {
    fn server(&self, log: u8) -> Result<(Server, LogId), JoinError> {
        let server = SimulatedServer::new(&self.net, &self.process, log);
        Ok((Box::new(server), log_id(log)))
    }

    fn copy(&self, log: u8, id: LogId) -> Result<Opened<SegmentLog>, JoinError> {
        let disk = {
            let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
            disks.entry(log).or_default().clone()
        };
        let options = Options {
            durability: Durability::Flush,
            segment_bytes: self.segment_bytes,
            zero_ahead: false,
            ..Options::default()
        };
        let opened = OpenOptions::disk(Arc::new(disk), id)
            .options(options)
            .limits(self.limits)
            .open();
        opened.map_err(|error| JoinError::Copy { log, error })
    }

    fn notices(&self, log: u8) -> Result<Box<dyn Noticing>, String> {
        Ok(Box::new(SimulatedNotices {
            net: self.net.clone(),
            log,
            seen: Cell::new(self.net.notices(log)),
        }))
    }

    fn answer(
        &self,
        log: u8,
        term: u64,
        answer: Box<Answer>,
    ) -> Result<Box<dyn Any + Send>, String> {
        let net = self.net.clone();
        net.listen(log, term, self.process.clone(), answer.into());
        Ok(Box::new(Listening { net, log, term }))
    }

    fn ask(
        &self,
        log: u8,
        term: u64,
        request: Vec<u8>,
    ) -> BoxFuture<'static, Result<Vec<u8>, PeerError>> {
        self.net.ask(self.process.clone(), log, term, request)
    }

    fn thread(&self, _: String, work: Box<dyn FnOnce() + Send>) -> io::Result<Thread> {
        let has_ended = Arc::new(AtomicBool::new(false));
        let ended = has_ended.clone();
        let thread = SimulatedThread::new(move || {
            work();
            ended.store(true, Ordering::Relaxed);
        });
        self.process.executor.spawn("thread", thread.boxed());
        let net = self.net.clone();
        Ok(Box::new(move || {
            while !has_ended.load(Ordering::Relaxed) && !threads::is_killed() {
                threads::sleep(&net.clock, Duration::from_millis(20));
            }
        }))
    }

    fn sleep(&self, time: Duration) {
        threads::sleep(&self.net.clock, time);
    }

    fn sleep_unless(&self, time: Duration, is_over: &dyn Fn() -> bool) {
        if !is_over() {
            self.sleep(time);
        }
    }

    fn wait(&self, future: LocalBoxFuture<'_, ()>) {
        threads::block_on(future);
    }
}

struct Listening {
    net: Arc<Net>,
    log: u8,
    term: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        if !threads::is_killed() {
            self.net.stop_listening(self.log, self.term);
        }
    }
}

struct SimulatedNotices {
    net: Arc<Net>,
    log: u8,
    seen: Cell<u64>,
}

impl Noticing for SimulatedNotices {
    fn wait(&self, patience: Duration) -> bool {
        if self.net.notices(self.log) == self.seen.get() {
            self.net.wait_for_notice(self.log, patience);
        }
        let now = self.net.notices(self.log);
        self.seen.replace(now) != now
    }
}
