//! Signals while a job's terminal is shown, and after.
//!
//! A handler stays installed for as long as the process lives, so this does what the system would have
//! done where no terminal is shown any more.

use super::attachment::Shared;
use async_signal::{Signal, Signals};
use futures::StreamExt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Whose terminal is shown now.
static CURRENT: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

/// Whether the thread that waits for signals runs.
static LISTENS: Mutex<bool> = Mutex::new(false);

/// Signals are for this terminal from now on.
pub(super) fn listen(shared: &Arc<Shared>) -> io::Result<()> {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(shared));
    let mut listens = LISTENS.lock().unwrap_or_else(PoisonError::into_inner);
    if *listens {
        return Ok(());
    }
    let signals = Signals::new([
        Signal::Int,
        Signal::Term,
        Signal::Hup,
        Signal::Quit,
        Signal::Tstp,
        Signal::Winch,
    ])?;
    *listens = true;
    std::thread::spawn(move || wait(signals));
    Ok(())
}

/// No terminal is shown any more.
pub(super) fn forget() {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

fn wait(mut signals: Signals) {
    let mut is_interrupted = false;
    while let Some(Ok(signal)) = smol::block_on(signals.next()) {
        let current = CURRENT
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let number = signal as i32;
        let status = u8::try_from(128 + number).unwrap_or(u8::MAX);
        match (signal, current) {
            (Signal::Winch, Some(shared)) => shared.local_resized(),
            (Signal::Winch, None) => {}
            (Signal::Tstp, Some(shared)) => shared.suspend(),
            (Signal::Tstp, None) => {
                let own = rustix::process::getpid();
                let _ = rustix::process::kill_process(own, rustix::process::Signal::STOP);
            }
            // Not from the keyboard: there, Ctrl-C is a key like any other.
            (Signal::Int | Signal::Term, Some(shared)) if !is_interrupted => {
                is_interrupted = true;
                shared.interrupt();
            }
            (_, Some(shared)) => shared.leave(status),
            (_, None) => std::process::exit(status.into()),
        }
    }
}
