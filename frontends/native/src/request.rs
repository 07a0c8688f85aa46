//! Parses and checks the bodies and queries of requests. Pure.

use crate::error::Fault;
use crate::limits::CLIENT_NAME;
use rejoin_engine::{EndedSessions, JobOutput, Sequence, TerminalSize, Timestamp};
use rejoin_http::Url;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The body of `POST /sessions`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    pub(crate) service: Option<String>,
    pub(crate) user: Option<String>,
}

/// The body of `POST /login`. It has no `Debug`, so that the password is never printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// The body of `POST /sessions/{session}/jobs`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Submit {
    #[serde(default)]
    pub(crate) statement: String,
    pub(crate) output: Option<Output>,
    pub(crate) terminal: Option<Size>,
    pub(crate) shell: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) request: Option<String>,
    #[serde(default)]
    pub(crate) input: bool,
    #[serde(default)]
    pub(crate) background: bool,
    pub(crate) timeout_millis: Option<u64>,
    pub(crate) output_limit: Option<u64>,
    pub(crate) leftover_processes: Option<LeftoverProcesses>,
}

/// What becomes of processes that the job leaves in its process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LeftoverProcesses {
    End,
    Keep,
}

impl Submit {
    /// The statement: that of the chosen shell, if there is one.
    ///
    /// # Errors
    ///
    /// When it can't be run, with the reason.
    pub(crate) fn statement(&self) -> Result<String, &'static str> {
        let is_empty = self.statement.trim().is_empty();
        if is_empty && self.terminal.is_none() {
            return Err("the statement is empty");
        }
        if self.statement.contains('\0') {
            return Err("a statement cannot contain a NUL character");
        }
        let Some(shell) = &self.shell else {
            return Ok(self.statement.clone());
        };
        if !is_empty || self.terminal.is_none() {
            return Err("`shell` is for a `terminal` without a `statement`");
        }
        // It becomes a word of a statement.
        let is_plain = |it: char| it.is_alphanumeric() || "/._+-".contains(it);
        match shell.starts_with('-') || shell.is_empty() || !shell.chars().all(is_plain) {
            true => Err("`shell` is a name or a path of letters, digits and any of / . _ + -"),
            // Its process is in the foreground of the terminal, as that of any command.
            false => Ok(format!("{shell} -l")),
        }
    }
}

/// How the output of a job goes that has no terminal.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Output {
    Merged,
    Separate,
}

impl From<Output> for JobOutput {
    fn from(output: Output) -> Self {
        match output {
            Output::Merged => Self::Merged,
            Output::Separate => Self::Separate,
        }
    }
}

/// The size of a terminal, and the body of `PUT /sessions/{session}/jobs/{job}/size`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Size {
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

impl From<Size> for TerminalSize {
    fn from(Size { columns, rows }: Size) -> Self {
        Self { columns, rows }
    }
}

/// The body of `PUT /sessions/{session}/jobs/{job}/controller`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    pub(crate) client: String,
}

/// Checks the name that a client has chosen for itself.
pub(crate) fn client(name: &str) -> Result<Arc<str>, Fault> {
    let is_visible = name.bytes().all(|byte| byte.is_ascii_graphic());
    match (1..=CLIENT_NAME).contains(&name.len()) && is_visible {
        true => Ok(name.into()),
        false => Err(Fault::RequestInvalid(format!(
            "`client` must be 1 to {CLIENT_NAME} visible ASCII characters, for example a UUID"
        ))),
    }
}

/// Parses a JSON object. An empty body counts as an empty object.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // Serde would read an array as the members in their order.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let reason = "invalid body: expected an object, got an array";
        return Err(Fault::RequestInvalid(reason.into()));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Fault::RequestInvalid(format!("invalid body: {error}")))
}

/// The parameters of a query. Unknown and repeated parameters are errors.
#[derive(Debug)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub(crate) fn parse(url: &Url, known: &[&str]) -> Result<Self, Fault> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            if !known.contains(&&*name) {
                let known = known.join(", ");
                return Err(Fault::RequestInvalid(format!(
                    "unknown parameter `{name}`; known ones: {known}"
                )));
            }
            if parameters
                .insert(name.to_string(), value.to_string())
                .is_some()
            {
                return Err(Fault::RequestInvalid(format!(
                    "parameter `{name}` is repeated"
                )));
            }
        }
        Ok(Self(parameters))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Fault> {
        self.text(name).map(|value| number(name, value)).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Fault::RequestInvalid(format!(
                "`{name}` must be true or false"
            ))),
        }
    }
}

/// Parses how long something lasts, as the command line does: `90s`, `15m`, `12h` or `90d`.
pub(crate) fn lifetime(name: &str, value: &str) -> Result<Duration, Fault> {
    let split = value.len().saturating_sub(1);
    let parsed = value.is_char_boundary(split).then(|| {
        let (count, unit) = value.split_at(split);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        let count = number(name, count).ok().filter(|count| *count > 0)?;
        count.checked_mul(seconds).map(Duration::from_secs)
    });
    parsed.flatten().ok_or_else(|| {
        Fault::RequestInvalid(format!(
            "`{name}` must be a time such as 90s, 15m, 12h or 90d, longer than zero"
        ))
    })
}

/// Parses a whole number of digits only, without a sign.
pub(crate) fn number(name: &str, value: &str) -> Result<u64, Fault> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|_| is_number)
        .ok_or_else(|| Fault::RequestInvalid(format!("`{name}` must be a whole number")))
}

/// Where a reader is in a session: the last sequence that it has, alone or with the instant of that
/// event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) after: Sequence,
    /// Proves which log the event came from.
    pub(crate) at: Option<Timestamp>,
}

impl Cursor {
    /// Parses `SEQUENCE`, or `SEQUENCE-AT` as in the `id` of streamed events.
    pub(crate) fn parse(name: &str, value: &str) -> Result<Self, Fault> {
        let digits = |text| number(name, text);
        let (after, at) = match value.split_once('-') {
            None => (digits(value), Ok(None)),
            Some((after, at)) => (digits(after), digits(at).map(Some)),
        };
        match (after, at) {
            (Ok(after), Ok(at)) => Ok(Self {
                after: Sequence(after),
                at: at.map(Timestamp::from_millis),
            }),
            _ => Err(Fault::RequestInvalid(format!(
                "`{name}` must be the sequence of an event, alone or followed by a hyphen and its `at`"
            ))),
        }
    }
}

/// The `state` by which a list of sessions is filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateFilter {
    Running,
    Idle,
    Ended,
}

impl StateFilter {
    pub(crate) fn parse(name: Option<&str>) -> Result<Option<Self>, Fault> {
        Ok(Some(match name {
            None => return Ok(None),
            Some("running") => Self::Running,
            Some("idle") => Self::Idle,
            Some("ended") => Self::Ended,
            Some(_) => {
                let reason = "`state` must be running, idle or ended";
                return Err(Fault::RequestInvalid(reason.to_owned()));
            }
        }))
    }

    /// Whether the open sessions of the list must be busy or idle.
    pub(crate) fn busy(self) -> Option<bool> {
        match self {
            Self::Running => Some(true),
            Self::Idle => Some(false),
            Self::Ended => None,
        }
    }

    /// Whether the list has ended sessions.
    pub(crate) fn ended(self) -> EndedSessions {
        match self {
            Self::Running | Self::Idle => EndedSessions::Exclude,
            Self::Ended => EndedSessions::Only,
        }
    }
}
