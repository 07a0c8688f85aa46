//! `rejoin replay`: plays a session as a viewer would have seen it, at any speed. Changes nothing.

mod speed;
mod theatre;

use crate::args::ReplayArgs;
use crate::offline::{OfflineError, Seen, Session, TerminalOutput, conclude, written};
use crate::terminal;
use speed::Playback;
pub(crate) use speed::Speed;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;
use theatre::Theatre;

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
    let style = ReplayStyle {
        is_styled: is_terminal && may_be_styled(std::env::var_os("NO_COLOR")),
        terminals: match (is_terminal, playback.waits()) {
            (false, _) => ReplayTerminals::Bytes,
            // The pictures would not be seen.
            (true, false) => ReplayTerminals::Text,
            (true, true) => ReplayTerminals::Pictures(terminal::size()),
        },
    };
    play(
        &session,
        style,
        playback,
        &mut Sleeping,
        &mut io::BufWriter::new(out.lock()),
    )
}

/// Whether `NO_COLOR` allows styles; see <https://no-color.org>.
pub(crate) fn may_be_styled(no_color: Option<std::ffi::OsString>) -> bool {
    no_color.is_none_or(|value| value.is_empty())
}

/// How a replay looks.
#[derive(Clone, Copy, Debug)]
struct ReplayStyle {
    /// Whether prompts and notes are styled.
    is_styled: bool,
    terminals: ReplayTerminals,
}

/// How the terminals of jobs are shown.
#[derive(Clone, Copy, Debug)]
enum ReplayTerminals {
    /// All bytes, unchanged.
    Bytes,
    /// The lines that a person saw.
    Text,
    /// As they looked, on a terminal of this size; then the lines.
    Pictures((u16, u16)),
}

fn play(
    session: &Session,
    style: ReplayStyle,
    mut playback: Playback,
    pauses: &mut dyn Pauses,
    out: &mut dyn Write,
) -> Result<ExitCode, OfflineError> {
    let mut outcome = Ok(());
    let (output, mut theatre) = match style.terminals {
        ReplayTerminals::Bytes => (TerminalOutput::Bytes, None),
        ReplayTerminals::Text => (TerminalOutput::Text, None),
        ReplayTerminals::Pictures(size) => (TerminalOutput::Bytes, Some(Theatre::new(size))),
    };
    let findings = session.read(style.is_styled, output, &mut |seen| {
        outcome = (|| match (seen, &mut theatre) {
            (Seen::Begun(terminals), None) => {
                let mut screens = terminals.screens();
                screens.try_for_each(|(_, screen)| out.write_all(screen.content().as_bytes()))
            }
            (Seen::Begun(terminals), Some(theatre)) => theatre.resume(terminals, out),
            (Seen::Ended(rest), None) => out.write_all(&rest),
            (Seen::Ended(_), Some(theatre)) => theatre.end(out),
            (Seen::Record(record, bytes), theatre) => {
                let is_pictured = theatre.as_ref().is_some_and(|it| it.pictures(record));
                if bytes.is_empty() && !is_pictured {
                    return Ok(());
                }
                let pause = playback.pause_before(record.clock);
                if !pause.is_zero() {
                    // Show the output so far during the pause.
                    if let Some(theatre) = theatre {
                        theatre.flush(out)?;
                    }
                    out.flush()?;
                    pauses.wait(pause);
                }
                match theatre {
                    Some(theatre) => theatre.take(record, &bytes, out),
                    None => out.write_all(&bytes),
                }
            }
        })();
        outcome.is_ok()
    })?;
    written(outcome.and_then(|()| out.flush()), "the replay")?;
    Ok(conclude(&findings, Some(session.choice.session)))
}

#[cfg(test)]
mod tests;
