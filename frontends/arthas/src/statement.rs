//! Splits a command line into the statement to run and its slot.

use rejoin_engine::JobSlot;

/// Why a command line has nothing to run, as a message for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoStatement(pub(crate) &'static str);

/// Splits a command line: `statement &` runs in the background.
///
/// # Errors
///
/// When there is nothing to run.
pub(crate) fn parse(line: Option<&str>) -> Result<(&str, JobSlot), NoStatement> {
    let line = line.ok_or(NoStatement("there is no command"))?;
    let (statement, slot) = match line.trim_end().strip_suffix('&') {
        Some(statement) if is_operator(statement) => (statement.trim_end(), JobSlot::Background),
        _ => (line, JobSlot::Foreground),
    };
    if statement.trim().is_empty() {
        let reason = if line.is_empty() {
            "the command is empty"
        } else {
            "the command is blank"
        };
        return Err(NoStatement(reason));
    }
    Ok((statement, slot))
}

/// Whether an `&` after this text is the background operator: `&&` is another operator, and an odd
/// number of backslashes escapes it.
fn is_operator(before: &str) -> bool {
    let backslashes = before.len() - before.trim_end_matches('\\').len();
    !before.ends_with('&') && backslashes.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ampersand_at_the_end_means_background() {
        for (line, statement) in [
            ("sleep 3 &", "sleep 3"),
            ("sleep 3&", "sleep 3"),
            ("sleep 3 & \n", "sleep 3"),
            ("a && b &", "a && b"),
            (r"echo \\&", r"echo \\"),
        ] {
            assert_eq!(
                parse(Some(line)),
                Ok((statement, JobSlot::Background)),
                "{line}"
            );
        }
    }

    #[test]
    fn any_other_line_runs_unchanged() {
        for line in ["ls", " ls ", "a &&", "a & b", r"echo \&", "echo '&'"] {
            assert_eq!(parse(Some(line)), Ok((line, JobSlot::Foreground)), "{line}");
        }
    }

    #[test]
    fn a_line_without_a_statement_is_refused() {
        assert_eq!(parse(None), Err(NoStatement("there is no command")));
        assert_eq!(parse(Some("")), Err(NoStatement("the command is empty")));
        for line in [" ", "\t\n", "&", " & "] {
            assert_eq!(
                parse(Some(line)),
                Err(NoStatement("the command is blank")),
                "{line}"
            );
        }
    }
}
