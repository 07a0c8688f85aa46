//! The filters of MaxScale's lists: any text is read or refused, and what is read agrees with an
//! evaluation that knows no more than the documentation, and with what the indices select.

use arbitrary::{Arbitrary, Unstructured};
use rejoin_http::Url;
use rejoin_maxscale::testing::Filters;
use serde_json::{Value, json};
use std::fmt;
use std::sync::LazyLock;

/// A filter, as anybody may write it, or as somebody does who knows the language.
#[derive(Clone)]
pub enum Filter<'a> {
    /// A URL's query.
    Written(&'a str),
    /// What is looked at, and what is asked of it.
    Meant(&'static str, Asked),
}

/// What is asked of a value.
#[derive(Clone, Debug)]
pub enum Asked {
    /// `and`, `or`, `not`: all, any, none of these.
    Of(&'static str, Vec<Self>),
    /// `eq` … with a value; without a word it is `eq`.
    Than(&'static str, Value),
}

impl Filter<'_> {
    /// Reads the filter, and asks it of some sessions.
    ///
    /// # Panics
    ///
    /// When a refusal has no words; when a list would show another session than the filters say;
    /// when a filter that was meant is refused, or says what was not meant.
    pub fn check(&self) {
        match self {
            Self::Written(query) => {
                let Ok(url) = Url::parse(&format!("http://localhost/v1/sessions?{query}")) else {
                    return;
                };
                match Filters::parse(&url) {
                    Ok(filters) => agree(&filters, |resource| filters.match_resource(resource)),
                    Err(words) => assert!(!words.is_empty()),
                }
                // The same text, with nothing in a URL's code.
                if let Some((pointer, expression)) = query.split_once('=')
                    && let Ok(filters) = Filters::by_pointer(pointer, expression)
                {
                    agree(&filters, |resource| filters.match_resource(resource));
                }
            }
            Self::Meant(pointer, asked) => {
                let filters = Filters::by_pointer(pointer, &asked.to_string())
                    .unwrap_or_else(|words| panic!("refused: {words}"));
                agree(&filters, |resource| {
                    let found = resource.pointer(&format!("/{pointer}"));
                    found.is_some_and(|found| asked.holds(found, *pointer == "id"))
                });
            }
        }
    }
}

fn agree(filters: &Filters, expected: impl Fn(&Value) -> bool) {
    for resource in &*RESOURCES {
        let expected = expected(resource);
        assert_eq!(
            filters.match_resource(resource),
            expected,
            "asked of {resource}"
        );
        assert_eq!(
            filters.list_contains(resource),
            expected,
            "listed, of {resource}"
        );
    }
}

impl Asked {
    fn holds(&self, found: &Value, is_id: bool) -> bool {
        match self {
            Self::Of(word, parts) => {
                let count = parts.iter().filter(|it| it.holds(found, is_id)).count();
                match *word {
                    "and" => count == parts.len(),
                    "or" => count > 0,
                    _ => count == 0,
                }
            }
            Self::Than(word, wanted) => {
                // Every number here is a real one without loss.
                let number = match (found, wanted) {
                    (Value::String(id), Value::Number(_)) if is_id => id.parse().ok(),
                    _ => found.as_f64(),
                };
                let texts = found.as_str().zip(wanted.as_str());
                let order = match (number.zip(wanted.as_f64()), texts) {
                    (Some((one, other)), _) => one.partial_cmp(&other),
                    (_, Some((one, other))) => Some(one.cmp(other)),
                    _ => None,
                };
                match *word {
                    "lt" => order.is_some_and(|it| it.is_lt()),
                    "le" => order.is_some_and(|it| it.is_le()),
                    "gt" => order.is_some_and(|it| it.is_gt()),
                    "ge" => order.is_some_and(|it| it.is_ge()),
                    word => {
                        let is_equal = order.map_or(found == wanted, |it| it.is_eq());
                        is_equal != (word == "ne")
                    }
                }
            }
        }
    }

    fn of(bytes: &mut Unstructured<'_>, depth: usize) -> arbitrary::Result<Self> {
        let word: u8 = bytes.arbitrary()?;
        if depth > 0 && word.is_multiple_of(3) {
            let parts = (0..=bytes.arbitrary::<u8>()? % 3).map(|_| Self::of(bytes, depth - 1));
            let parts = parts.collect::<Result<_, _>>()?;
            return Ok(Self::Of(bytes.choose(&["and", "or", "not"])?, parts));
        }
        let wanted = match bytes.arbitrary::<u8>()? % 8 {
            0 => Value::Null,
            1 => bytes.arbitrary::<bool>()?.into(),
            2 => json!([*bytes.choose(&TEXTS)?]),
            3 | 4 => (*bytes.choose(&TEXTS)?).into(),
            5 => (f64::from(bytes.arbitrary::<i8>()?) / 2.0).into(),
            _ => bytes.arbitrary::<i8>()?.into(),
        };
        let words = ["eq", "ne", "lt", "le", "gt", "ge", ""];
        Ok(Self::Than(bytes.choose(&words)?, wanted))
    }
}

/// As the language has it.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(word, parts) => {
                let parts: Vec<_> = parts.iter().map(Self::to_string).collect();
                write!(f, "{word}({})", parts.join(","))
            }
            // A bare word is refused, even if it is JSON.
            Self::Than("", wanted @ (Value::Null | Value::Bool(_))) => write!(f, "eq({wanted})"),
            Self::Than("", wanted) => write!(f, "{wanted}"),
            Self::Than(word, wanted) => write!(f, "{word}({wanted})"),
        }
    }
}

/// Sessions as the frontend shows them, as far as a filter can tell.
static RESOURCES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let session = |id: u64, user: Option<&str>, service: &str, idle: f64| {
        let mut resource = json!({
            "attributes": {"idle": idle, "queries": [], "state": STATE, "thread": 0},
            "id": id.to_string(),
            "relationships": {"services": {"data": [{"id": service, "type": "services"}]}},
            "type": "sessions",
        });
        if let Some(user) = user {
            resource["attributes"]["user"] = user.into();
        }
        resource
    };
    vec![
        session(1, None, "shell", 0.0),
        session(2, Some("ada"), "shell", 1.5),
        session(5, Some("bob"), "sql", 60.0),
        session(70, Some("7"), "sql", 5.0),
    ]
});

const STATE: &str = "Session ready for routing";

const POINTERS: [&str; 9] = [
    "id",
    "attributes/user",
    "attributes/idle",
    "attributes/thread",
    "attributes/state",
    "attributes/queries",
    "relationships/services/data/0/id",
    "relationships/services/data/1/id",
    "nowhere",
];

const TEXTS: [&str; 10] = [
    "ada", "bob", "shell", "sql", STATE, "1", "5", "70", "05", "",
];

/// The first byte says which.
impl<'a> Arbitrary<'a> for Filter<'a> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        if bytes.arbitrary::<u8>()? % 2 == 1 {
            return Ok(Self::Meant(bytes.choose(&POINTERS)?, Asked::of(bytes, 4)?));
        }
        let count = bytes.len();
        let text = std::str::from_utf8(bytes.bytes(count)?);
        Ok(Self::Written(
            text.map_err(|_| arbitrary::Error::IncorrectFormat)?,
        ))
    }
}

/// As it would be typed.
impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(query) => f.write_str(query),
            Self::Meant(pointer, asked) => write!(f, "filter={pointer}={asked}"),
        }
    }
}
