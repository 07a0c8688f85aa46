//! Finds the keys that are meant for `rejoin` among what is typed.

use std::fmt;
use std::str::FromStr;

/// The key before those that are meant for `rejoin`; none: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrefixKey(Option<u8>);

impl Default for PrefixKey {
    fn default() -> Self {
        Self(Some(0x1c))
    }
}

impl fmt::Display for PrefixKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(key) => write!(f, "Ctrl-{}", char::from(key | 0x40).to_ascii_uppercase()),
        }
    }
}

impl FromStr for PrefixKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        if text == "none" {
            return Ok(Self(None));
        }
        let key = text
            .strip_prefix("ctrl-")
            .or_else(|| text.strip_prefix('^'));
        match key.map(str::as_bytes) {
            // Enter, Tab and Escape are Ctrl keys, too.
            Some([b'm' | b'i' | b'j' | b'[']) => Err(format!("{text} is a key of its own")),
            Some([key @ (b'a'..=b'z' | b'\\' | b']' | b'^' | b'_')]) => Ok(Self(Some(key & 0x1f))),
            _ => Err("expected ctrl- and a letter, or one of \\ ] ^ _, or `none`".to_owned()),
        }
    }
}

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// For the job.
    Bytes(Vec<u8>),
    /// Leave, and let the job go on.
    Detach,
    /// Take control of the terminal.
    TakeControl,
    /// Stop this process, as a shell's job control does.
    Suspend,
    /// Show which keys there are.
    Help,
}

/// Splits what is typed.
#[derive(Debug)]
pub(crate) struct Keys {
    prefix: PrefixKey,
    /// The bytes of a prefix key that was typed; the next key says what it means.
    begun: Option<Vec<u8>>,
}

impl Keys {
    pub(crate) fn new(prefix: PrefixKey) -> Self {
        Self {
            prefix,
            begun: None,
        }
    }

    /// What a read from the keyboard means.
    pub(crate) fn split(&mut self, read: &[u8]) -> Vec<Typed> {
        let (mut typed, mut plain) = (vec![], vec![]);
        let mut rest = read;
        while let Some(key) = Key::first(rest) {
            let (bytes, after) = rest.split_at(key.length);
            rest = after;
            let is_prefix = self.prefix.0.is_some_and(|prefix| key.is_control(prefix));
            let Some(begun) = self.begun.take() else {
                match is_prefix && !key.is_release {
                    true => self.begun = Some(bytes.to_vec()),
                    false => plain.extend_from_slice(bytes),
                }
                continue;
            };
            if key.is_release || key.is_modifier() {
                self.begun = Some(begun);
                continue;
            }
            let own = match key.code {
                _ if is_prefix => {
                    // Typed twice, the key itself is meant.
                    plain.extend_from_slice(&begun);
                    continue;
                }
                0x64 => Typed::Detach,
                0x74 => Typed::TakeControl,
                0x1a => Typed::Suspend,
                0x3f | 0x68 => Typed::Help,
                _ => {
                    plain.extend_from_slice(&begun);
                    plain.extend_from_slice(bytes);
                    continue;
                }
            };
            if !plain.is_empty() {
                typed.push(Typed::Bytes(std::mem::take(&mut plain)));
            }
            typed.push(own);
        }
        if !plain.is_empty() {
            typed.push(Typed::Bytes(plain));
        }
        typed
    }
}

/// A key: a byte, or a sequence of the kitty keyboard protocol or xterm's modifyOtherKeys, which
/// programs may have turned on.
#[derive(Clone, Copy, Debug)]
struct Key {
    length: usize,
    code: u32,
    is_release: bool,
}

impl Key {
    fn first(typed: &[u8]) -> Option<Self> {
        Self::encoded(typed).or_else(|| {
            let code = u32::from(*typed.first()?);
            Some(Self {
                length: 1,
                code,
                is_release: false,
            })
        })
    }

    /// `ESC [ code ; modifiers : event u` or `ESC [ 27 ; modifiers ; code ~`.
    fn encoded(typed: &[u8]) -> Option<Self> {
        let body = typed.strip_prefix(b"\x1b[")?;
        let is_number = |it: &u8| it.is_ascii_digit() || matches!(it, b';' | b':');
        let end = body
            .iter()
            .take(LONGEST_KEY)
            .position(|it| !is_number(it))?;
        let numbers = std::str::from_utf8(&body[..end]).ok()?;
        let mut numbers = numbers.split(';');
        let mut next = || -> Option<(u32, u32)> {
            let mut parts = numbers.next()?.split(':');
            let first = parts.next()?.parse().ok()?;
            Some((
                first,
                parts.next().and_then(|it| it.parse().ok()).unwrap_or(1),
            ))
        };
        let ((code, _), (modifiers, event)) = match body[end] {
            b'u' => (next()?, next().unwrap_or((1, 1))),
            b'~' => {
                let (27, _) = next()? else { return None };
                let modifiers = next()?;
                (next()?, modifiers)
            }
            _ => return None,
        };
        let is_control = modifiers.saturating_sub(1) & 4 != 0;
        Some(Self {
            length: end + 3,
            code: match is_control && (0x40..0x80).contains(&code) {
                true => code & 0x1f,
                false => code,
            },
            is_release: event == 3,
        })
    }

    fn is_control(self, key: u8) -> bool {
        self.code == u32::from(key)
    }

    /// Shift, Ctrl and the like alone, as the kitty protocol tells them.
    fn is_modifier(self) -> bool {
        (57_441..=57_454).contains(&self.code)
    }
}

/// The longest encoded key in bytes.
const LONGEST_KEY: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn split(reads: &[&str]) -> Vec<Typed> {
        let mut keys = Keys::new(PrefixKey::default());
        let typed = reads.iter().flat_map(|read| keys.split(read.as_bytes()));
        typed.collect()
    }

    fn bytes(text: &str) -> Typed {
        Typed::Bytes(text.into())
    }

    #[test]
    fn what_is_typed_passes_unchanged() {
        let text = "é\x1b[A\x03\x1b[200~paste\x1b[201~\x1b[97;5u\x1b\x1bOP\x7f";
        assert_eq!(split(&[text]), [bytes(text)]);
        assert_eq!(split(&["\x1c\x1c"]), [bytes("\x1c")]);
        // No key of ours follows.
        assert_eq!(split(&["\x1c", "x"]), [bytes("\x1cx")]);
        assert_eq!(split(&["d"]), [bytes("d")]);
    }

    #[test]
    fn keys_after_the_prefix_are_ours() {
        let expected = [bytes("a"), Typed::Detach, bytes("b")];
        assert_eq!(split(&["a\x1cdb"]), expected);
        assert_eq!(split(&["a\x1c", "db"])[1], Typed::Detach);
        assert_eq!(split(&["\x1ct"]), [Typed::TakeControl]);
        assert_eq!(split(&["\x1c\x1a"]), [Typed::Suspend]);
        assert_eq!(split(&["\x1c?"]), [Typed::Help]);
    }

    #[test]
    fn the_prefix_is_found_however_a_program_has_keys_encoded() {
        for typed in [
            "\x1b[92;5ud",
            "\x1b[92;5u\x1b[92;5:3u\x1b[57442;5:3u\x1b[100u",
            "\x1b[27;5;92~d",
        ] {
            assert_eq!(split(&[typed]), [Typed::Detach], "{typed:?}");
        }
        assert_eq!(split(&["\x1b[92;5u\x1b[92;5u"]), [bytes("\x1b[92;5u")]);
    }

    #[test]
    fn the_prefix_can_be_another_key_or_none() {
        for (text, shown) in [
            ("ctrl-\\", "Ctrl-\\"),
            ("Ctrl-B", "Ctrl-B"),
            ("^]", "Ctrl-]"),
            ("none", "none"),
        ] {
            assert_eq!(text.parse::<PrefixKey>().unwrap().to_string(), shown);
        }
        for wrong in ["", "x", "ctrl-", "ctrl-m", "ctrl-1", "ctrl-ab"] {
            assert!(wrong.parse::<PrefixKey>().is_err(), "{wrong}");
        }
        let mut keys = Keys::new(PrefixKey(None));
        assert_eq!(keys.split(b"\x1cd"), [bytes("\x1cd")]);
    }
}
