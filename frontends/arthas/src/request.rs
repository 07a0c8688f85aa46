//! Parses the request object, with the coercions that clients rely on.
//!
//! Members stay raw JSON text until they are needed, so that a large body of unknown members costs
//! no memory but its own bytes, and a deeply nested one no stack.

use crate::error::Fault;
use crate::limits::EXEC_TIMEOUT_MILLIS;
use rejoin_accounts::Permission;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::time::Duration;

/// A parsed request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// As sent; [`Action::named`] parses it.
    pub(crate) action: Option<String>,
    /// The command line, as sent.
    pub(crate) command: Option<String>,
    /// The consumer's ID, not blank.
    pub(crate) consumer: Option<String>,
    /// How long an `exec` may take; `None` means the default.
    pub(crate) exec_timeout: Option<Duration>,
    /// The `requestId`, which the answer repeats even when it is blank.
    pub(crate) id: Option<String>,
    /// The session's ID, not blank.
    pub(crate) session: Option<String>,
    /// The user of the session from now on, not blank.
    pub(crate) user: Option<String>,
}

/// The actions of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    AsyncExec,
    CloseSession,
    Exec,
    InitSession,
    InterruptJob,
    JoinSession,
    PullResults,
    SessionInfo,
}

impl Action {
    /// The action with this name. Case and surrounding blanks don't matter.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.trim();
        let named = |(known, _): &&(&str, Self)| known.eq_ignore_ascii_case(name);
        ACTIONS.iter().find(named).map(|(_, action)| *action)
    }

    /// Whether it changes something, so that records say who asked for it.
    pub(crate) const fn is_command(self) -> bool {
        !matches!(self, Self::PullResults | Self::SessionInfo)
    }

    /// The permission that it needs. Closing also depends on whose session it is.
    pub(crate) fn permission(self) -> Permission {
        match self {
            Self::AsyncExec | Self::Exec => Permission::Run,
            Self::CloseSession => Permission::CloseOwn,
            Self::InitSession => Permission::Create,
            Self::InterruptJob => Permission::Interrupt,
            Self::JoinSession | Self::PullResults | Self::SessionInfo => Permission::Read,
        }
    }
}

const ACTIONS: [(&str, Action); 8] = [
    ("ASYNC_EXEC", Action::AsyncExec),
    ("CLOSE_SESSION", Action::CloseSession),
    ("EXEC", Action::Exec),
    ("INIT_SESSION", Action::InitSession),
    ("INTERRUPT_JOB", Action::InterruptJob),
    ("JOIN_SESSION", Action::JoinSession),
    ("PULL_RESULTS", Action::PullResults),
    ("SESSION_INFO", Action::SessionInfo),
];

impl Request {
    /// Parses a request body.
    ///
    /// # Errors
    ///
    /// If it is not one JSON object, or its `execTimeout` is not a number.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Fault> {
        let body = body.trim_ascii();
        match body.first() {
            None => return Err(Fault::RequestInvalid("request body is empty".into())),
            Some(b'[') => return Err(Fault::RequestInvalid("expect {, but [".into())),
            Some(_) if body == b"null" => return Err(Fault::RequestNull),
            Some(_) => {}
        }
        let members = Members::parse(body).map_err(|error| invalid(&error))?;
        let text = |member: Option<&RawValue>| member.map_or(Ok(None), text);
        let filled = |member| text(member).map(|text| text.filter(|text| !text.trim().is_empty()));
        Ok(Self {
            action: text(members.action)?,
            command: text(members.command)?,
            consumer: filled(members.consumer_id)?,
            exec_timeout: filled(members.exec_timeout)?
                .map(|timeout| millis(&timeout))
                .transpose()?
                .flatten(),
            id: text(members.request_id)?,
            session: filled(members.session_id)?,
            user: filled(members.user_id)?,
        })
    }
}

/// The text of a member. A value that is not a string becomes its JSON text.
fn text(member: &RawValue) -> Result<Option<String>, Fault> {
    let json = member.get();
    match json.as_bytes().first() {
        Some(b'n') => Ok(None),
        // Without escapes there is nothing to decode: the parser has checked the string already.
        Some(b'"') if !json.contains('\\') => {
            let text = json
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'));
            Ok(text.map(Into::into))
        }
        Some(b'"') => serde_json::from_str(json)
            .map(Some)
            .map_err(|error| invalid(&error)),
        _ => Ok(Some(json.into())),
    }
}

/// Parses a timeout in milliseconds. Fractions are cut off; zero and negative numbers mean the
/// default.
fn millis(text: &str) -> Result<Option<Duration>, Fault> {
    let text = text.trim();
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    // The cast saturates, so a number that is too large stays too large.
    match number.map(|number| number as i64) {
        Some(millis) if millis <= EXEC_TIMEOUT_MILLIS => {
            let millis = u64::try_from(millis).unwrap_or(0);
            Ok((millis > 0).then(|| Duration::from_millis(millis)))
        }
        _ => Err(Fault::RequestInvalid(format!("parseInt error, {text}"))),
    }
}

fn invalid(error: &serde_json::Error) -> Fault {
    Fault::RequestInvalid(error.to_string())
}

/// The known members, as they were sent. Read by hand, because the last of repeated members counts,
/// as in the product, where a derived `Deserialize` would refuse the request. Values stay raw text
/// until they are needed, so an action pays only for the members that it uses.
#[derive(Debug, Default)]
struct Members<'a> {
    action: Option<&'a RawValue>,
    command: Option<&'a RawValue>,
    consumer_id: Option<&'a RawValue>,
    exec_timeout: Option<&'a RawValue>,
    request_id: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
    user_id: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Name {
    Action,
    Command,
    ConsumerId,
    ExecTimeout,
    RequestId,
    SessionId,
    UserId,
    #[serde(other)]
    Unknown,
}

impl<'a> Members<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let members = json.deserialize_map(MembersVisitor)?;
        json.end()?;
        Ok(members)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members<'de>, M::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key()? {
            let member = match name {
                Name::Action => &mut members.action,
                Name::Command => &mut members.command,
                Name::ConsumerId => &mut members.consumer_id,
                Name::ExecTimeout => &mut members.exec_timeout,
                Name::RequestId => &mut members.request_id,
                Name::SessionId => &mut members.session_id,
                Name::UserId => &mut members.user_id,
                Name::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = Some(map.next_value()?);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Request {
        Request::parse(body.as_bytes()).unwrap_or_else(|fault| panic!("{body}: {fault:?}"))
    }

    fn refused(body: &[u8]) -> String {
        match Request::parse(body) {
            Err(fault) => fault.to_string(),
            Ok(request) => panic!("{request:?}"),
        }
    }

    #[test]
    fn the_document_has_every_action_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(crate::OPENAPI).unwrap();
        let body = "/paths/~1api/post/requestBody/content/application~1json/schema/oneOf";
        let schemas = document.pointer(body).unwrap().as_array().unwrap();
        let mut documented: Vec<_> = schemas
            .iter()
            .map(|schema| schema["properties"]["action"]["const"].as_str().unwrap())
            .map(|name| format!("{:?}", Action::named(name).unwrap()))
            .collect();
        documented.sort_unstable();
        let all = "AsyncExec CloseSession Exec InitSession InterruptJob JoinSession PullResults \
                   SessionInfo";
        assert_eq!(documented.join(" "), all);
    }

    #[test]
    fn every_member_is_read_and_unknown_ones_are_ignored() {
        let request = parsed(
            r#" {"action":"exec","requestId":"r","sessionId":"s","consumerId":"c","command":"ls",
                "execTimeout":5000,"userId":"u","Action":"no","other":[{"deep":[null]}]} "#,
        );
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            request,
            Request {
                action: text("exec"),
                command: text("ls"),
                consumer: text("c"),
                exec_timeout: Some(Duration::from_secs(5)),
                id: text("r"),
                session: text("s"),
                user: text("u"),
            }
        );
    }

    #[test]
    fn null_means_missing() {
        let request = parsed(
            r#"{"action":null,"requestId":null,"sessionId":null,"consumerId":null,"command":null,
               "execTimeout":null,"userId":null}"#,
        );
        assert_eq!(request, Request::default());
        assert_eq!(parsed("{}"), Request::default());
    }

    #[test]
    fn a_blank_id_means_none_but_a_blank_request_id_is_kept() {
        let request = parsed(
            r#"{"requestId":"","sessionId":"","consumerId":" \t","userId":" ","command":" "}"#,
        );
        assert_eq!(
            request,
            Request {
                command: Some(" ".into()),
                id: Some("".into()),
                ..Request::default()
            }
        );
    }

    #[test]
    fn a_value_that_is_not_a_string_becomes_its_json_text() {
        for (json, text) in [
            ("7", "7"),
            ("1.50", "1.50"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("true", "true"),
            ("[1,2]", "[1,2]"),
            (r#"{"z":1,"a":"x"}"#, r#"{"z":1,"a":"x"}"#),
        ] {
            let request = parsed(&format!(
                r#"{{"action":{json},"requestId":{json},"command":{json}}}"#
            ));
            assert_eq!(request.action.as_deref(), Some(text));
            assert_eq!(request.id.as_deref(), Some(text));
            assert_eq!(request.command.as_deref(), Some(text));
        }
    }

    #[test]
    fn a_timeout_may_be_a_number_a_decimal_or_a_numeric_string() {
        for (json, millis) in [
            ("1500", Some(1500)),
            ("1500.9", Some(1500)),
            ("\"1500\"", Some(1500)),
            ("\" 1500.9 \"", Some(1500)),
            ("15e2", Some(1500)),
            ("1.5e3", Some(1500)),
            ("2147483647", Some(2_147_483_647)),
            ("0", None),
            ("0.9", None),
            ("-1", None),
            ("-1e300", None),
            ("\"\"", None),
            ("null", None),
        ] {
            let request = parsed(&format!(r#"{{"execTimeout":{json}}}"#));
            assert_eq!(
                request.exec_timeout,
                millis.map(Duration::from_millis),
                "{json}"
            );
        }
    }

    #[test]
    fn a_timeout_that_is_not_a_number_is_refused() {
        for (json, text) in [
            ("\"abc\"", "abc"),
            ("\"1x\"", "1x"),
            ("\"1.x\"", "1.x"),
            ("\"NaN\"", "NaN"),
            ("\"inf\"", "inf"),
            ("true", "true"),
            ("[1]", "[1]"),
            ("2147483648", "2147483648"),
            ("1e300", "1e300"),
            ("99999999999999999999", "99999999999999999999"),
        ] {
            let body = format!(r#"{{"execTimeout":{json}}}"#);
            assert_eq!(
                refused(body.as_bytes()),
                format!("Process request error: parse request failed: parseInt error, {text}")
            );
        }
    }

    #[test]
    fn a_body_that_is_not_one_object_is_refused() {
        let failed = "Process request error: parse request failed: ";
        for body in ["", " \r\n\t"] {
            assert_eq!(
                refused(body.as_bytes()),
                format!("{failed}request body is empty")
            );
        }
        assert_eq!(refused(b"[]"), format!("{failed}expect {{, but ["));
        for body in [
            &b"not json"[..],
            b"{",
            b"{} {}",
            b"7",
            b"{\"a\":\xff}",
            b"{\"action\":\"\\ud800\"}",
        ] {
            let message = refused(body);
            assert!(message.starts_with(failed), "{message}");
            assert!(message.len() > failed.len());
        }
        let message = refused(b" null ");
        assert!(message.starts_with("Process request error: "), "{message}");
        assert!(!message.starts_with(failed), "{message}");
    }

    #[test]
    fn of_repeated_members_the_last_counts() {
        assert_eq!(
            parsed(r#"{"action":"a","action":"b"}"#).action.as_deref(),
            Some("b")
        );
    }

    #[test]
    fn case_and_surrounding_blanks_of_an_action_do_not_matter() {
        assert_eq!(Action::named(" exec "), Some(Action::Exec));
        assert_eq!(Action::named("EXEC"), Some(Action::Exec));
        assert_eq!(Action::named("Pull_Results"), Some(Action::PullResults));
        assert_eq!(Action::named("exec it"), None);
        assert_eq!(Action::named(""), None);
    }

    #[test]
    fn deep_nesting_uses_no_stack() {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parsed(&deep), Request::default());
        let deep = format!(
            r#"{{"command":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(parsed(&deep).command.map(|text| text.len()), Some(200_000));
    }
}
