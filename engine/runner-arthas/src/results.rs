//! What the pulls of a job return, folded: which results are the job's, how it ended, and whether
//! Arthas may have dropped some. Pure.

use crate::client::Members;
use crate::limits::{PULL_ITEMS, PULL_RESULTS};
use rejoin_engine::{Exit, JobId, encode_result};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, json};
use std::sync::Arc;

/// The results of one job.
#[derive(Debug)]
pub(crate) struct JobResults {
    job: JobId,
    /// The number of the job in Arthas.
    upstream: u64,
    /// How many results Arthas keeps for us.
    queue: usize,
    /// Results since its queue was last seen empty.
    since_empty: usize,
    /// Pulls in a row that were full.
    full_pulls: usize,
    exit: Option<Exit>,
    /// Why Arthas itself ended the job, in its words.
    killed: Option<String>,
}

impl JobResults {
    pub(crate) fn new(job: JobId, upstream: u64, queue: usize) -> Self {
        Self {
            job,
            upstream,
            queue,
            since_empty: 0,
            full_pulls: 0,
            exit: None,
            killed: None,
        }
    }

    /// Takes the results of a pull, and returns what the job reports.
    ///
    /// Results have no numbers, so a loss can't be counted. But a queue that has overflowed stays full
    /// until it is pulled: if fewer results than it holds have come since it was last empty, none was
    /// dropped. Otherwise a result says that some may be missing.
    pub(crate) fn take(&mut self, pulled: Vec<Members>) -> Vec<Arc<str>> {
        let count = pulled.len();
        let items: usize = pulled.iter().map(items).sum();
        let had_room = self.since_empty < self.queue;
        self.since_empty += count;
        let mut reported = Vec::with_capacity(count);
        if had_room && self.since_empty >= self.queue {
            reported.push(self.gap(&format!(
                "results may be missing here: Arthas keeps {} for each reader, and as many were \
                 waiting",
                self.queue
            )));
        }
        for members in pulled {
            self.take_result(members, &mut reported);
        }
        if count < PULL_RESULTS && items < PULL_ITEMS {
            self.since_empty = 0;
            self.full_pulls = 0;
        } else {
            self.full_pulls += 1;
        }
        reported
    }

    /// How the job ended, if that is certain. Arthas ends a job whose results come faster than it can
    /// distribute them, and says so only after a status of success: when the queue was not empty
    /// after the last pull, one more is needed.
    pub(crate) fn exit(&self) -> Option<Exit> {
        if let Some(reason) = &self.killed {
            let message =
                format!("Arthas ended the command, because its results came too fast: {reason}");
            return Some(Exit {
                status: KILLED,
                message: Some(message),
                ..Exit::default()
            });
        }
        self.exit.clone().filter(|_| self.full_pulls == 0)
    }

    /// How the job ended as far as Arthas has said it, if nothing more can be learned.
    pub(crate) fn last_exit(&self) -> Option<Exit> {
        self.exit.clone()
    }

    fn take_result(&mut self, mut members: Members, reported: &mut Vec<Arc<str>>) {
        let kind = text(&members, "type").unwrap_or_default();
        let job = members
            .get("jobId")
            .and_then(|id| id.get().parse::<u64>().ok());
        if kind == "message"
            && let Some(message) = text(&members, "message").filter(|it| it.contains(KILLED_JOB))
        {
            self.killed = Some(message);
            return;
        }
        if job != Some(self.upstream) || ["command", "input_status"].contains(&&*kind) {
            return;
        }
        if kind == "status" {
            let status = members.get("statusCode").map_or("", |status| status.get());
            self.exit.get_or_insert_with(|| Exit {
                // A status that can't be read is no success.
                status: status.parse().unwrap_or(1),
                message: text(&members, "message").filter(|message| !message.is_empty()),
                ..Exit::default()
            });
            return;
        }
        if let (Ok(own), Some(theirs)) = (to_raw_value(&self.job.0), members.remove("jobId")) {
            members.insert("jobId".into(), own);
            members.insert("upstreamJobId".into(), theirs);
            members.retain(|_, value| value.get() != "null");
            if let Ok(result) = serde_json::to_string(&members) {
                reported.push(result.into());
            }
        }
    }

    /// A result that says that some may be missing, and why.
    pub(crate) fn gap(&self, message: &str) -> Arc<str> {
        let members = Map::from_iter([
            ("certain".to_owned(), json!(false)),
            ("message".to_owned(), json!(message)),
        ]);
        encode_result(self.job, "upstream_gap", members)
    }
}

fn text(members: &Members, name: &str) -> Option<String> {
    let raw: &RawValue = members.get(name)?;
    serde_json::from_str(raw.get()).ok()
}

/// The items in a result, as Arthas counts them: what its lists and maps hold, at least one.
fn items(members: &Members) -> usize {
    let held = members.iter().map(|(name, value)| match value.get() {
        list if list.starts_with('[') => {
            serde_json::from_str::<Vec<&RawValue>>(list).map_or(0, |items| items.len())
        }
        map if map.starts_with('{') => {
            serde_json::from_str::<Members>(map).map_or(0, |items| items.len())
        }
        number if name == "nodeCount" => number.parse().unwrap_or(0),
        _ => 0,
    });
    held.sum::<usize>().max(1)
}

/// How Arthas says that it ended a job, because all readers are slow ("all consumers are unhealthy")
/// or its own threads are ("result queue is full").
const KILLED_JOB: &str = "current job was interrupted";

/// The status of a job that was killed, as a shell gives it.
const KILLED: i32 = 137;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn pulled(results: &[Value]) -> Vec<Members> {
        serde_json::from_value(json!(results)).unwrap()
    }

    fn watch(number: usize) -> Value {
        json!({"type": "watch", "jobId": 2, "value": number})
    }

    fn status(code: i32) -> Value {
        json!({"type": "status", "jobId": 2, "statusCode": code})
    }

    fn results() -> JobResults {
        JobResults::new(JobId(7), 2, 50)
    }

    #[test]
    fn a_result_is_unchanged_but_for_its_job() {
        let text = r#"[{"cost":3.4353620000000001,"jobId":2,"type":"watch","value":"a\u001b[m"}]"#;
        let reported = results().take(serde_json::from_str(text).unwrap());
        assert_eq!(
            reported,
            [r#"{"cost":3.4353620000000001,"jobId":7,"type":"watch","upstreamJobId":2,"value":"a\u001b[m"}"#.into()]
        );
    }

    #[test]
    fn what_is_not_the_jobs_is_left_out() {
        let reported = results().take(pulled(&[
            json!({"type": "message", "jobId": 0, "message": "Welcome to arthas!"}),
            json!({"type": "command", "jobId": 2, "state": "SCHEDULED"}),
            json!({"type": "input_status", "jobId": 0, "inputStatus": "ALLOW_INPUT"}),
            json!({"type": "watch", "jobId": 1, "value": "of an earlier job"}),
        ]));
        assert_eq!(reported, Vec::<Arc<str>>::new());
    }

    #[test]
    fn the_status_is_how_the_job_ended() {
        let mut job = results();
        assert_eq!(job.exit(), None);
        let failed = json!({"type": "status", "jobId": 2, "statusCode": -1, "message": "No class"});
        assert!(job.take(pulled(&[failed])).is_empty());
        let exit = job.exit().unwrap();
        assert_eq!(
            (exit.status, exit.message.as_deref()),
            (-1, Some("No class"))
        );
    }

    #[test]
    fn a_job_that_was_killed_for_its_readers_has_not_succeeded() {
        let mut job = results();
        let mut full: Vec<_> = (0..PULL_RESULTS - 1).map(watch).collect();
        full.push(status(0));
        job.take(pulled(&full));
        assert_eq!(job.exit(), None, "the reason may be in the next pull");
        let reason = "all consumers are unhealthy, current job was interrupted.";
        job.take(pulled(&[
            json!({"type": "message", "jobId": 0, "message": reason}),
        ]));
        assert_eq!(job.exit().unwrap().status, KILLED);
    }

    #[test]
    fn after_a_full_queue_that_nobody_was_killed_for_the_status_counts() {
        let mut job = results();
        let mut full: Vec<_> = (0..PULL_RESULTS - 1).map(watch).collect();
        full.push(status(0));
        job.take(pulled(&full));
        job.take(Vec::new());
        assert_eq!(job.exit(), Some(Exit::default()));
    }

    #[test]
    fn a_loss_is_reported_only_where_there_may_be_one_and_once() {
        let mut job = results();
        let full: Vec<_> = (0..PULL_RESULTS).map(watch).collect();
        let is_gap = |result: &Arc<str>| result.contains("upstream_gap");
        for (pull, gaps) in [(1, 0), (2, 0), (3, 1), (4, 0)] {
            let reported = job.take(pulled(&full));
            assert_eq!(
                reported.iter().filter(|it| is_gap(it)).count(),
                gaps,
                "pull {pull}"
            );
        }
        job.take(pulled(&[watch(1)]));
        for _ in 0..2 {
            assert!(
                !job.take(pulled(&full)).iter().any(is_gap),
                "the queue was empty before"
            );
        }
    }
}
