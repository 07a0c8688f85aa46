//! `rejoin replay`: shows a session as a viewer would have seen it, at the speed at which it
//! happened or another. Changes nothing.

mod speed;

use crate::args::ReplayArgs;
use crate::offline::{OfflineError, Session, conclude, written};
pub(crate) use speed::Speed;
use speed::Tempo;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Where the time that passes between two records passes.
trait Pace {
    fn wait(&mut self, pause: Duration);
}

/// In earnest.
struct Sleeping;

impl Pace for Sleeping {
    fn wait(&mut self, pause: Duration) {
        std::thread::sleep(pause);
    }
}

/// Shows the session on standard output; the status says whether all of it could be read.
pub(crate) fn run(args: &ReplayArgs) -> Result<ExitCode, OfflineError> {
    let session = Session::find(&args.session)?;
    let out = io::stdout();
    let is_terminal = out.is_terminal();
    let default = if is_terminal {
        Speed::RECORDED
    } else {
        Speed::MAX
    };
    let tempo = Tempo::new(
        args.speed.unwrap_or(default),
        args.idle_limit.map(|it| it.0),
    );
    play(
        &session,
        is_terminal && may_be_styled(std::env::var_os("NO_COLOR")),
        tempo,
        &mut Sleeping,
        &mut io::BufWriter::new(out.lock()),
    )
}

/// As <https://no-color.org> asks for.
pub(crate) fn may_be_styled(no_color: Option<std::ffi::OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

fn play(
    session: &Session,
    is_styled: bool,
    mut tempo: Tempo,
    pace: &mut dyn Pace,
    out: &mut dyn Write,
) -> Result<ExitCode, OfflineError> {
    let mut outcome = Ok(());
    let findings = session.read(is_styled, &mut |record, bytes| {
        if bytes.is_empty() {
            return true;
        }
        let pause = tempo.pause_before(record.at);
        outcome = (|| {
            if !pause.is_zero() {
                // What was shown before is seen while nothing else is.
                out.flush()?;
                pace.wait(pause);
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
