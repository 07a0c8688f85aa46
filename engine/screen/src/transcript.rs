//! What a person saw on a terminal, as text.

use crate::limits::LINE_BYTES;
use crate::screen::Screen;
use avt::observer::{Observation, Observer};
use avt::parser::Function;
use avt::{Line, Operation};

/// Collects the lines of one terminal: those that scrolled off or were cleared, then the last screen.
///
/// A line that the terminal wrapped is one line again. What a full-screen program shows beside the
/// lines is left out, unless it is what was shown last.
#[derive(Debug)]
pub struct Transcript {
    screen: Screen,
    gone: Gone,
}

impl Transcript {
    /// The transcript of a new terminal.
    pub fn new(columns: u16, rows: u16) -> Self {
        Self {
            screen: Screen::new(columns, rows),
            gone: Gone::default(),
        }
    }

    /// Takes what a program has written; returns the lines that can't change any more.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.screen.feed_with(bytes, &mut self.gone);
        std::mem::take(&mut self.gone.lines)
    }

    /// Changes the size; returns the lines that can't change any more.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Vec<String> {
        self.screen.resize_with(columns, rows, &mut self.gone);
        std::mem::take(&mut self.gone.lines)
    }

    /// The rest of the lines.
    pub fn finish(mut self) -> Vec<String> {
        self.gone.finish(self.screen.primary_lines());
        if self.screen.is_alternate() {
            self.gone.finish(self.screen.lines());
        }
        self.gone.lines
    }

    /// What is shown now.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }
}

/// The lines that scrolled off.
#[derive(Debug, Default)]
struct Gone {
    lines: Vec<String>,
    /// The beginning of a line that was wrapped.
    begun: String,
}

impl Gone {
    fn push(&mut self, line: &Line) {
        self.begun.extend(line.chars());
        if !line.is_wrapped() || self.begun.len() > LINE_BYTES {
            self.lines.push(self.begun.trim_end().to_owned());
            self.begun.clear();
        }
    }

    /// Takes all lines of a screen, without the empty ones at its end.
    fn finish<'a>(&mut self, lines: impl Iterator<Item = &'a Line>) {
        let before = self.lines.len();
        for line in lines {
            self.push(line);
        }
        if !self.begun.is_empty() {
            self.lines.push(std::mem::take(&mut self.begun));
        }
        while self.lines.len() > before && self.lines.last().is_some_and(String::is_empty) {
            self.lines.pop();
        }
    }
}

impl Observer for Gone {
    type Output = ();

    fn before(&mut self, context: &mut Observation<'_>, operation: &Operation) {
        if matches!(operation, Operation::Function(Function::Ris)) {
            self.finish(context.terminal().primary_screen().all_lines());
        }
    }

    fn evicted(&mut self, _: &mut Observation<'_>, line: &Line) {
        self.push(line);
    }

    fn end(&mut self, _: &mut Observation<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(columns: u16, rows: u16, written: &[&str]) -> Vec<String> {
        let mut transcript = Transcript::new(columns, rows);
        let mut lines = vec![];
        for written in written {
            lines.extend(transcript.feed(written.as_bytes()));
        }
        lines.extend(transcript.finish());
        lines
    }

    #[test]
    fn lines_are_as_a_person_saw_them() {
        let written = [
            "10%\r20%\r\x1b[31mdone\x1b[0m\r\nlong ",
            "line that is wrapped\r\n",
            "last",
        ];
        let expected = ["done", "long line that is wrapped", "last"];
        assert_eq!(lines(8, 2, &written), expected);
        assert_eq!(lines(80, 24, &written), expected);
    }

    #[test]
    fn an_editor_is_not_in_the_text_unless_it_was_open_at_the_end() {
        let edited = "$ vi\r\n\x1b[?1049h\x1b[H\x1b[2Jedited\x1b[?1049l$ ";
        assert_eq!(lines(20, 4, &[edited]), ["$ vi", "$"]);
        let open = "$ vi\r\n\x1b[?1049h\x1b[H\x1b[2Jedited";
        assert_eq!(lines(20, 4, &[open]), ["$ vi", "edited"]);
    }

    #[test]
    fn a_line_without_an_end_takes_bounded_memory() {
        let mut transcript = Transcript::new(80, 4);
        let mut longest = 0;
        for _ in 0..400 {
            for line in transcript.feed(&[b'x'; 1000]) {
                longest = longest.max(line.len());
            }
        }
        assert!(transcript.gone.begun.len() <= LINE_BYTES + 80);
        assert!(
            (LINE_BYTES..LINE_BYTES + 100).contains(&longest),
            "{longest}"
        );
    }
}
