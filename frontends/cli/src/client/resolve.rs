//! Which session is meant: its number, its identity, or how that begins.

use super::ClientError;
use super::api::Api;
use super::limits::PAGE;
use crate::args::SessionAt;
use rejoin_core::SessionId;
use serde_json::Value;

/// The session that `name` means, as the server shows it in detail.
///
/// # Errors
///
/// Where none is meant, or several are.
pub(crate) fn choose(api: &Api, name: &str) -> Result<Value, ClientError> {
    let is_number = !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit());
    let identity = name.parse::<SessionId>();
    if is_number || identity.is_ok() {
        let name = identity.map_or_else(|_| name.to_owned(), |id| id.to_string());
        match api.get(&format!("/sessions/{name}")) {
            // An identity may begin with what looks like a long number.
            Err(error) if is_number && error.is_code("session_not_found") => {}
            answer => return answer,
        }
    }
    let begin = name.to_lowercase();
    let found = if may_begin(&begin) {
        find(api, &begin)?
    } else {
        vec![]
    };
    match &found[..] {
        [only] => api.get(&format!("/sessions/{only}")),
        [] => Err(ClientError::Session(format!(
            "there is no session {name}: `rejoin sessions` lists them"
        ))),
        several => Err(ClientError::Session(format!(
            "{name} can mean {} sessions: {}{}",
            several.len(),
            several[..several.len().min(SAID)].join(", "),
            if several.len() > SAID { ", …" } else { "" }
        ))),
    }
}

/// The identity of a session that the server has shown.
pub(crate) fn identity(session: &Value) -> Result<(String, SessionId), ClientError> {
    let shown = session["id"].as_str().unwrap_or_default();
    let id = shown.parse().map_err(|_| {
        ClientError::Session("the server shows a session without an identity".to_owned())
    })?;
    Ok((shown.to_owned(), id))
}

/// A session in which something is to be done: its server, and its identity.
///
/// # Errors
///
/// As [`choose`], and where it has ended.
pub(crate) fn open(at: &SessionAt) -> Result<(Api, String), ClientError> {
    let api = Api::find(&at.server)?;
    let (session, _) = not_ended(&choose(&api, &at.session)?)?;
    Ok((api, session))
}

/// The identity of a session that the server has shown.
///
/// # Errors
///
/// Where it has ended: nothing more happens in it.
pub(crate) fn not_ended(session: &Value) -> Result<(String, SessionId), ClientError> {
    if session["state"] == "ended" {
        let number = &session["number"];
        return Err(ClientError::Session(format!("session {number} has ended")));
    }
    identity(session)
}

/// Whether that is taken for the beginning of an identity.
fn may_begin(name: &str) -> bool {
    let is_number = name.bytes().all(|it| it.is_ascii_digit());
    let shortest = if is_number { DIGITS } else { 1 };
    let is_of_one = |it: u8| it.is_ascii_hexdigit() || it == b'-';
    name.len() >= shortest && name.bytes().all(is_of_one)
}

/// The identities that begin so.
fn find(api: &Api, begin: &str) -> Result<Vec<String>, ClientError> {
    let mut found = vec![];
    let mut page = format!("/sessions?limit={PAGE}");
    loop {
        let listed = api.get(&page)?;
        let sessions = listed["sessions"].as_array().into_iter().flatten();
        let ids = sessions.filter_map(|session| session["id"].as_str());
        found.extend(ids.filter(|id| id.starts_with(begin)).map(str::to_owned));
        match listed["next"].as_u64() {
            Some(next) => page = format!("/sessions?limit={PAGE}&before={next}"),
            None => return Ok(found),
        }
    }
}

/// Digits alone are a number, and the beginning of an identity only from so many on, as lists show
/// it: who mistypes the number of a session to close must not close another one.
const DIGITS: usize = 8;

/// So many are named, where several could be meant.
const SAID: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_number_is_not_the_beginning_of_an_identity() {
        for begin in ["b", "b09f", "12345678", "1234-", "9e1"] {
            assert!(may_begin(begin), "{begin}");
        }
        for other in ["", "5", "99", "1234567", "zebra", "../x"] {
            assert!(!may_begin(other), "{other}");
        }
    }
}
