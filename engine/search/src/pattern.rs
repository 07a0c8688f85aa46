//! What is searched for: a text or a regular expression.

use crate::limits::{COMPILED_BYTES, NESTING, PATTERN_BYTES};
use memchr::{memchr, memrchr};
use regex::bytes::{Regex, RegexBuilder};
use std::ops::Range;

/// What is searched for in lines. It never matches across the end of a line.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
    /// Whether it means the same in a text of several lines as in each of them.
    is_multi_line: bool,
}

/// How a pattern is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatternOptions {
    /// It is a regular expression, and not a text.
    pub is_regex: bool,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
}

/// Why there is no such pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty, too long, or has more than one line.
    #[error("what is searched for must be a part of one line, of 1 to {PATTERN_BYTES} bytes")]
    Length,
    /// It would take too long to search for it.
    #[error("the regular expression is too large: use fewer or smaller repetitions")]
    TooLarge,
    /// It is not a regular expression.
    #[error("this is no regular expression: {0}")]
    Syntax(String),
}

impl Pattern {
    /// A pattern.
    ///
    /// ```
    /// use rejoin_search::{Pattern, PatternOptions};
    ///
    /// let text = PatternOptions::default();
    /// assert!(Pattern::new("[error]", text).is_ok());
    /// let regex = PatternOptions { is_regex: true, ..text };
    /// assert!(Pattern::new("warn|error", regex).is_ok());
    /// assert!(Pattern::new("[error", regex).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// If it is empty, too long, too large, or no regular expression.
    pub fn new(pattern: &str, options: PatternOptions) -> Result<Self, PatternError> {
        if pattern.is_empty() || pattern.len() > PATTERN_BYTES || pattern.contains('\n') {
            return Err(PatternError::Length);
        }
        let source = match options.is_regex {
            true => pattern.to_owned(),
            false => regex::escape(pattern),
        };
        let regex = RegexBuilder::new(&source)
            .case_insensitive(options.ignore_case)
            .multi_line(true)
            .crlf(true)
            .size_limit(COMPILED_BYTES)
            .nest_limit(NESTING)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                error => PatternError::Syntax(last_line(&error)),
            })?;
        // These mean the beginning or the end of the whole text, or can change what others mean.
        let is_about_text = source.contains(r"\A")
            || source.contains(r"\z")
            || source
                .match_indices("(?")
                .any(|(at, _)| !source[at..].starts_with("(?:"));
        Ok(Self {
            regex,
            is_multi_line: !is_about_text,
        })
    }

    /// The lines of `text` in which it is: the offset of each, its length without the end of the line,
    /// and where in the line it is.
    ///
    /// `text` consists of whole lines. `each` says whether to go on.
    pub(crate) fn lines(
        &self,
        text: &[u8],
        mut each: impl FnMut(Range<usize>, Range<usize>) -> bool,
    ) {
        let mut from = 0;
        while from < text.len() {
            let found = match self.is_multi_line {
                true => match self.regex.find_at(text, from) {
                    // Behind the last line there is none.
                    Some(found) if found.start() < text.len() => found.range(),
                    _ => return,
                },
                false => from..from,
            };
            let begin = memrchr(b'\n', &text[..found.start]);
            let begin = begin.map_or(0, |end| end + 1).max(from);
            let rest = &text[begin..];
            let end = memchr(b'\n', rest);
            let next = end.map_or(text.len(), |end| begin + end + 1);
            let line = begin..begin + without_end(&text[begin..next]);
            let is_inside = self.is_multi_line && found.end <= line.end;
            let inside = match is_inside {
                true => Some(found.start - begin..found.end - begin),
                // It goes on in the next line. There may be a shorter one.
                false => self.find(&text[line.clone()]),
            };
            if let Some(inside) = inside
                && !each(line, inside)
            {
                return;
            }
            from = next;
        }
    }

    /// Where it is in one line.
    pub(crate) fn find(&self, line: &[u8]) -> Option<Range<usize>> {
        self.regex.find(line).map(|found| found.range())
    }
}

/// The length of a line without what ends it.
pub(crate) fn without_end(line: &[u8]) -> usize {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line).len()
}

/// The last line of an error says what is wrong, after a picture of where.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> Vec<String> {
        let options = PatternOptions {
            is_regex: true,
            ..PatternOptions::default()
        };
        let pattern = Pattern::new(pattern, options).unwrap();
        let mut lines = vec![];
        pattern.lines(text.as_bytes(), |line, inside| {
            let found = &text[line.start + inside.start..line.start + inside.end];
            lines.push(format!("{}|{found}", &text[line]));
            true
        });
        lines
    }

    #[test]
    fn a_line_is_found_once_and_no_match_crosses_its_end() {
        let text = "a b\nab\r\n\nba\nab ab\n";
        assert_eq!(found("a", text), ["a b|a", "ab|a", "ba|a", "ab ab|a"]);
        assert_eq!(found("^a.*b$", text), ["a b|a b", "ab|ab", "ab ab|ab ab"]);
        assert_eq!(found(r"b\s+b", "ab\nba\nb b\n"), ["b b|b b"]);
        // The longest match goes on in the next line; a shorter one does not.
        assert_eq!(found(r"a[^x]*", "ab\nba\n"), ["ab|ab", "ba|a"]);
        assert_eq!(found(r"^$", "a\n\r\n\nb\n"), ["|", "|"]);
    }

    #[test]
    fn the_ends_of_the_text_are_the_ends_of_each_line() {
        assert_eq!(found(r"\Ab", "ab\nba\n"), ["ba|b"]);
        assert_eq!(found(r"b\z", "ab\nba\n"), ["ab|b"]);
        assert_eq!(found(r"(?-m)^b", "ab\nba\n"), ["ba|b"]);
        assert_eq!(found(r"(?i)AB", "ab\nba\n"), ["ab|ab"]);
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        let regex = PatternOptions {
            is_regex: true,
            ..PatternOptions::default()
        };
        let error = |pattern: &str| Pattern::new(pattern, regex).unwrap_err();
        assert_eq!(error(r"(\w{100}){100}"), PatternError::TooLarge);
        assert_eq!(error(""), PatternError::Length);
        assert_eq!(error("a\nb"), PatternError::Length);
        assert_eq!(error(&"x".repeat(PATTERN_BYTES + 1)), PatternError::Length);
        let PatternError::Syntax(why) = error("a[b") else {
            panic!("it is no regular expression");
        };
        assert_eq!(why, "unclosed character class");
        assert!(matches!(error(&"(".repeat(1_000)), PatternError::Syntax(_)));
    }
}
