//! What the log holds, read offline after each kill.

use rejoin_core::testing::Promises;
use rejoin_core::{Event, JobId, Record, Visibility};
use rejoin_log::disk::Directory;
use rejoin_log::segment::verify;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Everything that was ever written.
#[derive(Default)]
pub(super) struct Written {
    records: Vec<Record>,
    pub(super) sessions: BTreeMap<String, Expected>,
}

/// What a session's readers are to get.
#[derive(Clone, Default)]
pub(super) struct Expected {
    /// Results that every consumer gets, in their order.
    pub(super) items: Vec<Item>,
    pub(super) statements: BTreeMap<u64, Arc<str>>,
    known: BTreeSet<Arc<str>>,
    pub(super) is_closed: bool,
}

/// A result, as far as a test can foretell it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Command(u64),
    Result(Value),
    Status(u64),
}

impl Item {
    /// What a client was shown; `None` for what is not the same for every consumer.
    pub(super) fn shown(result: &Value) -> Option<Self> {
        let job = result["jobId"].as_u64();
        match result["type"].as_str()? {
            "command" => job.map(Self::Command),
            "shell" => Some(Self::Result(result.clone())),
            "status" => job.map(Self::Status),
            _ => None,
        }
    }

    fn written(event: &Event) -> Option<Self> {
        let (mode, item) = match event {
            Event::JobSubmitted { job, mode, .. } => (mode, Self::Command(job.0)),
            Event::JobFinished { job, mode, .. } => (mode, Self::Status(job.0)),
            Event::ResultEmitted { mode, result, .. } => {
                (mode, Self::Result(serde_json::from_str(result).unwrap()))
            }
            _ => return None,
        };
        (mode.visibility == Visibility::Session).then_some(item)
    }
}

impl Written {
    /// Reads the log anew, which must hold all that it held before, and no more than what can
    /// follow it. Whether its end is torn.
    pub(super) fn read_on(&mut self, data: &Path) -> bool {
        let path = data.join("log");
        path.exists() && self.read_log(&path)
    }

    /// As [`Self::read_on`], by the directory of the log.
    pub(super) fn read_log(&mut self, path: &Path) -> bool {
        let disk = Directory::open_to_read(path).unwrap();
        let (mut records, mut promises) = (vec![], Promises::default());
        let mut visit = |record: Record| {
            promises.take(&record);
            records.push(record);
        };
        let found = verify(&disk, &mut visit, &mut |_, _| {}).unwrap();
        assert!(found.is_sound(), "{found:?}");
        assert!(
            records.starts_with(&self.records),
            "what was in the log is not in it any more"
        );
        for record in &records[self.records.len()..] {
            let expected = self.sessions.entry(record.session.to_string()).or_default();
            expected.items.extend(Item::written(&record.event));
            match &record.event {
                Event::JobSubmitted { job, statement, .. } => {
                    let twin = expected.statements.insert(job.0, statement.clone());
                    assert_eq!(twin, None, "job {job} is there twice");
                    // Each client's statements differ.
                    let is_new = expected.known.insert(statement.clone());
                    assert!(is_new, "{statement} was submitted twice");
                }
                Event::SessionClosed { .. } => expected.is_closed = true,
                _ => {}
            }
        }
        self.records = records;
        found.torn.is_some()
    }

    pub(super) fn records(&self) -> u64 {
        self.records.len() as u64
    }

    pub(super) fn all_jobs_finished(&self) -> bool {
        let jobs = |wanted: fn(&Event) -> Option<JobId>| -> BTreeSet<JobId> {
            let events = self.records.iter().map(|record| &record.event);
            events.filter_map(wanted).collect()
        };
        let submitted = jobs(|event| match event {
            Event::JobSubmitted { job, .. } => Some(*job),
            _ => None,
        });
        let finished = jobs(|event| match event {
            Event::JobFinished { job, .. } => Some(*job),
            _ => None,
        });
        submitted == finished
    }
}
