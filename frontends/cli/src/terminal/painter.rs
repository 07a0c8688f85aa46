//! Paints a part of a screen on a terminal of another size.

use rejoin_screen::{Cell, Color, Pen, Screen};
use std::fmt::Write;

/// What was painted last, so that only what has changed is painted.
#[derive(Debug, Default)]
pub(super) struct Painter {
    rows: Vec<String>,
    /// The column and row of the screen in the corner.
    corner: (usize, usize),
}

impl Painter {
    /// The bytes that show the screen, or what fits of it around its cursor, on a terminal with this many
    /// columns and rows, with a line about it in the last row.
    pub(super) fn paint(&mut self, screen: &Screen, size: (u16, u16), line: &str) -> String {
        let (columns, rows) = (usize::from(size.0), usize::from(size.1));
        let (height, (wide, high)) = (rows.saturating_sub(1).max(1), screen.size());
        let (wide, high) = (usize::from(wide), usize::from(high));
        let cursor = screen.cursor();
        let (column, row) = cursor.unwrap_or(self.corner);
        self.corner = (
            corner(self.corner.0, column, columns, wide),
            corner(self.corner.1, row, height, high),
        );
        let mut shown: Vec<String> = screen
            .lines()
            .skip(self.corner.1)
            .take(height)
            .map(|line| cells(line.cells(), self.corner.0, columns))
            .collect();
        shown.resize(height, String::new());
        if rows > 1 {
            let fits: String = line.chars().take(columns).collect();
            shown.push(format!("\x1b[7m{fits}"));
        }
        let mut painted = String::from("\x1b[?25l");
        for (at, row) in shown.iter().enumerate() {
            if self.rows.get(at) != Some(row) {
                // Cleared first: after the last column, clearing would take the last cell.
                let _ = write!(painted, "\x1b[{};1H\x1b[0m\x1b[K{row}\x1b[0m", at + 1);
            }
        }
        self.rows = shown;
        if let Some((column, row)) = cursor {
            let (column, row) = (column - self.corner.0, row - self.corner.1);
            if column < columns && row < height {
                let _ = write!(painted, "\x1b[{};{}H\x1b[?25h", row + 1, column + 1);
            }
        }
        painted
    }

    /// Forgets what was painted: the terminal was cleared or has another size.
    pub(super) fn forget(&mut self) {
        self.rows.clear();
    }
}

/// Where the visible part begins, so that the cursor is in it: as before, if possible.
fn corner(before: usize, cursor: usize, visible: usize, all: usize) -> usize {
    let last = all.saturating_sub(visible);
    let begin = match cursor {
        cursor if cursor < before => cursor,
        cursor if cursor >= before + visible => cursor + 1 - visible,
        _ => before,
    };
    // A cursor after the last column waits to wrap.
    begin.min(last)
}

/// The cells from a column on, with their colours.
fn cells(cells: &[Cell], from: usize, columns: usize) -> String {
    let mut out = String::new();
    let mut pen = None;
    let blank = |cell: &Cell| cell.char() == ' ' && cell.pen().is_default();
    let end = cells
        .iter()
        .rposition(|it| !blank(it))
        .map_or(0, |at| at + 1);
    let end = end.min(from + columns);
    let mut at = from;
    while at < end {
        let cell = &cells[at];
        let width = usize::from(cell.width());
        if pen != Some(cell.pen()) {
            out.push_str(&style(cell.pen()));
            pen = Some(cell.pen());
        }
        match width {
            // The second half alone.
            0 => out.push(' '),
            width if at + width > from + columns => out.push(' '),
            _ => out.push(cell.char()),
        }
        at += width.max(1);
    }
    out
}

fn style(pen: &Pen) -> String {
    let mut style = String::from("\x1b[0");
    for (is_set, code) in [
        (pen.is_bold(), ";1"),
        (pen.is_faint(), ";2"),
        (pen.is_italic(), ";3"),
        (pen.is_underline(), ";4"),
        (pen.is_blink(), ";5"),
        (pen.is_inverse(), ";7"),
        (pen.is_strikethrough(), ";9"),
    ] {
        if is_set {
            style.push_str(code);
        }
    }
    for (color, base) in [(pen.foreground(), 30), (pen.background(), 40)] {
        let _ = match color {
            None => Ok(()),
            Some(Color::Indexed(it @ 0..=7)) => write!(style, ";{}", base + u16::from(it)),
            Some(Color::Indexed(it)) => write!(style, ";{};5;{it}", base + 8),
            Some(Color::RGB(it)) => write!(style, ";{};2;{};{};{}", base + 8, it.r, it.g, it.b),
        };
    }
    style.push('m');
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(columns: u16, rows: u16, text: &str) -> Screen {
        let mut screen = Screen::new(columns, rows);
        screen.feed(text.as_bytes());
        screen
    }

    #[test]
    fn a_larger_terminal_shows_all_of_it() {
        let job = screen(
            20,
            3,
            "\x1b[1;31mred\x1b[0m 日本\r\n\x1b[44;38;5;200mx\x1b[38;2;1;2;3my\r\nz",
        );
        let mut painter = Painter::default();
        let mut local = Screen::new(30, 6);
        local.feed(painter.paint(&job, (30, 6), "line").as_bytes());
        for (row, (shown, job)) in local.lines().zip(job.lines()).enumerate() {
            assert_eq!(shown.cells()[..20], job.cells()[..20], "row {row}");
        }
        assert_eq!(local.text(), "red 日本\nxy\nz\n\n\nline\n");
        assert_eq!(local.cursor(), Some((1, 2)));
    }

    #[test]
    fn a_smaller_terminal_shows_what_is_around_the_cursor() {
        let mut painter = Painter::default();
        let mut local = Screen::new(5, 3);
        let mut job = screen(12, 6, "1\r\n2\r\nx3y\r\n4 日本e");
        local.feed(painter.paint(&job, (5, 3), "status of it").as_bytes());
        // The cursor is after the last letter, and the first half of a character is not shown.
        assert_eq!(local.text(), "\n 本e\nstatu\n");
        job.feed(b"\x1b[H");
        local.feed(painter.paint(&job, (5, 3), "status of it").as_bytes());
        assert_eq!(local.text(), "1\n2\nstatu\n");
        assert_eq!(local.cursor(), Some((0, 0)));
    }

    #[test]
    fn only_what_has_changed_is_painted() {
        let mut painter = Painter::default();
        let mut job = screen(80, 24, "a\r\nb\r\nc");
        let first = painter.paint(&job, (80, 30), "").len();
        job.feed(b"d");
        let then = painter.paint(&job, (80, 30), "");
        assert!(
            then.len() < 60 && then.contains("cd") && first > then.len(),
            "{then:?}"
        );
    }
}
