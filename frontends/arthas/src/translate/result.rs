//! The JSON of each type of result that the product itself shows.

use super::Results;
use crate::wire::{Object, State};
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;
use rejoin_engine::{InterruptCause, JobId, JobSlot, Outcome, Server, Timestamp};

/// What a consumer of the session may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputStatus {
    AllowInput,
    AllowInterrupt,
    Disabled,
}

impl Results {
    pub(super) fn input_status(&mut self, status: InputStatus) {
        Object::write(self.begin(), |result| {
            let status = match status {
                InputStatus::AllowInput => "ALLOW_INPUT",
                InputStatus::AllowInterrupt => "ALLOW_INTERRUPT",
                InputStatus::Disabled => "DISABLED",
            };
            result.plain("inputStatus", status);
            result.value("jobId", NO_JOB);
            result.plain("type", "input_status");
        });
    }

    pub(super) fn message(&mut self, message: &str) {
        Object::write(self.begin(), |result| {
            result.value("jobId", NO_JOB);
            result.text("message", message);
            result.plain("type", "message");
        });
    }

    pub(super) fn welcome(&mut self, at: Timestamp, server: &Server, zone: &TimeZone) {
        Object::write(self.begin(), |result| {
            result.value("jobId", NO_JOB);
            result.shown("pid", server.process);
            result.plain("time", &local_time(at, zone));
            result.plain("tutorials", TUTORIALS);
            result.plain("type", "welcome");
            result.text("version", &server.version);
            result.plain("wiki", WIKI);
        });
    }

    /// A submitted command, as the line that would submit it.
    pub(super) fn command(&mut self, job: JobId, statement: &str, slot: JobSlot) {
        Object::write(self.begin(), |result| {
            match slot {
                JobSlot::Foreground => result.text("command", statement),
                JobSlot::Background => result.text("command", &format!("{statement} &")),
            }
            result.value("jobId", job);
            result.plain("state", State::Scheduled.as_str());
            result.plain("type", "command");
        });
    }

    pub(super) fn refused_command(&mut self, statement: Option<&str>, reason: &str) {
        Object::write(self.begin(), |result| {
            result.optional("command", statement);
            result.value("jobId", NO_JOB);
            result.text("message", reason);
            result.plain("state", State::Failed.as_str());
            result.plain("type", "command");
        });
    }

    pub(super) fn status(
        &mut self,
        job: JobId,
        outcome: Outcome,
        status: i32,
        message: Option<&str>,
    ) {
        Object::write(self.begin(), |result| {
            result.value("jobId", job);
            result.optional("message", message);
            result.value("statusCode", status_code(outcome, status, message));
            result.plain("type", "status");
        });
    }
}

/// The product's clients do not treat a job as failed that somebody interrupted. Nobody asked for the
/// end of one that was cut off, so it must not look like a success.
fn status_code(outcome: Outcome, status: i32, message: Option<&str>) -> i32 {
    match outcome {
        Outcome::Interrupted if is_cut_off(outcome, message) && status == 0 => CUT_OFF_STATUS,
        Outcome::Interrupted if is_cut_off(outcome, message) => status,
        Outcome::Interrupted | Outcome::TimedOut => 0,
        Outcome::Completed | Outcome::Failed | Outcome::Lost => status,
    }
}

/// Whether a job ended because its session was closed or the server was shut down.
pub(super) fn is_cut_off(outcome: Outcome, message: Option<&str>) -> bool {
    let causes = [InterruptCause::SessionClosed, InterruptCause::Shutdown];
    outcome == Outcome::Interrupted
        && message.is_some()
        && causes.iter().any(|cause| cause.message() == message)
}

/// The status of a job that was cut off and ended with 0, as after SIGHUP.
const CUT_OFF_STATUS: i32 = 129;

fn local_time(at: Timestamp, zone: &TimeZone) -> String {
    const TIME: DateTimePrinter = DateTimePrinter::new().separator(b' ').precision(Some(3));
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    TIME.datetime_to_string(&zone.to_datetime(instant))
}

/// The `jobId` of results that belong to no job.
const NO_JOB: u64 = 0;

/// Documentation of the product, as `welcome` names it.
const TUTORIALS: &str = "https://arthas.aliyun.com/doc/arthas-tutorials.html";
const WIKI: &str = "https://arthas.aliyun.com/doc";
