//! A query for sessions: words that each have to be somewhere in what is known of a session. Pure.

use crate::limits::{QUERY_BYTES, QUERY_WORDS, SESSION_BYTES};
use regex::{Regex, RegexBuilder};
use rejoin_engine::{Description, JobState, JobView, Outcome, SessionView};

/// A query for sessions. A session matches if each word of the query does.
///
/// A word matches a session that has it in its title, its labels (as `key=value`), its user, its
/// service, its address or one of the commands that the engine remembers, or that has it as its number
/// (`#17`), its state or the result of its last command. Upper and lower case are the same. Several
/// words in double quotes are one. `title:`, `label:`, `user:`, `service:`, `command:`, `state:` and
/// `result:` before a word say what it is about. With these two, several names can be given, with commas
/// between them: `result:failed,lost`. Other letters, a colon and a letter are refused, because they look like
/// a field that there is not; in quotes they are text. `localhost:8080`, `http://x` and `std::io` are text.
///
/// ```
/// use rejoin_search::SessionQuery;
///
/// assert!(SessionQuery::parse(r#"label:env=live "make test" result:failed"#).is_ok());
/// assert!(SessionQuery::parse("state:busy").is_err());
/// assert!(SessionQuery::parse("owner:ann").is_err());
/// assert!(SessionQuery::parse(r#""owner:ann""#).is_ok());
/// assert!(SessionQuery::parse("localhost:8080").is_ok());
/// ```
#[derive(Clone, Debug, Default)]
pub struct SessionQuery {
    words: Vec<Word>,
}

/// Why there is no such query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is too long.
    #[error("a query has {QUERY_BYTES} bytes and {QUERY_WORDS} words at most")]
    Length,
    /// A word is about something that can't be asked for.
    #[error(
        "`{0}:` can't be asked for, only {all}; a text that has a colon goes in quotes, as in \"{0}:…\"",
        all = FIELDS.map(|field| format!("{field}:")).join(", ")
    )]
    Field(String),
    /// There is no such state or result.
    #[error("`{field}:{name}` finds nothing: the names are {names}")]
    Name {
        /// What was named.
        field: &'static str,
        /// The name.
        name: String,
        /// The names that there are.
        names: String,
    },
}

#[derive(Clone, Debug)]
enum Word {
    Any(Text),
    Title(Text),
    User(Text),
    Service(Text),
    Command(Text),
    /// The key of a label, and its value.
    Label(String, Option<String>),
    State(Vec<String>),
    Result(Vec<String>),
}

/// Part of a text, in upper or lower case.
#[derive(Clone, Debug)]
struct Text {
    regex: Regex,
    word: String,
}

impl Text {
    fn new(word: &str) -> Result<Self, QueryError> {
        let regex = RegexBuilder::new(&regex::escape(word))
            .case_insensitive(true)
            .build()
            .map_err(|_| QueryError::Length)?;
        let word = word.to_lowercase();
        Ok(Self { regex, word })
    }

    fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl SessionQuery {
    /// A query. An empty one matches every session.
    ///
    /// # Errors
    ///
    /// If it is too long, or names a state or a result that does not exist.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let words = split(query);
        if query.len() > QUERY_BYTES || words.len() > QUERY_WORDS {
            return Err(QueryError::Length);
        }
        let words = words
            .into_iter()
            .map(|(field, word)| Word::new(field, word));
        Ok(Self {
            words: words.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the session matches. `user` is what people see as its user. Adds the bytes of the texts
    /// that were looked at to `cost`.
    pub fn matches(&self, session: &SessionView, user: &str, cost: &mut usize) -> bool {
        *cost += SESSION_BYTES;
        let mut texts = None;
        self.words.iter().all(|word| {
            if matches!(word, Word::Any(_) | Word::Command(_)) {
                let bytes = texts.get_or_insert_with(|| {
                    let jobs = session.jobs();
                    jobs.map(|job| job.statement.len()).sum::<usize>()
                });
                *cost += *bytes;
            }
            word.matches(session, user)
        })
    }
}

impl Word {
    fn new(field: &str, word: String) -> Result<Self, QueryError> {
        let names = |field: &'static str, all: &[&str]| {
            let names: Vec<_> = word.split(',').map(str::to_lowercase).collect();
            match names.iter().find(|name| !all.contains(&name.as_str())) {
                None => Ok(names),
                Some(name) => Err(QueryError::Name {
                    field,
                    name: name.clone(),
                    names: all.join(", "),
                }),
            }
        };
        Ok(match field {
            UNKNOWN => return Err(QueryError::Field(word)),
            "title" => Self::Title(Text::new(&word)?),
            "user" => Self::User(Text::new(&word)?),
            "service" => Self::Service(Text::new(&word)?),
            "command" => Self::Command(Text::new(&word)?),
            "label" => match word.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(word, None),
            },
            "state" => Self::State(names("state", &STATES)?),
            "result" => {
                let all: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
                Self::Result(names("result", &all)?)
            }
            _ => Self::Any(Text::new(&word)?),
        })
    }

    fn matches(&self, session: &SessionView, user: &str) -> bool {
        let description = session.description.as_deref();
        match self {
            Self::Any(text) => {
                text.is_in(user)
                    || text.is_in(&session.service)
                    || session.remote.as_ref().is_some_and(|it| text.is_in(it))
                    || description.is_some_and(|it| is_in_description(text, it))
                    || text.word == format!("#{}", session.number)
                    || text.word == state(session)
                    || result(session).is_some_and(|result| text.word == result)
                    || is_in_commands(text, session)
            }
            Self::Title(text) => description
                .and_then(|it| it.title.as_deref())
                .is_some_and(|title| text.is_in(title)),
            Self::User(text) => text.is_in(user),
            Self::Service(text) => text.is_in(&session.service),
            Self::Command(text) => is_in_commands(text, session),
            Self::Label(key, value) => description
                .and_then(|it| it.labels.get(key.as_str()))
                .is_some_and(|it| value.as_ref().is_none_or(|value| **it == **value)),
            Self::State(names) => names.iter().any(|name| name == state(session)),
            Self::Result(names) => {
                result(session).is_some_and(|result| names.iter().any(|name| name == result))
            }
        }
    }
}

fn is_in_description(text: &Text, description: &Description) -> bool {
    let Description { title, labels } = description;
    title.as_deref().is_some_and(|title| text.is_in(title))
        || labels
            .iter()
            .any(|(key, value)| text.is_in(&format!("{key}={value}")))
}

fn is_in_commands(text: &Text, session: &SessionView) -> bool {
    let mut commands = session.jobs().rev();
    commands.any(|job| text.is_in(&job.statement))
}

const STATES: [&str; 3] = ["running", "idle", "ended"];

fn state(session: &SessionView) -> &'static str {
    match (session.closed, session.is_busy()) {
        (Some(_), _) => "ended",
        (None, true) => "running",
        (None, false) => "idle",
    }
}

/// How the command ended that was started last. None: it runs, or there is none.
fn result(session: &SessionView) -> Option<&'static str> {
    match session.jobs().next_back() {
        Some(JobView {
            state: JobState::Finished { outcome, .. },
            ..
        }) => Some(outcome.name()),
        _ => None,
    }
}

/// The words of a query, each with its field or without one.
fn split(query: &str) -> Vec<(&str, String)> {
    let mut words = vec![];
    let mut rest = query.trim_start();
    while !rest.is_empty() {
        let field = FIELDS.iter().copied().find(|field| {
            let after = rest.strip_prefix(field);
            after.is_some_and(|after| after.starts_with(':'))
        });
        if field.is_none()
            && let Some(name) = unknown_field(rest)
        {
            words.push((UNKNOWN, name.to_owned()));
        }
        let value = field.and_then(|field| rest.get(field.len() + 1..));
        let value = value.filter(|value| value.starts_with(|it: char| !it.is_whitespace()));
        let (field, value) = match (field, value) {
            (Some(field), Some(value)) => (field, value),
            // A field without a word is a word.
            _ => ("", rest),
        };
        // Quotes stand around a word or around the value of a label.
        let (mut word, mut is_quoted) = (String::new(), false);
        let mut end = value.len();
        for (at, character) in value.char_indices() {
            match character {
                '"' => is_quoted = !is_quoted,
                it if it.is_whitespace() && !is_quoted => {
                    end = at;
                    break;
                }
                it => word.push(it),
            }
        }
        if !word.is_empty() {
            words.push((field, word));
        }
        rest = value.get(end..).unwrap_or_default().trim_start();
    }
    words
}

/// The name in front of a word, if it looks like a field: letters, a colon, and a letter or a quote. Hosts with
/// ports, addresses, times and paths of code don't.
fn unknown_field(rest: &str) -> Option<&str> {
    let (name, after) = rest.split_once(':')?;
    let is_name = name.len() > 1 && name.bytes().all(|it| it.is_ascii_alphabetic());
    let is_before_word = after.starts_with(|it: char| it.is_alphabetic() || it == '"');
    (is_name && is_before_word).then_some(name)
}

/// Stands before a name that is no field.
const UNKNOWN: &str = ":";

const FIELDS: [&str; 7] = [
    "title", "label", "user", "service", "command", "state", "result",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_separated_by_spaces_and_kept_together_by_quotes() {
        let words = |query| {
            let words = split(query).into_iter();
            let words = words.map(|(field, word)| format!("{field}|{word}"));
            words.collect::<Vec<_>>()
        };
        for (query, expected) in [
            ("", &[][..]),
            ("  a  b ", &["|a", "|b"]),
            (r#""a b" c"#, &["|a b", "|c"]),
            (r#"label:env="a b" title:x"#, &["label|env=a b", "title|x"]),
            ("http://x title: y", &["|http://x", "|title:", "|y"]),
            (r#"user:"" "never ends"#, &["|never ends"]),
        ] {
            assert_eq!(words(query), expected, "{query}");
        }
    }

    #[test]
    fn a_state_or_result_that_does_not_exist_is_named_with_those_that_do() {
        let error = |query| SessionQuery::parse(query).unwrap_err().to_string();
        assert_eq!(
            error("state:busy"),
            "`state:busy` finds nothing: the names are running, idle, ended"
        );
        assert_eq!(
            error("result:failed,bad"),
            "`result:bad` finds nothing: the names are completed, failed, interrupted, timed-out, lost"
        );
        assert!(SessionQuery::parse("result:failed,Lost").is_ok());
        assert_eq!(
            error("make owner:ann"),
            "`owner:` can't be asked for, only title:, label:, user:, service:, command:, state:, \
             result:; a text that has a colon goes in quotes, as in \"owner:…\""
        );
        assert!(error("Title:x").starts_with("`Title:`"));
        assert!(error("name:\"a b\"").starts_with("`name:`"));
        for text in [
            r#""owner:ann""#,
            "localhost:8080",
            "http://x:80",
            "std::io",
            "foo:",
            "C:\\x",
            "12:30",
            "::1",
        ] {
            assert!(SessionQuery::parse(text).is_ok(), "{text}");
        }
        let long = "x ".repeat(QUERY_WORDS + 1);
        assert_eq!(SessionQuery::parse(&long).unwrap_err(), QueryError::Length);
    }

    proptest! {
        #[test]
        fn any_query_is_taken_or_refused(query in r#"([a:"= é]|title:|state:idle){0,40}"#) {
            let _ = SessionQuery::parse(&query);
        }
    }
}
