//! Puts the local terminal into raw mode, and back, whatever happens.

use rejoin_screen::Modes;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// The terminal, in raw mode while this lives.
#[derive(Debug)]
pub(crate) struct LocalTerminal(());

/// What brings the terminal back.
struct Before {
    termios: Termios,
    /// What jobs have set on it since.
    modes: Modes,
    /// Whether it is in raw mode now.
    is_raw: bool,
}

/// One process has one terminal; a panic and a signal must find it.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

impl LocalTerminal {
    /// Puts the terminal on standard input into raw mode.
    pub(crate) fn open() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                next(panic);
                // On any thread: the others would go on with a terminal whose keys are not read.
                std::process::exit(PANICKED);
            }));
        });
        let termios = tcgetattr(io::stdin())?;
        let before = Before {
            termios,
            modes: Modes::new(),
            is_raw: false,
        };
        *before_now() = Some(before);
        resume()?;
        Ok(Self(()))
    }

    /// Writes what a job writes.
    pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
        if let Some(before) = before_now().as_mut() {
            before.modes.feed(bytes);
        }
        write_all(bytes)
    }
}

impl Drop for LocalTerminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Brings the terminal back to what it was. Does nothing the second time.
pub(crate) fn restore() {
    pause();
    *before_now() = None;
}

/// Brings the terminal back for a while.
pub(crate) fn pause() {
    let mut before = before_now();
    let Some(before) = before.as_mut().filter(|it| it.is_raw) else {
        return;
    };
    before.is_raw = false;
    // If it fails, the terminal is gone.
    let _ = write_all(before.modes.undo().as_bytes());
    before.modes = Modes::new();
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before.termios);
}

/// Puts the terminal into raw mode again.
pub(crate) fn resume() -> io::Result<()> {
    if let Some(before) = before_now().as_mut() {
        let mut raw = before.termios.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        before.is_raw = true;
    }
    Ok(())
}

/// Whether standard input and standard output are terminals.
pub(crate) fn are_terminals() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Columns and rows of the terminal; 80 and 24 if it doesn't know.
pub(crate) fn size() -> (u16, u16) {
    let known = [
        tcgetwinsize(io::stdout()),
        tcgetwinsize(io::stdin()),
        tcgetwinsize(io::stderr()),
    ];
    let known = known.into_iter().flatten();
    known
        .map(|it| (it.ws_col, it.ws_row))
        .find(|(columns, rows)| *columns > 0 && *rows > 0)
        .unwrap_or((80, 24))
}

/// Writes to the terminal, also if another program has made it non-blocking.
fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(io::stdout(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let out = io::stdout();
                let mut wanted = [rustix::event::PollFd::new(
                    &out,
                    rustix::event::PollFlags::OUT,
                )];
                match rustix::event::poll(&mut wanted, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn before_now() -> MutexGuard<'static, Option<Before>> {
    // A panic restores the terminal, also if another thread has changed it.
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writer of a [`Display`](super::Display) on the local terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalOut;

impl Write for LocalOut {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LocalTerminal::write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Exit status after a panic, as usual.
const PANICKED: i32 = 101;
