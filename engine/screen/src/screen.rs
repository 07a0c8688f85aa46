//! The screen of a terminal.

use crate::decoder::Decoder;
use crate::limits::{COLUMNS, ROWS};
use crate::modes::State;
use crate::sequences::{Part, Sequences};
use avt::observer::Observer;
use avt::{Line, ScreenKind, Terminal};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a terminal shows.
pub struct Screen {
    terminal: Terminal,
    decoder: Decoder,
    sequences: Sequences,
    modes: State,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl Screen {
    /// The empty screen of a new terminal. A size outside the [limits](crate::limits) is brought inside.
    pub fn new(columns: u16, rows: u16) -> Self {
        Self {
            terminal: terminal(columns, rows),
            decoder: Decoder::default(),
            sequences: Sequences::default(),
            modes: State::default(),
        }
    }

    /// Takes what a program has written. Bytes may be split anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.feed_with(bytes, &mut ());
    }

    pub(crate) fn feed_with<O: Observer>(&mut self, bytes: &[u8], observer: &mut O) {
        let text = self.decoder.decode(bytes);
        let (columns, rows) = self.size();
        let (terminal, modes) = (&mut self.terminal, &mut self.modes);
        let sequences = &mut self.sequences;
        // The emulator must not end the process, whatever a program writes.
        let fed = catch_unwind(AssertUnwindSafe(|| {
            sequences.parts(&text, &mut |part| {
                modes.take(&part);
                match part {
                    Part::Text(text) | Part::Escape(text, _) => {
                        terminal.feed_with(text, &mut *observer);
                    }
                    // A few bytes must not cost the time of thousands.
                    Part::Control(_, it)
                        if it.last == 'b' && it.numbers().any(|it| it > u32::from(columns)) =>
                    {
                        terminal.feed_with(format!("\x1b[{columns}b"), &mut *observer);
                    }
                    Part::Control(text, it) => {
                        let clamped = it.clamped();
                        terminal.feed_with(clamped.as_deref().unwrap_or(text), &mut *observer);
                    }
                    Part::Title(_) => {}
                }
            });
        }));
        if fed.is_err() {
            *self = Self::new(columns, rows);
        }
    }

    /// Changes the size, as a terminal's window does: lines are wrapped anew.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.resize_with(columns, rows, &mut ());
    }

    pub(crate) fn resize_with<O: Observer>(&mut self, columns: u16, rows: u16, observer: &mut O) {
        let (columns, rows) = within(columns, rows);
        let terminal = &mut self.terminal;
        let resized = catch_unwind(AssertUnwindSafe(|| {
            terminal.resize_with(usize::from(columns), usize::from(rows), &mut *observer);
        }));
        if resized.is_err() {
            *self = Self::new(columns, rows);
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        let (columns, rows) = self.terminal.size();
        (
            u16::try_from(columns).unwrap_or(COLUMNS),
            u16::try_from(rows).unwrap_or(ROWS),
        )
    }

    /// Text with escape sequences that shows this screen on a new terminal of the same size, with its
    /// modes and all that decides what comes next. Lines that scrolled off are not in it.
    pub fn content(&self) -> String {
        let mut content = self.modes.content();
        content.push_str(&self.terminal.dump());
        content.push_str(&self.sequences.begun());
        content
    }

    /// The lines that are visible, without spaces at their ends, each with a line feed.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            text.push_str(line.text().trim_end());
            text.push('\n');
        }
        text
    }

    /// The visible lines, with their cells.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &Line> {
        self.terminal.screen().visible_lines()
    }

    /// The cursor's column and row, counted from 0; none where it is hidden.
    pub fn cursor(&self) -> Option<(usize, usize)> {
        self.terminal.cursor().position()
    }

    /// Whether a full-screen program shows its own screen, beside that of the lines.
    pub fn is_alternate(&self) -> bool {
        self.terminal.active_screen_kind() == ScreenKind::Alternate
    }

    /// The modes for keys, mouse and title, as in [`content`](Self::content).
    pub fn modes(&self) -> String {
        self.modes.content()
    }

    pub(crate) fn primary_lines(&self) -> impl Iterator<Item = &Line> {
        self.terminal.primary_screen().all_lines()
    }
}

fn terminal(columns: u16, rows: u16) -> Terminal {
    let (columns, rows) = within(columns, rows);
    match Terminal::new(usize::from(columns), usize::from(rows)) {
        Ok(terminal) => terminal,
        Err(_) => unreachable!("both are at least 1"),
    }
}

fn within(columns: u16, rows: u16) -> (u16, u16) {
    (columns.clamp(1, COLUMNS), rows.clamp(1, ROWS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn screen(bytes: &[u8]) -> Screen {
        let mut screen = Screen::new(20, 4);
        screen.feed(bytes);
        screen
    }

    /// As a program could write them: whole, and in the ways in which a sequence may be interrupted.
    fn with_number(number: &str, last: char) -> [String; 5] {
        let (first, rest) = number.split_at(1);
        [
            format!("\x1b[{number}{last}"),
            format!("\x1b[?{number};{number}{last}"),
            format!("\u{9b}{first}\n{rest}{last}"),
            format!("\x1b[{first}\x7f{rest}\0{last}"),
            format!("\x1b[{}{number}{last}", "0".repeat(300)),
        ]
    }

    /// What the emulator did.
    #[derive(Default)]
    struct Executed(Vec<avt::Operation>);

    impl Observer for Executed {
        type Output = ();

        fn before(&mut self, _: &mut avt::Observation<'_>, operation: &avt::Operation) {
            self.0.push(operation.clone());
        }

        fn end(&mut self, _: &mut avt::Observation<'_>) {}
    }

    #[test]
    fn no_number_makes_a_sequence_longer_than_a_line() {
        use avt::parser::Function;
        for number in [
            "81",
            "1000000000",
            "2147483648",
            "65535",
            "131071",
            "99999999999999999999",
        ] {
            for last in '@'..='~' {
                for sequence in with_number(number, last) {
                    let mut screen = Screen::new(80, 24);
                    let mut executed = Executed::default();
                    screen.feed_with(format!("x{sequence}").as_bytes(), &mut executed);
                    for operation in executed.0 {
                        if let avt::Operation::Function(Function::Rep(count)) = operation {
                            assert!(count <= 80, "{sequence:?}: {count}");
                        }
                    }
                    // It was neither shown as text, nor does it wait for an end.
                    let shown = screen.text().replace(['x', '\n'], "");
                    assert_eq!(shown.trim(), "", "{sequence:?}");
                    assert_eq!(screen.sequences.begun(), "", "{sequence:?}");
                }
            }
        }
    }

    #[test]
    fn a_number_beyond_sixteen_bits_is_large_and_not_small() {
        let late = screen(b"\x1b[2;2H\x1b[65537C!\x1b[66585h\x1b[?66585h");
        assert_eq!(late.text(), format!("\n{:19}!\n\n\n", ""));
        assert!(!late.is_alternate());
    }

    #[test]
    fn who_comes_late_sees_the_same_wherever_that_is() {
        let written =
            "first\r\n\x1b[31mred\x1b[?1049h\x1b[H\x1b[2Jeditor\x1b[3;1mé日\x1b[?2004h\x1b]2;t\x07\
                       \x1b[2;3r\x1b[?1l\x1b[0m\x1b[?1049lafter\x1b[5b😀\x08X\r\n日本\rab"
                .as_bytes();
        let early = screen(written);
        for at in 0..=written.len() {
            let before = screen(&written[..at]);
            let mut late = screen(before.content().as_bytes());
            // A character that is split stays so for who reads on from here.
            let begun =
                std::str::from_utf8(&written[..at]).map_or_else(|it| it.valid_up_to(), str::len);
            late.feed(&written[begun..]);
            assert_eq!(late.text(), early.text(), "from {at} on");
            assert_eq!(late.content(), early.content(), "from {at} on");
        }
    }

    #[test]
    fn a_repetition_costs_a_line_at_most() {
        let screen = screen(b"x\x1b[65535b");
        let (column, row) = screen.cursor().unwrap();
        assert!(row <= 1 && column <= 20, "{column} {row}");
    }

    #[test]
    fn any_size_is_brought_inside_the_limits() {
        let mut screen = Screen::new(0, 0);
        assert_eq!(screen.size(), (1, 1));
        screen.feed("日本\r\nx".as_bytes());
        screen.resize(u16::MAX, u16::MAX);
        assert_eq!(screen.size(), (COLUMNS, ROWS));
    }

    /// What a hostile program writes: sequences, and pieces of them.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[ -~]{0,8}".prop_map(String::into_bytes),
            "\x1b\\[[<=>?]?[0-9;:]{0,6}[ !\"$]?[@-~]".prop_map(String::into_bytes),
            "\x1b[ -~]".prop_map(String::into_bytes),
            Just("日😀é\u{9b}\u{300}".as_bytes().to_vec()),
            Just(b"\r\n\t\x08\x0b\x0e\x0f".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_a_program_writes_ends_no_process_and_late_viewers_see_it(
            before in hostile(), after in hostile(), columns in 1..40_u16, rows in 1..12_u16,
        ) {
            let mut early = Screen::new(columns, rows);
            early.feed(&before);
            early.resize(rows, columns);
            early.feed(&after);
            early.resize(columns, rows);
            let mut late = Screen::new(columns, rows);
            late.feed(early.content().as_bytes());
            prop_assert_eq!(late.text(), early.text());
        }
    }
}
