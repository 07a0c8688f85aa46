//! Compares printed output with the output shown on a page. `…` in a line matches any text; a line
//! with only `…` matches any number of lines.

const ANY: &str = "…";

pub(super) fn matches(shown: &[String], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line.trim() == ANY => {
            (0..=printed.len()).any(|skip| matches(rest, &printed[skip..]))
        }
        Some((line, rest)) => printed.split_first().is_some_and(|(printed, others)| {
            line_matches(line.trim_end(), printed.trim_end()) && matches(rest, others)
        }),
    }
}

fn line_matches(shown: &str, printed: &str) -> bool {
    let Some((first, mut rest)) = shown.split_once(ANY) else {
        return shown == printed;
    };
    let Some(mut printed) = printed.strip_prefix(first) else {
        return false;
    };
    while let Some((part, more)) = rest.split_once(ANY) {
        // The first match leaves the most text for the remaining parts.
        let Some((_, after)) = printed.split_once(part) else {
            return false;
        };
        (printed, rest) = (after, more);
    }
    printed.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(shown: &str, printed: &str) -> bool {
        let shown: Vec<_> = shown.lines().map(str::to_owned).collect();
        matches(&shown, &printed.lines().collect::<Vec<_>>())
    }

    #[test]
    fn dots_stand_for_any_text_and_nothing_else_does() {
        assert!(says("a\nb", "a\nb"));
        assert!(says("id …, so", "id 5, so"));
        assert!(says("…-…-…", "1-2-3"));
        assert!(says("a\n…\nd", "a\nb\nc\nd"));
        assert!(says("a\n…", "a"));
        assert!(!says("a", "a\nb"));
        assert!(!says("a\nb", "a"));
        assert!(!says("", "a"));
        assert!(!says("id …, so", "id 5, thus"));
        assert!(!says("ab…bc", "abc"));
        assert!(!says("a.c", "abc"));
    }
}
