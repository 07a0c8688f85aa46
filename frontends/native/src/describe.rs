//! `PATCH /sessions/{session}`: the title and the labels of a session.

use crate::Native;
use crate::answer::{HandlerResult, ok};
use crate::error::Fault;
use crate::request::body;
use rejoin_accounts::Permission;
use rejoin_engine::DescribeSession;
use rejoin_http::Request;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The body: a JSON merge patch (RFC 7396). What it does not name stays; what is null is removed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Describe {
    #[serde(default, deserialize_with = "named")]
    title: Option<Option<String>>,
    #[serde(default, deserialize_with = "named")]
    labels: Option<Option<Labels>>,
}

/// The labels to set, by key; those to remove are null.
type Labels = BTreeMap<String, Option<String>>;

/// A member that is there, which may be null.
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Native {
    pub(crate) async fn describe_session(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Run).await?;
        let session = self.session(http, &caller).await?;
        let Describe { title, labels } = body(http.body())?;
        let title = title.map(Option::unwrap_or_default);
        let title = title.as_deref().map(str::trim);
        check(title.unwrap_or_default(), "title")?;
        let labels = match labels {
            None => BTreeMap::new(),
            Some(Some(labels)) => checked(labels)?,
            // All that there are.
            Some(None) => self.view(session, |view| {
                let labels = view.description.iter().flat_map(|it| it.labels.keys());
                labels.map(|key| (key.clone(), None)).collect()
            })?,
        };
        let describe = DescribeSession {
            session,
            title: title.map(Into::into),
            labels,
        };
        self.engine_for(&caller, http)
            .describe_session(describe)
            .await?;
        Ok(ok(&self.view(session, |view| self.detail(view))?))
    }
}

fn checked(labels: Labels) -> Result<BTreeMap<Arc<str>, Option<Arc<str>>>, Fault> {
    let checked = labels.into_iter().map(|(key, value)| {
        let is_key = |it: char| it.is_alphanumeric() || "._-/".contains(it);
        if key.is_empty() || !key.chars().all(is_key) {
            let reason = "the key of a label consists of letters, digits, `.`, `_`, `-` and `/`";
            return Err(Fault::RequestInvalid(reason.to_owned()));
        }
        check(value.as_deref().unwrap_or_default(), "value of a label")?;
        Ok((key.into(), value.map(Into::into)))
    });
    checked.collect()
}

fn check(text: &str, what: &str) -> Result<(), Fault> {
    let refused = |why: &str| Err(Fault::RequestInvalid(format!("the {what} {why}")));
    if text.chars().any(char::is_control) {
        return refused("cannot contain control characters");
    }
    if text.chars().any(changes_direction) {
        return refused(
            "cannot contain characters that change the direction of text (U+061C, U+200E, U+200F, \
             U+202A to U+202E and U+2066 to U+2069)",
        );
    }
    match text.is_empty() || !text.chars().all(is_invisible) {
        true => Ok(()),
        false => refused("needs a character that can be seen"),
    }
}

/// Whether a character makes what follows look as another text.
const fn changes_direction(it: char) -> bool {
    matches!(it,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character shows nothing: spaces, and those that only change others or join them.
fn is_invisible(it: char) -> bool {
    it.is_whitespace()
        || matches!(it,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}'
            | '\u{206a}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}
