//! The modes that a program has set on its terminal, apart from those that the screen itself has.
//!
//! They say what keys, the mouse and pastes send, and the title. A viewer that comes late needs them,
//! and a terminal that a program has left needs them undone.

use crate::decoder::Decoder;
use crate::limits::{KEYBOARD_MODES, TITLES};
use crate::sequences::{Control, Part, Sequences};
use std::fmt::Write;

/// The modes of one terminal.
#[derive(Clone, Debug, Default)]
pub struct Modes {
    decoder: Decoder,
    sequences: Sequences,
    state: State,
}

impl Modes {
    /// Modes of a new terminal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a program has written.
    pub fn feed(&mut self, bytes: &[u8]) {
        let text = self.decoder.decode(bytes);
        let state = &mut self.state;
        self.sequences.parts(&text, &mut |part| state.take(&part));
    }

    /// What brings the terminal back to the state before the program; empty if the program changed
    /// nothing. The cursor stays in its line.
    pub fn undo(&self) -> String {
        self.state.undo()
    }
}

/// What was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The private modes that are set, of those in [`KEPT`], in the order in which they were set.
    set: Vec<u16>,
    is_keypad: bool,
    cursor: u32,
    /// xterm's modifyOtherKeys.
    other_keys: u32,
    /// The flags of the kitty keyboard protocol, as they were stacked.
    keyboard: Vec<u32>,
    title: String,
    /// How many titles were put on the terminal's stack.
    titles: usize,
    /// The mode that switched to the alternate screen.
    alternate: Option<u16>,
    has_margins: bool,
    /// Whether any sequence came.
    is_touched: bool,
}

/// Mouse, focus, paste, and changes of colours; 2026 (frames) is over before anybody comes.
const KEPT: [u16; 12] = [
    9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 2004,
];

/// Its default is on.
const ALTERNATE_SCROLL: u16 = 1007;

impl State {
    pub(crate) fn take(&mut self, part: &Part<'_>) {
        match part {
            Part::Text(_) => return,
            Part::Title(title) => {
                self.title = title.chars().filter(|it| !it.is_control()).collect();
            }
            Part::Escape(_, '=') => self.is_keypad = true,
            Part::Escape(_, '>') => self.is_keypad = false,
            Part::Escape(_, 'c') => *self = Self::default(),
            Part::Escape(..) => {}
            Part::Control(_, control) => self.control(control),
        }
        self.is_touched = true;
    }

    fn control(&mut self, control: &Control<'_>) {
        let first = control.numbers().next().unwrap_or_default();
        match (control.prefix, control.intermediates, control.last) {
            (Some('?'), "", 'h' | 'l') => {
                for mode in control.numbers().filter_map(|it| u16::try_from(it).ok()) {
                    self.private(mode, control.last == 'h');
                }
            }
            (None, " ", 'q') => self.cursor = first,
            (None, "!", 'p') => {
                (self.is_keypad, self.has_margins) = (false, false);
            }
            (None, "", 't') if first == 22 => self.titles = (self.titles + 1).min(TITLES),
            (None, "", 't') if first == 23 => self.titles = self.titles.saturating_sub(1),
            (None, "", 'r') => self.has_margins = !control.numbers.is_empty(),
            (Some('>'), "", 'm') if first == 4 => {
                self.other_keys = control.numbers().nth(1).unwrap_or_default();
            }
            (Some('>'), "", 'n') if first == 4 => self.other_keys = 0,
            (Some('>'), "", 'u') => {
                if self.keyboard.len() == KEYBOARD_MODES {
                    self.keyboard.remove(0);
                }
                self.keyboard.push(first);
            }
            (Some('<'), "", 'u') => {
                let count = first.max(1) as usize;
                let left = self.keyboard.len().saturating_sub(count);
                self.keyboard.truncate(left);
            }
            (Some('='), "", 'u') => {
                let mut before = self.keyboard.pop().unwrap_or_default();
                match control.numbers().nth(1).unwrap_or_default() {
                    2 => before |= first,
                    3 => before &= !first,
                    _ => before = first,
                }
                self.keyboard.push(before);
            }
            _ => {}
        }
    }

    fn private(&mut self, mode: u16, is_set: bool) {
        match mode {
            66 => self.is_keypad = is_set,
            47 | 1047 | 1049 => self.alternate = is_set.then_some(mode),
            mode if KEPT.contains(&mode) => {
                self.set.retain(|it| *it != mode);
                if is_set {
                    self.set.push(mode);
                }
            }
            _ => {}
        }
    }

    /// What sets the modes on a new terminal, apart from those that the screen has.
    pub(crate) fn content(&self) -> String {
        let mut content = String::new();
        for mode in &self.set {
            let _ = write!(content, "\x1b[?{mode}h");
        }
        if self.is_keypad {
            content.push_str("\x1b=");
        }
        if self.cursor != 0 {
            let _ = write!(content, "\x1b[{} q", self.cursor);
        }
        if self.other_keys != 0 {
            let _ = write!(content, "\x1b[>4;{}m", self.other_keys);
        }
        for flags in &self.keyboard {
            let _ = write!(content, "\x1b[>{flags}u");
        }
        if !self.title.is_empty() {
            let _ = write!(content, "\x1b]2;{}\x1b\\", self.title);
        }
        content
    }

    fn undo(&self) -> String {
        let mut undo = String::new();
        if !self.is_touched {
            return undo;
        }
        if !self.keyboard.is_empty() {
            let _ = write!(undo, "\x1b[<{}u", self.keyboard.len());
        }
        if self.other_keys != 0 {
            undo.push_str("\x1b[>4m");
        }
        for mode in self.set.iter().filter(|it| **it != ALTERNATE_SCROLL) {
            let _ = write!(undo, "\x1b[?{mode}l");
        }
        if self.has_margins {
            undo.push_str("\x1b7\x1b[r\x1b8");
        }
        if let Some(mode) = self.alternate {
            let _ = write!(undo, "\x1b[?{mode}l");
        }
        if self.cursor != 0 {
            undo.push_str("\x1b[0 q");
        }
        if self.is_keypad {
            undo.push_str("\x1b>");
        }
        for _ in 0..self.titles {
            undo.push_str("\x1b[23;0;0t");
        }
        // Cursor keys, line ends, cursor, inserting, character set and colours.
        undo.push_str("\x1b[?1l\x1b[?7h\x1b[?25h\x1b[4l\x1b(B\x0f\x1b[0m");
        undo
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(text: &str) -> Modes {
        let mut modes = Modes::new();
        modes.feed(text.as_bytes());
        modes
    }

    #[test]
    fn a_late_viewer_gets_the_modes_that_are_set() {
        let set =
            "\x1b[?1000h\x1b[?1002h\x1b[?1006;2004h\x1b=\x1b[6 q\x1b[>4;2m\x1b[>1u\x1b]0;vi\x07";
        let expected = "\x1b[?1000h\x1b[?1002h\x1b[?1006h\x1b[?2004h\x1b=\x1b[6 q\x1b[>4;2m\x1b[>1u\
                        \x1b]2;vi\x1b\\";
        assert_eq!(modes(set).state.content(), expected);
        let unset = format!("{set}\x1b[?1000;1002;1006l\x1b[?2004l\x1b>\x1b[0 q\x1b[>4m\x1b[<u");
        assert_eq!(modes(&unset).state.content(), "\x1b]2;vi\x1b\\");
        assert_eq!(modes(&format!("{set}\x1bc")).state.content(), "");
    }

    #[test]
    fn a_terminal_is_brought_back() {
        assert_eq!(modes("plain\r\n").undo(), "");
        let left = modes("\x1b[22;0;0t\x1b[?1049h\x1b[2;9r\x1b[?1003h\x1b[?2004h\x1b[>1u").undo();
        for undone in [
            "\x1b[?1049l",
            "\x1b[r",
            "\x1b[?1003l",
            "\x1b[?2004l",
            "\x1b[<1u",
            "\x1b[?25h",
            "\x1b[23;0;0t",
        ] {
            assert!(left.contains(undone), "{undone:?} in {left:?}");
        }
        // Its own end has undone this; leaving twice would move the cursor.
        assert!(!modes("\x1b[?1049h\x1b[?1049l").undo().contains("1049"));
    }
}
