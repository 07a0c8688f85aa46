//! Interrupts a job by signals, each firmer than the last.

use super::process_group::Group;
use super::process_sweep::{self, Mark};
use super::{Shell, WAIT_FOR_OUTPUT};
use crate::jobs::runner::{Interrupt, Interrupts};
use futures::future::{Either, pending, select};
use rejoin_core::InterruptCause;
use rustix::process::Signal;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::PoisonError;

/// What gets the signals.
pub(super) trait Target {
    /// Sends a signal to the process group. `interrupts` is the number of the last interrupt that led
    /// to it.
    fn signal(&self, signal: Signal, interrupts: u32);

    /// Sends a signal to everything in the session of the job's terminal.
    fn hang_up(&self, signal: Signal, interrupts: u32) {
        self.signal(signal, interrupts);
    }
}

impl Target for Group {
    fn signal(&self, signal: Signal, _interrupts: u32) {
        self.signal(signal);
    }
}

/// How far the interruption of a job has come.
#[derive(Debug)]
pub(super) struct Escalation(Mutex<(Option<Signal>, u32)>);

impl Escalation {
    /// A job that was sent this signal by an earlier server, after this many interrupts.
    pub(super) const fn after(last: Option<Signal>, interrupts: u32) -> Self {
        Self(Mutex::new((last, interrupts)))
    }

    pub(super) fn was_interrupted(&self) -> bool {
        self.get().0.is_some()
    }

    fn get(&self) -> (Option<Signal>, u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, signal: Option<Signal>, interrupts: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (signal, interrupts);
    }
}

/// How an escalation ended.
pub(super) enum Escalated {
    /// Everything was killed, and the job's output need not be read any longer.
    Killed,
    /// The engine ended before it interrupted the job.
    EngineEnded,
}

/// Waits for an interrupt, and sends signals: each next one after the grace time or at the next
/// interrupt.
pub(super) async fn escalate(
    shell: &Shell,
    target: &impl Target,
    mark: &Mark,
    interrupts: &Interrupts,
    escalation: &Escalation,
) -> Escalated {
    let (mut last, mut number) = escalation.get();
    loop {
        let next = match last {
            None => {
                let Some(interrupt) = interrupts.next_numbered().await else {
                    return Escalated::EngineEnded;
                };
                number = interrupt.number;
                first(interrupt.cause)
            }
            Some(signal) => {
                let grace = shell.runtime.timer(shell.grace);
                if let Either::Left((interrupt, _)) = select(pin!(next(interrupts)), grace).await {
                    number = interrupt.number;
                }
                match signal {
                    Signal::INT => Signal::TERM,
                    Signal::TERM => Signal::KILL,
                    // After SIGKILL the grace time is over, too.
                    _ => break,
                }
            }
        };
        // Before it is sent, because the job may end at once.
        escalation.set(Some(next), number);
        target.signal(next, number);
        last = Some(next);
        if next == Signal::KILL {
            break;
        }
    }
    // A process that left the group and has the output open would keep the job from ending.
    process_sweep::end_all(mark, &shell.runtime).await;
    shell.runtime.timer(WAIT_FOR_OUTPUT).await;
    Escalated::Killed
}

/// As [`escalate`], for a job with a terminal. A requested interrupt is for the program in the
/// foreground; a further one is firmer only within the grace time. Whatever ends the job itself is a
/// hang-up, as when somebody closes the window of a terminal.
pub(super) async fn escalate_terminal(
    shell: &Shell,
    target: &impl Target,
    mark: &Mark,
    interrupts: &Interrupts,
    escalation: &Escalation,
) -> Escalated {
    let (mut hung_up, mut number) = escalation.get();
    let mut last = None;
    while hung_up.is_none() {
        let interrupt = match last {
            None => interrupts.next_numbered().await,
            Some(_) => {
                let grace = shell.runtime.timer(shell.grace);
                match select(pin!(interrupts.next_numbered()), grace).await {
                    Either::Left((interrupt, _)) => interrupt,
                    Either::Right(_) => {
                        last = None;
                        continue;
                    }
                }
            }
        };
        let Some(interrupt) = interrupt else {
            return Escalated::EngineEnded;
        };
        number = interrupt.number;
        if interrupt.cause == InterruptCause::Requested {
            let next = match last {
                None => Signal::INT,
                Some(Signal::INT) => Signal::TERM,
                Some(_) => Signal::KILL,
            };
            target.signal(next, number);
            last = Some(next);
        } else {
            // Before it is sent, because the job may end at once.
            escalation.set(Some(Signal::HUP), number);
            target.hang_up(Signal::HUP, number);
            hung_up = Some(Signal::HUP);
        }
    }
    let grace = shell.runtime.timer(shell.grace);
    if let Either::Left((interrupt, _)) = select(pin!(next(interrupts)), grace).await {
        number = interrupt.number;
    }
    escalation.set(Some(Signal::KILL), number);
    target.hang_up(Signal::KILL, number);
    process_sweep::end_all(mark, &shell.runtime).await;
    shell.runtime.timer(WAIT_FOR_OUTPUT).await;
    Escalated::Killed
}

/// The next interrupt. Never ready once there can be no more.
async fn next(interrupts: &Interrupts) -> Interrupt {
    match interrupts.next_numbered().await {
        Some(interrupt) => interrupt,
        None => pending().await,
    }
}

/// The first signal: as Ctrl-C in a terminal does, or as at the shutdown of a host, so that a job can
/// still write its last output.
const fn first(cause: InterruptCause) -> Signal {
    match cause {
        InterruptCause::SessionClosed | InterruptCause::Shutdown => Signal::TERM,
        InterruptCause::Requested | InterruptCause::Timeout | InterruptCause::OutputLimit => {
            Signal::INT
        }
    }
}
