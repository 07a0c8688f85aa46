//! `rejoin search`: finds lines in the output of a session on a server.

use super::sessions::{is_terminal, percent_encoded, print};
use crate::args::{SearchArgs, SearchedStream};
use crate::client::ClientError;
use crate::client::limits::FOUND_LINES;
use crate::client::resolve::{address, identity, resolve};
use crate::client::table::harmless;
use serde_json::Value;
use std::fmt::Write as _;
use std::process::ExitCode;

/// The status if nothing is found, as grep's.
const NOTHING: u8 = 1;

/// Prints the lines that are found.
pub(crate) fn search(args: &SearchArgs) -> Result<ExitCode, ClientError> {
    let (api, name) = address(&args.at)?;
    let (session, _) = identity(&resolve(&api, &name)?)?;
    let most = args.limit.map_or(usize::MAX, usize::from);
    let is_styled = is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let mut after = "0".to_owned();
    let mut count = 0;
    loop {
        let found = api.get(&path(args, &session, &after, most - count))?;
        let lines = found["matches"].as_array().map(Vec::as_slice);
        let mut out = String::new();
        for line in lines.unwrap_or_default().iter().take(most - count) {
            count += 1;
            match (args.count, args.json) {
                (true, _) => {}
                (_, true) => {
                    let _ = writeln!(out, "{line}");
                }
                _ => out += &shown(line, is_styled),
            }
        }
        print(&out)?;
        let next = text(&found, "after");
        let is_over = !found["more"].as_bool().unwrap_or_default();
        if is_over || count >= most {
            break;
        }
        if next == after {
            let reason = "the server does not go on with its search".to_owned();
            return Err(ClientError::Lost(reason));
        }
        next.clone_into(&mut after);
    }
    if args.count {
        print(&format!("{count}\n"))?;
    }
    Ok(match count {
        0 => ExitCode::from(NOTHING),
        _ => ExitCode::SUCCESS,
    })
}

fn path(args: &SearchArgs, session: &str, after: &str, most: usize) -> String {
    let limit = most.min(FOUND_LINES);
    let pattern = percent_encoded(&args.pattern);
    let after = percent_encoded(after);
    let mut path = format!("/sessions/{session}/search?q={pattern}&after={after}&limit={limit}");
    if args.regex {
        path += "&regex=true";
    }
    if args.ignore_case {
        path += "&ignoreCase=true";
    }
    if let Some(job) = args.job {
        let _ = write!(path, "&job={job}");
    }
    if let Some(stream) = args.stream {
        path += match stream {
            SearchedStream::Stdout => "&stream=stdout",
            SearchedStream::Stderr => "&stream=stderr",
            SearchedStream::Terminal => "&stream=terminal",
        };
    }
    path
}

/// A line as a terminal shows it.
fn shown(found: &Value, is_styled: bool) -> String {
    let (line, before, inside) = (
        text(found, "line"),
        text(found, "before"),
        text(found, "match"),
    );
    let rest = line.get(before.len() + inside.len()..).unwrap_or_default();
    let job = &found["job"];
    match is_styled {
        false => format!("{job}: {}\n", harmless(line)),
        true => format!(
            "\x1b[2m{job}:\x1b[0m {}\x1b[1;31m{}\x1b[0m{}\n",
            harmless(before),
            harmless(inside),
            harmless(rest)
        ),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_that_is_found_is_shown_with_its_job_and_without_control_characters() {
        let found =
            json!({"job": 3, "line": "an er\u{7}ror", "before": "an ", "match": "er\u{7}r"});
        assert_eq!(shown(&found, false), "3: an er\\u{7}ror\n");
        let styled = shown(&found, true);
        assert!(
            styled.ends_with("an \x1b[1;31mer\\u{7}r\x1b[0mor\n"),
            "{styled}"
        );
    }
}
