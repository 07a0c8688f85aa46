//! The filters of MaxScale's lists: any text is parsed or refused, and a parsed filter agrees with a
//! model of the documentation and with what the index selects.

use arbitrary::{Arbitrary, Unstructured};
use rejoin_http::Url;
use rejoin_maxscale::testing::Filters;
use serde_json::{Value, json};
use std::fmt;
use std::sync::LazyLock;

/// A filter: arbitrary text, or a valid expression.
#[derive(Clone)]
pub enum Filter<'a> {
    /// The query of a URL.
    Text(&'a str),
    /// A JSON pointer and an expression.
    Valid(&'static str, Expression),
}

/// An expression of the filter language.
#[derive(Clone, Debug)]
pub enum Expression {
    /// `and`, `or` or `not`.
    Combine(&'static str, Vec<Self>),
    /// `eq`, `ne` …; an empty word is a bare value.
    Compare(&'static str, Value),
}

impl Filter<'_> {
    /// Parses the filter, and evaluates it for some sessions.
    ///
    /// # Panics
    ///
    /// When a refusal has no text; when the index and the filters disagree; when a valid filter is
    /// refused or disagrees with the model.
    pub fn check(&self) {
        match self {
            Self::Text(query) => {
                let Ok(url) = Url::parse(&format!("http://localhost/v1/sessions?{query}")) else {
                    return;
                };
                match Filters::parse(&url) {
                    Ok(filters) => {
                        check_filters(&filters, |resource| filters.match_resource(resource))
                    }
                    Err(words) => assert!(!words.is_empty()),
                }
                // The same text without URL decoding.
                if let Some((pointer, expression)) = query.split_once('=')
                    && let Ok(filters) = Filters::by_pointer(pointer, expression)
                {
                    check_filters(&filters, |resource| filters.match_resource(resource));
                }
            }
            Self::Valid(pointer, expression) => {
                let filters = Filters::by_pointer(pointer, &expression.to_string())
                    .unwrap_or_else(|words| panic!("refused: {words}"));
                check_filters(&filters, |resource| {
                    let found = resource.pointer(&format!("/{pointer}"));
                    found.is_some_and(|found| expression.matches(found, *pointer == "id"))
                });
            }
        }
    }
}

fn check_filters(filters: &Filters, expected: impl Fn(&Value) -> bool) {
    for resource in &*RESOURCES {
        let expected = expected(resource);
        assert_eq!(
            filters.match_resource(resource),
            expected,
            "filter on {resource}"
        );
        assert_eq!(
            filters.list_contains(resource),
            expected,
            "list with {resource}"
        );
    }
}

impl Expression {
    fn matches(&self, found: &Value, is_id: bool) -> bool {
        match self {
            Self::Combine(word, parts) => {
                let count = parts
                    .iter()
                    .filter(|part| part.matches(found, is_id))
                    .count();
                match *word {
                    "and" => count == parts.len(),
                    "or" => count > 0,
                    _ => count == 0,
                }
            }
            Self::Compare(word, wanted) => {
                // All numbers here are exact as f64.
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
                    "lt" => order.is_some_and(|order| order.is_lt()),
                    "le" => order.is_some_and(|order| order.is_le()),
                    "gt" => order.is_some_and(|order| order.is_gt()),
                    "ge" => order.is_some_and(|order| order.is_ge()),
                    word => {
                        let is_equal = order.map_or(found == wanted, |order| order.is_eq());
                        is_equal != (word == "ne")
                    }
                }
            }
        }
    }

    fn arbitrary(bytes: &mut Unstructured<'_>, depth: usize) -> arbitrary::Result<Self> {
        let word: u8 = bytes.arbitrary()?;
        if depth > 0 && word.is_multiple_of(3) {
            let parts =
                (0..=bytes.arbitrary::<u8>()? % 3).map(|_| Self::arbitrary(bytes, depth - 1));
            let parts = parts.collect::<Result<_, _>>()?;
            return Ok(Self::Combine(bytes.choose(&["and", "or", "not"])?, parts));
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
        Ok(Self::Compare(bytes.choose(&words)?, wanted))
    }
}

/// As text of the filter language.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Combine(word, parts) => {
                let parts: Vec<_> = parts.iter().map(Self::to_string).collect();
                write!(f, "{word}({})", parts.join(","))
            }
            // Bare words are refused, even if they are JSON.
            Self::Compare("", wanted @ (Value::Null | Value::Bool(_))) => write!(f, "eq({wanted})"),
            Self::Compare("", wanted) => write!(f, "{wanted}"),
            Self::Compare(word, wanted) => write!(f, "{word}({wanted})"),
        }
    }
}

/// Resources of sessions, as far as filters look into them.
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

/// The first byte chooses the kind.
impl<'a> Arbitrary<'a> for Filter<'a> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        if bytes.arbitrary::<u8>()? % 2 == 1 {
            return Ok(Self::Valid(
                bytes.choose(&POINTERS)?,
                Expression::arbitrary(bytes, 4)?,
            ));
        }
        let count = bytes.len();
        let text = std::str::from_utf8(bytes.bytes(count)?);
        Ok(Self::Text(
            text.map_err(|_| arbitrary::Error::IncorrectFormat)?,
        ))
    }
}

/// As a user would type it.
impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(query) => f.write_str(query),
            Self::Valid(pointer, expression) => write!(f, "filter={pointer}={expression}"),
        }
    }
}
