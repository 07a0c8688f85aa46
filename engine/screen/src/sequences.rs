//! Cuts text into plain text and control sequences.
//!
//! Follows the terminals' parser (<https://vt100.net/emu/dec_ansi_parser>) as far as it takes to find
//! where a sequence begins and ends. A malformed sequence is no part: whatever a program writes, the
//! emulator gets whole sequences with numbers that were looked at.

use crate::limits::{NUMBER, SEQUENCE_BYTES, TITLE_BYTES};

/// A part of what a program writes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Text, and all that has no meaning here.
    Text(&'a str),
    /// A whole `ESC X`: its last character.
    Escape(&'a str, char),
    /// A whole `ESC [ …` or its 8-bit form.
    Control(&'a str, Control<'a>),
    /// The title of the window. Other operating system commands (`ESC ] …`) are no part: they show
    /// nothing.
    Title(&'a str),
}

/// A control sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control<'a> {
    /// `<`, `=`, `>` or `?`, or nothing.
    pub(crate) prefix: Option<char>,
    /// Between the prefix and the intermediates: numbers, `;` and `:`.
    pub(crate) numbers: &'a str,
    /// A space, `!`, `"` or the like, or nothing.
    pub(crate) intermediates: &'a str,
    pub(crate) last: char,
}

impl Control<'_> {
    /// The numbers, up to [`NUMBER`]; one that is left out is 0.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.numbers
            .split(';')
            .map(|it| it.split(':').next().unwrap_or_default())
            .map(number)
    }

    /// The sequence without numbers that are too large. None: it has no such number.
    ///
    /// The emulator cuts a number to 16 bits, so that 65,585 would be 49.
    pub(crate) fn clamped(&self) -> Option<String> {
        let mut digits = self.numbers.split([';', ':']);
        digits.find(|it| it.len() > 5 || number(it) == NUMBER)?;
        let mut clamped = String::from("\u{1b}[");
        clamped.extend(self.prefix);
        for it in self.numbers.split_inclusive([';', ':']) {
            let end = it.len() - usize::from(it.ends_with([';', ':']));
            let (digits, separator) = it.split_at(end);
            match number(digits) {
                NUMBER => clamped.push_str(&NUMBER.to_string()),
                _ => clamped.push_str(digits.trim_start_matches('0')),
            }
            clamped.push_str(separator);
        }
        clamped.push_str(self.intermediates);
        clamped.push(self.last);
        Some(clamped)
    }
}

/// A number of a control sequence. One that is larger than any screen is [`NUMBER`].
fn number(digits: &str) -> u32 {
    match digits.parse() {
        Ok(number) => NUMBER.min(number),
        Err(_) if digits.is_empty() => 0,
        // Too large even for its type.
        Err(_) => NUMBER,
    }
}

/// Finds the parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequences {
    /// A sequence that has begun and not ended.
    begun: String,
    /// An operating system command that has begun and not ended; `;` if it is too long for a title.
    system: Option<String>,
}

impl Sequences {
    /// A sequence that has begun and not ended. It was not given as a part yet.
    pub(crate) fn begun(&self) -> String {
        match &self.system {
            Some(system) => format!("\u{1b}]{system}{}", self.begun),
            None => self.begun.clone(),
        }
    }

    /// Gives the parts of `text` in their order.
    pub(crate) fn parts(&mut self, text: &str, take: &mut dyn FnMut(Part<'_>)) {
        let mut rest = text;
        while !rest.is_empty() {
            if self.begun.is_empty() {
                rest = self.text(rest, take);
                continue;
            }
            let Some(next) = rest.chars().next() else {
                return;
            };
            let is_taken = self.sequence(next, take);
            if is_taken {
                rest = &rest[next.len_utf8()..];
            }
        }
    }

    /// Takes text up to the next sequence; returns the rest.
    fn text<'a>(&mut self, text: &'a str, take: &mut dyn FnMut(Part<'_>)) -> &'a str {
        let is_end = |it: char| match self.system {
            Some(_) => matches!(
                it,
                '\u{7}' | '\u{18}' | '\u{1a}' | '\u{1b}' | '\u{9b}' | '\u{9c}'
            ),
            None => matches!(it, '\u{1b}' | '\u{9b}'),
        };
        let (plain, rest) = text.split_at(text.find(is_end).unwrap_or(text.len()));
        match &mut self.system {
            Some(system) if system.len() + plain.len() <= TITLE_BYTES => system.push_str(plain),
            Some(system) => ";".clone_into(system),
            None if plain.is_empty() => {}
            None => take(Part::Text(plain)),
        }
        let Some(first) = rest.chars().next() else {
            return rest;
        };
        match first {
            // `ESC \\` is one of its ends.
            '\u{1b}' => self.begun.push(first),
            '\u{9b}' => {
                self.system = None;
                self.begun.push(first);
            }
            '\u{7}' | '\u{9c}' => self.end_system(take),
            _ => self.system = None,
        }
        &rest[first.len_utf8()..]
    }

    fn end_system(&mut self, take: &mut dyn FnMut(Part<'_>)) {
        if let Some(system) = self.system.take()
            && let Some(("0" | "2", title)) = system.split_once(';')
        {
            take(Part::Title(title));
        }
    }

    /// Takes the next character of the sequence that has begun; false: it is not a part of it.
    fn sequence(&mut self, next: char, take: &mut dyn FnMut(Part<'_>)) -> bool {
        let is_control = self.begun.len() > 1 || self.begun == "\u{9b}";
        match (is_control, next) {
            // A sequence is given up for another one.
            (_, '\u{1b}' | '\u{9b}') => {
                self.system = None;
                self.begun.clear();
                self.begun.push(next);
            }
            (_, '\u{18}' | '\u{1a}') => {
                self.system = None;
                self.begun.clear();
            }
            (_, '\u{80}'..='\u{9f}') => {
                self.system = None;
                self.begun.clear();
                return false;
            }
            // A control character is carried out at once, and the sequence goes on.
            (_, '\0'..='\u{1f}') => {
                self.system = None;
                take(Part::Text(next.encode_utf8(&mut [0; 4])));
            }
            (_, '\u{7f}') => {}
            // No sequence ends with it, but this one ends there.
            (_, '\u{a0}'..) => {
                self.system = None;
                self.begun.clear();
            }
            (false, '[') => {
                self.system = None;
                self.begun.push(next);
            }
            (false, ']') => {
                self.begun.clear();
                self.system = Some(String::new());
            }
            (false, '\\') if self.system.is_some() => {
                self.begun.clear();
                self.end_system(take);
            }
            (false, _) => {
                self.system = None;
                let mut begun = std::mem::take(&mut self.begun);
                begun.push(next);
                take(Part::Escape(&begun, next));
            }
            (true, '@'..='~') => {
                let mut begun = std::mem::take(&mut self.begun);
                let is_whole = begun.len() <= SEQUENCE_BYTES;
                begun.push(next);
                if let Some(control) = control(&begun, next).filter(|_| is_whole) {
                    take(Part::Control(&begun, control));
                }
            }
            (true, _) if self.begun.len() <= SEQUENCE_BYTES => self.begun.push(next),
            // It is too long: its end is awaited, and then it is dropped.
            (true, _) => {}
        }
        true
    }
}

/// The parts of a whole control sequence; none if it is malformed.
fn control(whole: &str, last: char) -> Option<Control<'_>> {
    // `ESC [` and U+009B have two bytes each.
    let body = whole.get(2..)?.strip_suffix(last)?;
    let prefix = body.chars().next().filter(|it| "<=>?".contains(*it));
    let body = prefix.map_or(body, |_| &body[1..]);
    let at = body.find(|it: char| !(it.is_ascii_digit() || it == ';' || it == ':'));
    let (numbers, intermediates) = body.split_at(at.unwrap_or(body.len()));
    let are_intermediates = intermediates.bytes().all(|it| matches!(it, b' '..=b'/'));
    are_intermediates.then_some(Control {
        prefix,
        numbers,
        intermediates,
        last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, and the text between as one.
    fn parts(text: &str, at: usize) -> (Vec<String>, String) {
        let mut sequences = Sequences::default();
        let (mut found, mut plain) = (vec![], String::new());
        for part in [&text[..at], &text[at..]] {
            sequences.parts(part, &mut |part| match part {
                Part::Text(text) => plain.push_str(text),
                Part::Escape(_, last) => found.push(format!("escape {last}")),
                Part::Title(title) => found.push(format!("title {title}")),
                Part::Control(_, it) => {
                    let numbers: Vec<_> = it.numbers().collect();
                    let (prefix, intermediates) = (it.prefix, it.intermediates);
                    found.push(format!(
                        "{prefix:?} {numbers:?} {intermediates:?} {}",
                        it.last
                    ));
                }
            });
        }
        (found, plain + &sequences.begun())
    }

    #[test]
    fn sequences_are_found_however_they_are_split() {
        let text = "a\u{1b}[1;31mb\u{1b}[?1000;2004h\u{9b}2 q\u{1b}=\u{1b}]2;my é;\u{7}c\
                    \u{1b}]0;x\u{1b}\\\u{1b}[12\u{1b}[[\u{1b}[4:3m\u{1b}[1\n2md\u{1b}[?1";
        for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
            let (found, plain) = parts(text, at);
            let expected = [
                "None [1, 31] \"\" m",
                "Some('?') [1000, 2004] \"\" h",
                "None [2] \" \" q",
                "escape =",
                "title my é;",
                "title x",
                "None [0] \"\" [",
                "None [4] \"\" m",
                "None [12] \"\" m",
            ];
            assert_eq!(found, expected, "split at {at}");
            let expected = "abc\nd\u{1b}[?1";
            assert_eq!(plain, expected, "split at {at}");
        }
    }

    #[test]
    fn a_sequence_that_is_too_long_is_dropped_whole() {
        let text = format!("a\u{1b}[{}bc\u{1b}[2bd", "0".repeat(3 * SEQUENCE_BYTES));
        for at in [1, 2, 3, SEQUENCE_BYTES + 9, text.len()] {
            let (found, plain) = parts(&text, at);
            assert_eq!(found, ["None [2] \"\" b"], "split at {at}");
            assert_eq!(plain, "acd", "split at {at}");
        }
    }

    #[test]
    fn a_number_is_never_taken_for_a_smaller_one() {
        let clamped = |text: &str| {
            let last = text.chars().last().unwrap_or_default();
            control(text, last).and_then(|it| it.clamped())
        };
        assert_eq!(clamped("\u{1b}[38;2;255;100;7m"), None);
        assert_eq!(clamped("\u{1b}[?1049h"), None);
        let large = ["66585", "2147483648", "99999999999999999999999"];
        for large in large {
            let written = format!("\u{1b}[?{large};004;;1:{large}$h");
            let expected = "\u{1b}[?32767;4;;1:32767$h";
            assert_eq!(clamped(&written).as_deref(), Some(expected));
        }
        assert_eq!(clamped("\u{9b}0000012A").as_deref(), Some("\u{1b}[12A"));
    }
}
