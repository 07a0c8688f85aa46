//! `rejoin replay`: plays a session as a viewer would have seen it, at any speed. Changes nothing.

mod speed;

use crate::args::ReplayArgs;
use crate::offline::{OfflineError, Session, conclude, written};
use speed::Playback;
pub(crate) use speed::Speed;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Waits between two records; tests record the pauses instead.
trait Pauses {
    fn wait(&mut self, pause: Duration);
}

/// Really sleeps.
struct Sleeping;

impl Pauses for Sleeping {
    fn wait(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

/// Plays the session on standard output; the exit status says whether all of it could be read.
pub(crate) fn run(args: &ReplayArgs) -> Result<ExitCode, OfflineError> {
    let session = Session::find(&args.session)?;
    let out = io::stdout();
    let is_terminal = out.is_terminal();
    let default = if is_terminal {
        Speed::RECORDED
    } else {
        Speed::MAX
    };
    let playback = Playback::new(
        args.speed.unwrap_or(default),
        args.idle_limit.map(|it| it.0),
    );
    play(
        &session,
        is_terminal && may_be_styled(std::env::var_os("NO_COLOR")),
        playback,
        &mut Sleeping,
        &mut io::BufWriter::new(out.lock()),
    )
}

/// Whether `NO_COLOR` allows styles; see <https://no-color.org>.
pub(crate) fn may_be_styled(no_color: Option<std::ffi::OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

fn play(
    session: &Session,
    is_styled: bool,
    mut playback: Playback,
    pauses: &mut dyn Pauses,
    out: &mut dyn Write,
) -> Result<ExitCode, OfflineError> {
    let mut outcome = Ok(());
    let findings = session.read(is_styled, &mut |record, bytes| {
        if bytes.is_empty() {
            return true;
        }
        let pause = playback.pause_before(record.clock);
        outcome = (|| {
            if !pause.is_zero() {
                // Show the output so far during the pause.
                out.flush()?;
                pauses.wait(pause);
            }
            out.write_all(&bytes)
        })();
        outcome.is_ok()
    })?;
    written(outcome.and_then(|()| out.flush()), "the replay")?;
    Ok(conclude(&findings, Some(session.choice.session)))
}

#[cfg(test)]
mod tests;
