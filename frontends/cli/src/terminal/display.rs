//! Shows a job's terminal on the local one.
//!
//! Where both have the same size, or the person here controls it and its size follows, all bytes pass
//! unchanged. Otherwise an emulator takes them, and what fits is painted.

use super::limits::{FRAME, OUTPUT_BYTES};
use super::painter::Painter;
use rejoin_screen::Screen;
use std::io::{self, Write};
use std::time::Instant;

/// A job's terminal, shown here.
#[derive(Debug)]
pub(crate) struct Display<W> {
    out: W,
    /// The size of the job's terminal, and of this one.
    job: (u16, u16),
    local: (u16, u16),
    controls: bool,
    /// What is said about the terminal where it is painted.
    title: String,
    /// Output that is not written yet, where it passes unchanged.
    waiting: Vec<u8>,
    /// The screen, where it is painted.
    painted: Option<(Screen, Painter)>,
    last_frame: Option<Instant>,
    notice: Option<String>,
}

impl<W: Write> Display<W> {
    /// Shows a terminal that has just begun: what is on the local one stays there.
    pub(crate) fn new(out: W, job: (u16, u16), local: (u16, u16)) -> Self {
        Self {
            out,
            job,
            local,
            controls: false,
            title: String::new(),
            waiting: vec![],
            painted: None,
            last_frame: None,
            notice: None,
        }
    }

    /// What the line below a painted terminal says.
    pub(crate) fn set_title(&mut self, title: &str) {
        title.clone_into(&mut self.title);
    }

    /// Whether the terminal follows the size of this one. Returns whether [`Self::show`] is needed.
    pub(crate) fn set_control(&mut self, controls: bool) -> bool {
        self.controls = controls;
        self.must_change()
    }

    /// This terminal has another size. Returns whether [`Self::show`] is needed.
    pub(crate) fn set_local(&mut self, local: (u16, u16)) -> io::Result<bool> {
        self.local = local;
        if let Some((_, painter)) = &mut self.painted {
            painter.forget();
            self.out.write_all(b"\x1b[0m\x1b[2J")?;
            self.paint()?;
        }
        Ok(self.must_change())
    }

    /// The job's terminal has another size. Returns whether [`Self::show`] is needed.
    pub(crate) fn set_job(&mut self, job: (u16, u16)) -> io::Result<bool> {
        self.job = job;
        if let Some((screen, _)) = &mut self.painted {
            screen.resize(job.0, job.1);
        } else {
            self.flush()?;
        }
        Ok(self.must_change())
    }

    fn fits(&self) -> bool {
        self.controls || self.job == self.local
    }

    fn must_change(&self) -> bool {
        self.fits() == self.painted.is_some()
    }

    /// Shows the whole screen anew, from its content (see [`Screen::content`]).
    pub(crate) fn show(&mut self, job: (u16, u16), content: &str) -> io::Result<()> {
        self.job = job;
        self.waiting.clear();
        if self.fits() {
            // It is not painted again; a painted one stays for its time.
            self.notice = None;
            if self.painted.take().is_some() {
                self.out.write_all(LEAVE_PICTURE)?;
            }
            // What the last screen had set must not go on.
            self.out.write_all(RESET)?;
            self.out.write_all(content.as_bytes())?;
            return self.out.flush();
        }
        self.paint_from_now(job, content.as_bytes())
    }

    /// Paints from now on, beginning with this screen, also on a terminal of the same size.
    pub(crate) fn paint_from_now(&mut self, job: (u16, u16), content: &[u8]) -> io::Result<()> {
        self.job = job;
        let mut screen = Screen::new(job.0, job.1);
        screen.feed(content);
        match &mut self.painted {
            Some((before, _)) => *before = screen,
            none => {
                self.out.write_all(ENTER_PICTURE)?;
                *none = Some((screen, Painter::default()));
            }
        }
        self.paint()
    }

    /// Takes output. It is shown when [`Self::flush`] is called, or sooner.
    pub(crate) fn output(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.painted {
            Some((screen, _)) => {
                screen.feed(bytes);
                match self.last_frame.is_none_or(|at| now() - at >= FRAME) {
                    true => self.paint(),
                    false => Ok(()),
                }
            }
            None => {
                self.waiting.extend_from_slice(bytes);
                match self.waiting.len() < OUTPUT_BYTES {
                    true => Ok(()),
                    false => self.flush(),
                }
            }
        }
    }

    /// Shows all output that was taken.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.painted.is_some() {
            return self.paint();
        }
        if !self.waiting.is_empty() {
            self.out.write_all(&self.waiting)?;
            self.waiting.clear();
        }
        self.out.flush()
    }

    /// Shows a line about something else in the last row. [`Self::show`] takes it away.
    pub(crate) fn notice(&mut self, words: &str) -> io::Result<()> {
        self.notice = Some(words.to_owned());
        if self.painted.is_some() {
            return self.paint();
        }
        self.flush()?;
        let (columns, rows) = self.local;
        let fits: String = words.chars().take(usize::from(columns)).collect();
        write!(
            self.out,
            "\x1b7\x1b[{rows};1H\x1b[0;7m\x1b[K{fits}\x1b[0m\x1b8"
        )?;
        self.out.flush()
    }

    /// Takes away a notice, if that needs nothing else. Returns whether [`Self::show`] is needed.
    pub(crate) fn drop_notice(&mut self) -> io::Result<bool> {
        if self.notice.take().is_none() {
            return Ok(false);
        }
        match self.painted {
            Some(_) => self.paint().map(|()| false),
            None => Ok(true),
        }
    }

    /// Ends: where it was painted, what is visible last stays there as text.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let Some((screen, _)) = self.painted.take() else {
            return self.flush();
        };
        self.out.write_all(LEAVE_PICTURE)?;
        let text = screen.text();
        for line in text.trim_end().lines() {
            write!(self.out, "{line}\r\n")?;
        }
        self.out.flush()
    }

    /// Ends where it was painted, and leaves nothing.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        if self.painted.take().is_some() {
            self.out.write_all(LEAVE_PICTURE)?;
        }
        self.out.flush()
    }

    fn paint(&mut self) -> io::Result<()> {
        let Some((screen, painter)) = &mut self.painted else {
            return Ok(());
        };
        let (columns, rows) = screen.size();
        let line = match &self.notice {
            Some(notice) => notice.clone(),
            None => {
                let part = match (
                    columns > self.local.0,
                    rows > self.local.1.saturating_sub(1),
                ) {
                    (false, false) => "",
                    _ => ", not all of it fits here",
                };
                format!("{}{columns}×{rows}{part}", self.title)
            }
        };
        let painted = painter.paint(screen, self.local, &line);
        self.last_frame = Some(now());
        self.out.write_all(painted.as_bytes())?;
        self.out.flush()
    }
}

impl Display<Vec<u8>> {
    /// What was written since the last call.
    pub(crate) fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how often a picture is painted is measured by this machine's clock"
)]
fn now() -> Instant {
    Instant::now()
}

/// A clear terminal without margins, colours, character sets and modes of a program.
const RESET: &[u8] =
    b"\x1b[?1049l\x1b[?1000;1002;1003;1004;1005;1006;1015;2004l\x1b>\x1b[?1;6l\x1b[?7;25h\
    \x1b[4l\x1b[20l\x1b(B\x0f\x1b[r\x1b[0m\x1b[H\x1b[2J";

/// Another screen, without the modes of a program; what was shown stays on the first, and so does its
/// cursor, which the end of the origin mode would move.
const ENTER_PICTURE: &[u8] =
    b"\x1b[?1000;1002;1003;1004;1005;1006;1015;2004l\x1b>\x1b[?1l\x1b[?7h\x1b[4l\
    \x1b[20l\x1b(B\x0f\x1b7\x1b[r\x1b8\x1b[?1049h\x1b[?6l\x1b[0m\x1b[H\x1b[2J";
const LEAVE_PICTURE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";

#[cfg(test)]
mod tests {
    use super::*;

    /// What a local terminal shows that was written to.
    fn shown(display: &mut Display<Vec<u8>>, local: &mut Screen) -> String {
        local.feed(&std::mem::take(&mut display.out));
        local.text()
    }

    #[test]
    fn bytes_pass_unchanged_to_a_terminal_of_the_same_size_and_to_the_controllers() {
        for (local, controls) in [((80, 24), false), ((100, 30), true)] {
            let mut display = Display::new(vec![], (80, 24), local);
            assert!(!display.set_control(controls));
            display.output(b"a\xff\x1b[31m").unwrap();
            display.flush().unwrap();
            assert_eq!(display.out, b"a\xff\x1b[31m");
        }
    }

    #[test]
    fn a_viewer_with_a_smaller_terminal_sees_what_fits_and_that_it_is_not_all() {
        let mut display = Display::new(vec![], (20, 6), (12, 3));
        let mut local = Screen::new(12, 3);
        display.set_title("you watch, ");
        assert!(display.set_control(false), "it has to be painted");
        display.show((20, 6), "one\r\ntwo\r\nthree").unwrap();
        assert_eq!(
            shown(&mut display, &mut local),
            "two\nthree\nyou watch, 2\n"
        );
        // The control makes the terminal as large as this one.
        assert!(display.set_control(true));
        display.show((12, 3), "one\r\ntwo").unwrap();
        assert_eq!(shown(&mut display, &mut local), "one\ntwo\n\n");
        assert!(!local.is_alternate());
    }

    #[test]
    fn a_notice_goes_when_the_screen_is_shown_again() {
        let mut display = Display::new(vec![], (20, 3), (20, 3));
        let mut local = Screen::new(20, 3);
        display.output(b"\x1b[Hwork").unwrap();
        display.notice("reconnecting").unwrap();
        assert_eq!(shown(&mut display, &mut local), "work\n\nreconnecting\n");
        assert!(display.drop_notice().unwrap());
        display.show((20, 3), "work").unwrap();
        assert_eq!(shown(&mut display, &mut local), "work\n\n\n");
        assert_eq!(local.cursor(), Some((4, 0)));
    }

    #[test]
    fn a_late_viewer_starts_with_a_clear_terminal() {
        let mut display = Display::new(vec![], (20, 3), (20, 3));
        let mut local = Screen::new(20, 3);
        local.feed(b"old\x1b[31m\x1b[?1049hold\x1b[2;3r\x1b[4h\x1b[?6h");
        let job = {
            let mut job = Screen::new(20, 3);
            job.feed(b"$ vi\r\n\x1b[?1049h\x1b[Hedited");
            job
        };
        display.show((20, 3), &job.content()).unwrap();
        assert_eq!(shown(&mut display, &mut local), "edited\n\n\n");
        assert_eq!(local.content(), job.content());
    }
}
