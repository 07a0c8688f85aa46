//! Finds the session that a number, an ID or a prefix of an ID refers to.

use super::ClientError;
use super::api::Api;
use super::limits::PAGE;
use crate::args::{ServerArgs, SessionAt};
use rejoin_core::SessionId;
use serde_json::Value;
use std::time::Duration;

/// The session that `name` refers to, in the server's detailed form.
///
/// # Errors
///
/// If it matches no session, or several.
pub(crate) fn resolve(api: &Api, name: &str) -> Result<Value, ClientError> {
    let is_number = !name.is_empty() && name.bytes().all(|it| it.is_ascii_digit());
    let identity = name.parse::<SessionId>();
    if is_number || identity.is_ok() {
        let name = identity.map_or_else(|_| name.to_owned(), |id| id.to_string());
        match api.get(&format!("/sessions/{name}")) {
            // The prefix of an ID may look like a long number.
            Err(error) if is_number && error.is_code("session_not_found") => {}
            answer => return answer,
        }
    }
    let begin = name.to_lowercase();
    let found = if is_prefix(&begin) {
        find(api, &begin)?
    } else {
        vec![]
    };
    match &found[..] {
        [only] => api.get(&format!("/sessions/{only}")),
        [] => Err(ClientError::Session(format!(
            "no session {name}: `rejoin sessions` lists them"
        ))),
        several => Err(ClientError::Session(format!(
            "{name} matches {} sessions: {}{}",
            several.len(),
            several[..several.len().min(LISTED)].join(", "),
            if several.len() > LISTED { ", …" } else { "" }
        ))),
    }
}

/// The name of a session for the server, and its ID. By a link, the server names it by its number and keeps
/// the ID to itself; then the ID is zero.
pub(crate) fn identity(session: &Value) -> Result<(String, SessionId), ClientError> {
    let shown = session["id"].as_str().unwrap_or_default();
    let id = match shown.parse() {
        Ok(id) => id,
        Err(_)
            if session["number"]
                .as_u64()
                .is_some_and(|it| shown.parse() == Ok(it)) =>
        {
            SessionId::from_bytes([0; 16])
        }
        Err(_) => {
            let reason = "the server sent a session without an ID";
            return Err(ClientError::Session(reason.to_owned()));
        }
    };
    Ok((shown.to_owned(), id))
}

/// The client for a session, and the session's name. Of a link's address, they are those in it.
///
/// # Errors
///
/// If there is no such server, or the address is none of a link.
pub(crate) fn address(at: &SessionAt) -> Result<(Api, String), ClientError> {
    address_following(at, Duration::MAX)
}

/// As [`address`], for a command that is followed, and for which the server may be away so long.
pub(crate) fn address_following(
    at: &SessionAt,
    patience: Duration,
) -> Result<(Api, String), ClientError> {
    let is_address = ["http://", "https://"]
        .iter()
        .any(|it| at.session.starts_with(it));
    if !is_address {
        return Ok((Api::following(&at.server, patience)?, at.session.clone()));
    }
    let Some((server, session, link)) = link_parts(&at.session) else {
        // Not repeated here: it may have a secret in it.
        let reason = "this address is none of a link: it has to end with #session=…&link=…, which the \
                      shell takes in quotes only. Or give the session's number, and --server";
        return Err(ClientError::Settings(reason.to_owned()));
    };
    let by_link = ServerArgs {
        server: Some(server.to_owned()),
        link: Some(link.to_owned()),
        ..at.server.clone()
    };
    Ok((Api::following(&by_link, patience)?, session.to_owned()))
}

/// The server, the session and the secret in a link's address.
fn link_parts(address: &str) -> Option<(&str, &str, &str)> {
    let (server, rest) = address.split_once('#')?;
    let named = |name: &str| {
        let mut parts = rest.split('&').filter_map(|part| part.split_once('='));
        parts
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    };
    let (session, link) = (named("session")?, named("link")?);
    let is_plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it))
    };
    (is_plain(session) && is_plain(link)).then_some((server, session, link))
}

/// The client and the ID for an open session.
///
/// # Errors
///
/// As [`resolve`], and if the session has ended.
pub(crate) fn open(at: &SessionAt) -> Result<(Api, String), ClientError> {
    let (api, name) = address(at)?;
    let (session, _) = not_ended(&resolve(&api, &name)?)?;
    Ok((api, session))
}

/// The client, and what the server says of a session, open or ended.
///
/// # Errors
///
/// As [`resolve`].
pub(crate) fn any(at: &SessionAt) -> Result<(Api, Value), ClientError> {
    let (api, name) = address(at)?;
    let session = resolve(&api, &name)?;
    Ok((api, session))
}

/// The ID of a session in the server's form.
///
/// # Errors
///
/// If the session has ended.
pub(crate) fn not_ended(session: &Value) -> Result<(String, SessionId), ClientError> {
    if session["state"] == "ended" {
        let number = &session["number"];
        return Err(ClientError::Session(format!("session {number} has ended")));
    }
    identity(session)
}

/// Whether `name` is accepted as a prefix of an ID.
fn is_prefix(name: &str) -> bool {
    let is_number = name.bytes().all(|it| it.is_ascii_digit());
    let shortest = if is_number { MIN_DIGITS } else { 1 };
    let is_of_one = |it: u8| it.is_ascii_hexdigit() || it == b'-';
    name.len() >= shortest && name.bytes().all(is_of_one)
}

/// All IDs with this prefix.
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

/// Digits alone are a prefix of an ID only if there are at least this many, as in lists: a mistyped
/// session number must not close another session.
const MIN_DIGITS: usize = 8;

/// How many matches an error lists.
const LISTED: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_links_address_names_a_server_a_session_and_a_secret() {
        for (address, parts) in [
            (
                "https://host/rejoin/#session=3&link=rejoin_link_a1",
                Some(("https://host/rejoin/", "3", "rejoin_link_a1")),
            ),
            (
                "http://[::1]:2/#session=3&at=9&link=x",
                Some(("http://[::1]:2/", "3", "x")),
            ),
            ("https://host/#session=3", None),
            ("https://host/#session=&link=x", None),
            ("https://host/#session=../me&link=x", None),
            ("https://host/#session=3&link=a%20b", None),
            ("https://host/", None),
        ] {
            assert_eq!(link_parts(address), parts, "{address}");
        }
    }

    #[test]
    fn a_mistyped_number_is_not_the_prefix_of_an_id() {
        for begin in ["b", "b09f", "12345678", "1234-", "9e1"] {
            assert!(is_prefix(begin), "{begin}");
        }
        for other in ["", "5", "99", "1234567", "zebra", "../x"] {
            assert!(!is_prefix(other), "{other}");
        }
    }
}
