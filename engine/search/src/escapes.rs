//! Removes the escape sequences of terminals from text, so that they do not hide what people see.

use crate::limits::SEQUENCE_BYTES;
use memchr::memchr;
use std::ops::Range;

const ESCAPE: u8 = 0x1B;
const BELL: u8 = 0x07;

/// Removes the escape sequences of one output, which comes in parts.
///
/// ```
/// use rejoin_search::PlainText;
///
/// let (mut text, mut plain) = (vec![], PlainText::default());
/// for part in ["\x1b[1;3", "1merr\x1b[0m", "or\n"] {
///     plain.add(&mut text, part.as_bytes());
/// }
/// assert_eq!(text, b"error\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct PlainText {
    /// A sequence that may not be complete. Bounded.
    sequence: Vec<u8>,
}

impl PlainText {
    /// Appends the next part to `out`, without its escape sequences.
    pub fn add(&mut self, out: &mut Vec<u8>, part: &[u8]) {
        let mut text = std::mem::take(&mut self.sequence);
        text.extend_from_slice(part);
        let last = text.iter().rposition(|byte| *byte == ESCAPE);
        let sequence = last.and_then(|last| text.get(last..));
        // Nothing is seen of it, so that it does no harm to keep a complete one.
        let is_open = |it: &&[u8]| len(it) >= it.len() && it.len() <= SEQUENCE_BYTES;
        if let Some(sequence) = sequence.filter(is_open) {
            self.sequence = sequence.to_vec();
            text.truncate(text.len() - sequence.len());
        }
        strip_into(out, &text);
    }
}

/// Whether there may be an escape sequence.
pub(crate) fn has_escapes(text: &[u8]) -> bool {
    memchr(ESCAPE, text).is_some()
}

/// Appends `text` without its escape sequences. One that is not complete is left out, too. Lines stay lines.
pub(crate) fn strip_into(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = memchr(ESCAPE, rest) {
        let (before, sequence) = rest.split_at(at);
        out.extend_from_slice(before);
        rest = sequence.get(len(sequence)..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The length of the escape sequence at the beginning of `text`. It never goes beyond its line.
fn len(text: &[u8]) -> usize {
    let count = |from: usize, of: Range<u8>| {
        let bytes = text.iter().skip(from);
        from + bytes.take_while(|byte| of.contains(*byte)).count()
    };
    // Other bytes than the ones expected end a broken sequence.
    let with = |end: usize, of: Range<u8>| {
        end + usize::from(text.get(end).is_some_and(|byte| of.contains(byte)))
    };
    match text.get(1) {
        // A control sequence: parameters, and a final byte.
        Some(b'[') => with(count(2, 0x20..0x40), 0x40..0x7F),
        // A string: a title, a link. It ends with a bell or with ESC and a backslash.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string_len(text),
        // Intermediate bytes and a final one, such as the choice of a character set.
        _ => with(count(1, 0x20..0x30), 0x30..0x7F),
    }
}

fn string_len(text: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(*byte, BELL | ESCAPE | b'\n');
    let end = text.iter().skip(2).position(ends).map(|end| end + 2);
    let Some(end) = end else {
        return text.len();
    };
    match (text.get(end), text.get(end + 1)) {
        (Some(&BELL), _) => end + 1,
        (Some(&ESCAPE), Some(b'\\')) => end + 2,
        // Something else has begun.
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stripped(text: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        strip_into(&mut out, text);
        out
    }

    #[test]
    fn escape_sequences_are_left_out() {
        for (text, seen) in [
            ("er\x1b[1;31mro\x1b[0mr", "error"),
            (
                "\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b]8;;\x1b\\c",
                "abc",
            ),
            ("\x1b(Ba\x1b=b\x1bMc", "abc"),
            ("\x1b[?25la\x1b[38:2:1:2:3mb", "ab"),
            ("a\x1b", "a"),
            ("a\x1b[12", "a"),
            ("a\x1b]0;never ends", "a"),
            ("a\x1b[1\nb", "a\nb"),
            ("a\x1b]0;cut\nb", "a\nb"),
            ("é\x1b[1m€", "é€"),
        ] {
            assert_eq!(String::from_utf8(stripped(text.as_bytes())).unwrap(), seen);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_stripped_and_lines_stay(bytes in prop::collection::vec(
            prop_oneof![Just(ESCAPE), Just(b'['), Just(b']'), Just(BELL), Just(b'\n'), any::<u8>()], 0..60,
        )) {
            let out = stripped(&bytes);
            prop_assert!(!out.contains(&ESCAPE));
            let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(lines(&out), lines(&bytes));
        }
    }
}
