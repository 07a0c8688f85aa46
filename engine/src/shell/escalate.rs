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

/// Waits for an interrupt, sets `interrupted`, and sends signals: each next one after the grace time
/// or at the next interrupt. Ready when everything was killed and the job's output need not be read
/// any longer.
pub(super) async fn escalate(
    shell: &Shell,
    group: &Group,
    mark: &Mark,
    interrupts: &Interrupts,
    interrupted: &AtomicBool,
) {
    let steps = match next(interrupts).await {
        InterruptCause::SessionClosed | InterruptCause::Shutdown => FIRM,
        InterruptCause::Requested | InterruptCause::Timeout | InterruptCause::OutputLimit => GENTLE,
    };
    interrupted.store(true, Ordering::SeqCst);
    for &signal in steps {
        group.signal(signal);
        let grace = shell.runtime.timer(shell.grace);
        select(pin!(next(interrupts)), grace).await;
    }
    group.signal(Signal::KILL);
    // A process that left the group and has the output open would keep the job from ending.
    process_sweep::end_all(mark, &shell.runtime).await;
    shell.runtime.timer(WAIT_FOR_OUTPUT).await;
}

/// The next interrupt. Never ready once there can be no more.
async fn next(interrupts: &Interrupts) -> InterruptCause {
    match interrupts.next().await {
        Some(cause) => cause,
        None => pending().await,
    }
}

/// As Ctrl-C in a terminal does.
const GENTLE: &[Signal] = &[Signal::INT, Signal::TERM];

/// As at the shutdown of a host: a job can still write its last output.
const FIRM: &[Signal] = &[Signal::TERM];
