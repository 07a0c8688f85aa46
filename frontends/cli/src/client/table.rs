//! Tables, durations and times for people.
//!
//! Invariant: no control character from a server reaches the terminal.

use rejoin_core::Timestamp;
use std::time::Duration;

/// A table with column names and two spaces between columns. The last column is cut so that lines
/// fit into `width`; none: no limit.
pub(crate) fn table(names: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(names.iter().map(|it| (*it).to_owned()).collect())
        .chain(
            rows.iter()
                .map(|row| row.iter().map(|it| harmless(it)).collect()),
        )
        .collect();
    let widest = |column: usize| {
        rows.iter()
            .map(|row| length(&row[column]))
            .max()
            .unwrap_or(0)
    };
    let last = names.len() - 1;
    let widths: Vec<usize> = (0..last).map(widest).collect();
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            line.push_str(text);
            line.push_str(&" ".repeat(width - length(text) + 2));
        }
        let room = width.map(|width| width.saturating_sub(length(&line)).max(NARROWEST));
        line.push_str(&cut(&row[last], room));
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

/// Text that is safe for a terminal: control characters are escaped.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::new();
    for it in text.chars() {
        match it {
            '\n' | '\r' | '\t' => out.push(' '),
            // Also those that change the direction of text.
            it if it.is_control()
                || matches!(it, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                out.extend(it.escape_default());
            }
            it => out.push(it),
        }
    }
    out
}

/// A duration in two units at most: 850ms, 12s, 3m20s, 5h2m, 3d4h.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |first: u64, unit: &str, second: u64, smaller: &str| match second {
        0 => format!("{first}{unit}"),
        second => format!("{first}{unit}{second}{smaller}"),
    };
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{}ms", duration.as_millis()),
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => two(minutes, "m", seconds % 60, "s"),
        (0, hours, minutes, _) => two(hours, "h", minutes, "m"),
        (days, hours, ..) => two(days, "d", hours, "h"),
    }
}

/// How long ago `at` was.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let passed = now.since(at);
    // Whole seconds are enough here.
    format!(
        "{} ago",
        duration(Duration::from_secs(passed.as_secs())).replace("0ms", "0s")
    )
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, room: Option<usize>) -> String {
    match room {
        Some(room) if length(text) > room => {
            let kept: String = text.chars().take(room - 1).collect();
            format!("{}…", kept.trim_end())
        }
        _ => text.to_owned(),
    }
}

/// The narrowest last column.
const NARROWEST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        [["1", "seq 1 100000 | sort -n"], ["10", "é\x1b[2J\nx"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec()
    }

    #[test]
    fn a_table_fits_the_terminal_by_cutting_its_last_column() {
        let names = ["NUMBER", "STATEMENT"];
        assert_eq!(
            table(&names, &rows(), Some(20)),
            "NUMBER  STATEMENT\n1       seq 1 10000…\n10      é\\u{1b}[2J x\n"
        );
        let whole = table(&names, &rows(), None);
        assert!(
            whole.contains("1       seq 1 100000 | sort -n\n"),
            "{whole}"
        );
        // The last column keeps a minimum width.
        assert!(table(&names, &rows(), Some(3)).contains("1       seq 1 100…\n"));
    }

    #[test]
    fn control_characters_are_escaped() {
        let text = harmless("a\u{1b}]0;x\u{7}\u{9b}\u{202e}\r\nb");
        assert_eq!(text, "a\\u{1b}]0;x\\u{7}\\u{9b}\\u{202e}  b");
    }

    #[test]
    fn a_duration_has_two_units_at_most() {
        for (millis, words) in [
            (0, "0ms"),
            (850, "850ms"),
            (59_999, "59s"),
            (60_000, "1m"),
            (200_000, "3m20s"),
            (18_120_000, "5h2m"),
            (86_400_000, "1d"),
            (273_600_000, "3d4h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), words);
        }
        let at = Timestamp::from_millis;
        assert_eq!(ago(at(5_000), at(5_900)), "0s ago");
        // Two clocks may differ.
        assert_eq!(ago(at(9_000), at(5_000)), "0s ago");
    }
}
