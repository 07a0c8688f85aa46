//! The envelope of every answer, and a JSON writer for this API: compact, members in alphabetical
//! order at every level, without nulls.

use crate::handlers::logged_results::LoggedAnswer;
use rejoin_engine::{ConsumerId, JobId, SessionId};
use rejoin_http::Share;
use std::fmt::{self, Write as _};

/// What comes before the body.
const BODY: &[u8] = br#"{"body":"#;

/// The `state` of an answer or of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Failed,
    Interrupted,
    Refused,
    Scheduled,
    Succeeded,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::Interrupted => "INTERRUPTED",
            Self::Refused => "REFUSED",
            Self::Scheduled => "SCHEDULED",
            Self::Succeeded => "SUCCEEDED",
        }
    }
}

/// The envelope of an answer. Which IDs it has depends on the action.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) consumer: Option<ConsumerId>,
    pub(crate) message: Option<String>,
    pub(crate) session: Option<SessionId>,
    pub(crate) state: State,
    /// The job that it is about, for the server's own log. Not sent.
    pub(crate) job: Option<JobId>,
    /// What the body takes of the budget of all `exec`s.
    pub(crate) share: Option<Share>,
    /// Where to read the results of which the body has only the place.
    pub(crate) logged: Option<LoggedAnswer>,
}

impl Answer {
    pub(crate) const fn new(state: State) -> Self {
        Self {
            body: None,
            consumer: None,
            message: None,
            session: None,
            state,
            job: None,
            share: None,
            logged: None,
        }
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn consumer(mut self, consumer: Option<ConsumerId>) -> Self {
        self.consumer = consumer;
        self
    }

    pub(crate) fn message(mut self, message: &str) -> Self {
        self.message = Some(message.into());
        self
    }

    pub(crate) fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Sets the job that it is about, for the server's own log.
    pub(crate) fn about(mut self, job: JobId) -> Self {
        self.job = Some(job);
        self
    }

    /// As [`Self::encode`], of an answer whose results are read from the log: what comes before their
    /// array, and after it.
    pub(crate) fn encode_around(self, begin: usize, request: Option<&str>) -> (Vec<u8>, Vec<u8>) {
        let mut before = self.encode(request);
        // The array is empty.
        let after = before.split_off(BODY.len() + begin + 1);
        before.pop();
        (before, after)
    }

    /// The response body, with the `requestId` of the request if it had one.
    pub(crate) fn encode(self, request: Option<&str>) -> Vec<u8> {
        // Enough for the envelope around the body, unless the message is long.
        const ENVELOPE: usize = 256;
        let body = self.body.unwrap_or_default();
        let mut json = Vec::with_capacity(body.len() + ENVELOPE);
        let last = match body.is_empty() {
            true => {
                json.push(b'{');
                ""
            }
            false => {
                json.extend_from_slice(BODY);
                json.extend_from_slice(&body);
                "body"
            }
        };
        Object::go_on(&mut json, last, |envelope| {
            if let Some(consumer) = self.consumer {
                envelope.shown("consumerId", consumer);
            }
            envelope.optional("message", self.message.as_deref());
            envelope.optional("requestId", request);
            if let Some(session) = self.session {
                envelope.shown("sessionId", session);
            }
            envelope.plain("state", self.state.as_str());
        });
        json
    }
}

/// Writes a JSON object. The caller gives the members in alphabetical order; debug builds check it.
///
/// Written by hand, because clients poll: it writes straight into the response, without values in
/// between, and a pull of three results takes about 32,200 instructions in all.
pub(crate) struct Object<'a> {
    json: &'a mut Vec<u8>,
    last: &'static str,
}

impl<'a> Object<'a> {
    /// Appends an object with the members that `members` writes.
    pub(crate) fn write(json: &'a mut Vec<u8>, members: impl FnOnce(&mut Self)) {
        json.push(b'{');
        let mut object = Self { json, last: "" };
        members(&mut object);
        object.json.push(b'}');
    }

    /// Appends more members to an object that has been begun, and ends it.
    pub(crate) fn go_on(
        json: &'a mut Vec<u8>,
        last: &'static str,
        members: impl FnOnce(&mut Self),
    ) {
        let mut object = Self { json, last };
        members(&mut object);
        object.json.push(b'}');
    }

    /// A new buffer with the object, such as the body of an answer.
    pub(crate) fn of(members: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
        Self::with_capacity(0, members)
    }

    /// Like [`Self::of`], with space for `bytes` bytes more than small members need.
    pub(crate) fn with_capacity(bytes: usize, members: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
        let mut json = Vec::with_capacity(bytes + 128);
        Object::write(&mut json, members);
        json
    }

    pub(crate) fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        write_text(self.json, text);
    }

    pub(crate) fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A string that needs no escapes, such as a constant.
    pub(crate) fn plain(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.json.push(b'"');
        self.json.extend_from_slice(text.as_bytes());
        self.json.push(b'"');
    }

    /// A value whose `Display` needs no escapes, as a string: an ID, for example.
    pub(crate) fn shown(&mut self, name: &'static str, value: impl fmt::Display) {
        self.name(name);
        self.json.push(b'"');
        self.show(value);
        self.json.push(b'"');
    }

    /// A number or a boolean.
    pub(crate) fn value(&mut self, name: &'static str, value: impl fmt::Display) {
        self.name(name);
        self.show(value);
    }

    /// A value that is JSON already. Returns where it begins.
    pub(crate) fn json(&mut self, name: &'static str, json: &[u8]) -> usize {
        self.name(name);
        let begin = self.json.len();
        self.json.extend_from_slice(json);
        begin
    }

    fn name(&mut self, name: &'static str) {
        debug_assert!(self.last < name, "{name} after {}", self.last);
        if !self.last.is_empty() {
            self.json.push(b',');
        }
        self.last = name;
        self.json.push(b'"');
        self.json.extend_from_slice(name.as_bytes());
        self.json.extend_from_slice(b"\":");
    }

    #[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
    fn show(&mut self, value: impl fmt::Display) {
        write!(Text(self.json), "{value}").expect("writing to a Vec cannot fail");
    }
}

/// Formats straight into the buffer, without going through `io::Write` and its errors.
struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
fn write_text(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("writing to a Vec cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(answer: Answer, request: Option<&str>) -> String {
        String::from_utf8(answer.encode(request)).unwrap()
    }

    #[test]
    fn members_are_in_alphabetical_order_and_missing_ones_are_left_out() {
        let session = SessionId::from_bytes([0xab; 16]);
        let consumer = ConsumerId {
            token: [7; 16],
            ordinal: 2,
        };
        let answer = Answer::new(State::Interrupted)
            .body(Object::of(|body| body.value("jobId", 3)))
            .consumer(Some(consumer))
            .message("late")
            .session(session);
        assert_eq!(
            encoded(answer, Some("")),
            concat!(
                r#"{"body":{"jobId":3},"consumerId":"07070707070707070707070707070707_2","#,
                r#""message":"late","requestId":"","#,
                r#""sessionId":"abababab-abab-abab-abab-abababababab","state":"INTERRUPTED"}"#,
            )
        );
        let nothing_else = encoded(Answer::new(State::Succeeded), None);
        assert_eq!(nothing_else, r#"{"state":"SUCCEEDED"}"#);
    }

    #[test]
    fn strings_have_no_more_escapes_than_json_requires() {
        let answer = Answer::new(State::Failed).message("a/b \"c\" \\ \n\u{1} é 会");
        assert_eq!(
            encoded(answer, None),
            r#"{"message":"a/b \"c\" \\ \n\u0001 é 会","state":"FAILED"}"#
        );
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a after b")]
    fn members_out_of_order_panic_in_debug_builds() {
        Object::of(|body| {
            body.value("b", 1);
            body.value("a", 1);
        });
    }
}
