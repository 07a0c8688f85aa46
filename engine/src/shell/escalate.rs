//! Interrupts a job by signals, each firmer than the last.

use super::process_group::Group;
use super::process_sweep::{self, Mark};
use super::{Shell, WAIT_FOR_OUTPUT};
use crate::jobs::runner::Interrupts;
use futures::future::{pending, select};
use rejoin_core::InterruptCause;
use rustix::process::Signal;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

/// Passes interrupts on as signals, the next one when the grace time is over or another interrupt
/// comes; sets `interrupted` with the first. Ready only when nothing firmer is left to do and the
/// job's output is to be read no longer.
pub(super) async fn escalate(
    shell: &Shell,
    group: &Group,
    mark: &Mark,
    interrupts: &Interrupts,
    interrupted: &AtomicBool,
) {
    let steps = match another(interrupts).await {
        InterruptCause::SessionClosed | InterruptCause::Shutdown => FIRM,
        InterruptCause::Requested | InterruptCause::Timeout | InterruptCause::OutputLimit => GENTLE,
    };
    interrupted.store(true, Ordering::SeqCst);
    for &signal in steps {
        group.signal(signal);
        let grace = shell.runtime.timer(shell.grace);
        select(pin!(another(interrupts)), grace).await;
    }
    group.signal(Signal::KILL);
    // What left the group and holds the output would hold the job for ever.
    process_sweep::end_all(mark, &shell.runtime).await;
    shell.runtime.timer(WAIT_FOR_OUTPUT).await;
}

/// The next interrupt; none comes from an engine that has forgotten the job.
async fn another(interrupts: &Interrupts) -> InterruptCause {
    match interrupts.next().await {
        Some(cause) => cause,
        None => pending().await,
    }
}

/// As from a terminal.
const GENTLE: &[Signal] = &[Signal::INT, Signal::TERM];

/// As when a host shuts down: a job can still write its last output.
const FIRM: &[Signal] = &[Signal::TERM];
