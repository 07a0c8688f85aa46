//! The language of filters: `eq ne lt le gt ge (JSON)`, `and or not (expression, …)`, and a bare
//! JSON value, which means `eq`.

use crate::limits::FILTER_DEPTH;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    None(Vec<Self>),
    Compare(Comparison, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Expression {
    /// Reads an expression, or says in which words it is refused.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let expression = Self::read(&mut rest, FILTER_DEPTH)?;
        if rest.is_empty() {
            Ok(expression)
        } else {
            Err(format!("Unexpected trailing data: {rest}"))
        }
    }

    /// Whether it holds of what was found. A session's `id`, which is a text, compares with
    /// numbers as the number that it is.
    pub(super) fn holds(&self, found: &Value, is_id: bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(found, is_id)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(found, is_id)),
            Self::None(parts) => !parts.iter().any(|part| part.holds(found, is_id)),
            Self::Compare(comparison, wanted) => {
                let order = order(found, wanted, is_id);
                let is_equal =
                    order == Some(Ordering::Equal) || (order.is_none() && found == wanted);
                match comparison {
                    Comparison::Equal => is_equal,
                    Comparison::NotEqual => !is_equal,
                    Comparison::Less => order.is_some_and(Ordering::is_lt),
                    Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
                    Comparison::Greater => order.is_some_and(Ordering::is_gt),
                    Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
                }
            }
        }
    }

    fn read(rest: &mut &str, depth: usize) -> Result<Self, String> {
        let Some(first) = rest.chars().next() else {
            return Err("Empty filter expression".into());
        };
        if !first.is_ascii_alphabetic() {
            return Ok(Self::Compare(Comparison::Equal, read_json(rest)?));
        }
        let invalid = || format!("Not a valid filter expression: {rest}");
        if depth == 0 {
            return Err(invalid());
        }
        let end = rest.find(|it: char| !it.is_ascii_alphabetic());
        let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
        let comparison = match word {
            "eq" => Some(Comparison::Equal),
            "ne" => Some(Comparison::NotEqual),
            "lt" => Some(Comparison::Less),
            "le" => Some(Comparison::LessOrEqual),
            "gt" => Some(Comparison::Greater),
            "ge" => Some(Comparison::GreaterOrEqual),
            "and" | "or" | "not" => None,
            _ => return Err(invalid()),
        };
        *rest = after
            .strip_prefix('(')
            .ok_or_else(|| format!("Expected '(', got '{after}'"))?;
        let expression = match comparison {
            Some(comparison) => Self::Compare(comparison, read_json(rest)?),
            None => {
                let mut parts = vec![Self::read(rest, depth - 1)?];
                while let Some(next) = rest.strip_prefix(',') {
                    *rest = next;
                    parts.push(Self::read(rest, depth - 1)?);
                }
                match word {
                    "and" => Self::All(parts),
                    "or" => Self::Any(parts),
                    _ => Self::None(parts),
                }
            }
        };
        *rest = rest
            .strip_prefix(')')
            .ok_or_else(|| format!("Expected ')', got '{rest}'"))?;
        Ok(expression)
    }
}

/// Takes one JSON value off the beginning.
fn read_json(rest: &mut &str) -> Result<Value, String> {
    let text = rest.trim_start();
    let invalid = |error: serde_json::Error| format!("Invalid JSON: {error}");
    let raw = <&RawValue>::deserialize(&mut serde_json::Deserializer::from_str(text));
    let raw = raw.map_err(invalid)?.get();
    *rest = text.get(raw.len()..).unwrap_or_default();
    serde_json::from_str(raw).map_err(invalid)
}

/// How two values of a kind are ordered; none where their kinds have no order.
fn order(found: &Value, wanted: &Value, is_id: bool) -> Option<Ordering> {
    match (found, wanted) {
        (Value::String(found), Value::String(wanted)) => Some(found.cmp(wanted)),
        (Value::String(id), Value::Number(_)) if is_id => {
            order(&Value::from(id.parse::<u64>().ok()?), wanted, false)
        }
        (Value::Number(found), Value::Number(wanted)) => {
            match (found.as_i128(), wanted.as_i128()) {
                (Some(found), Some(wanted)) => Some(found.cmp(&wanted)),
                _ => found.as_f64()?.partial_cmp(&wanted.as_f64()?),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(expression: &str, found: Value) -> bool {
        Expression::parse(expression).unwrap().holds(&found, false)
    }

    #[test]
    fn values_of_a_kind_compare_and_others_are_only_not_equal() {
        for (found, equal, less, greater) in [
            (json!(5), "5", "6", "4"),
            (json!(5), "5.0", "5.5", "-1"),
            (json!(5.0), "5", "6", "4"),
            (json!("b"), "\"b\"", "\"c\"", "\"a\""),
        ] {
            for (word, values) in [
                ("eq", [true, false, false]),
                ("ne", [false, true, true]),
                ("lt", [false, true, false]),
                ("le", [true, true, false]),
                ("gt", [false, false, true]),
                ("ge", [true, false, true]),
            ] {
                for (value, expected) in [equal, less, greater].into_iter().zip(values) {
                    let expression = format!("{word}({value})");
                    assert_eq!(
                        holds(&expression, found.clone()),
                        expected,
                        "{found} {expression}"
                    );
                }
            }
        }
        for (found, other) in [(json!("5"), "5"), (json!(null), "0"), (json!([1]), "1")] {
            for word in ["eq", "lt", "le", "gt", "ge"] {
                assert!(
                    !holds(&format!("{word}({other})"), found.clone()),
                    "{found} {word}"
                );
            }
            assert!(holds(&format!("ne({other})"), found));
        }
        assert!(holds("eq(true)", json!(true)) && holds("eq(null)", json!(null)));
        assert!(holds("[1, 2]", json!([1, 2])) && holds("{\"a\":1}", json!({"a": 1})));
    }

    #[test]
    fn expressions_are_put_together() {
        for (expression, expected) in [
            ("and(gt(1))", true),
            ("and(gt(1),lt(9),ne(4))", true),
            ("and(gt(1),lt(2))", false),
            ("or(eq(1),eq(5),eq(6))", true),
            ("or(eq(1))", false),
            ("not(eq(1),eq(2))", true),
            ("not(eq(1),eq(5))", false),
            ("not(and(gt(1),not(eq(5))))", true),
            ("eq( 5)", true),
        ] {
            assert_eq!(holds(expression, json!(5)), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_known_words() {
        for (text, words) in [
            ("", "Empty filter expression"),
            (
                "magic(\"x\")",
                "Not a valid filter expression: magic(\"x\")",
            ),
            ("magic", "Not a valid filter expression: magic"),
            ("true", "Not a valid filter expression: true"),
            ("eq", "Expected '(', got ''"),
            ("eq 5", "Expected '(', got ' 5'"),
            ("eq(5", "Expected ')', got ''"),
            ("eq(5)x", "Unexpected trailing data: x"),
            ("5 ", "Unexpected trailing data:  "),
            ("and()", "Invalid JSON: "),
            ("and(eq(1),", "Empty filter expression"),
            ("eq(bob)", "Invalid JSON: "),
            ("eq()", "Invalid JSON: "),
        ] {
            let refused = Expression::parse(text).unwrap_err();
            assert!(refused.starts_with(words), "{text}: {refused}");
        }
        for deep in ["not(".repeat(10_000), "[".repeat(10_000)] {
            assert!(Expression::parse(&deep).is_err());
        }
    }
}
