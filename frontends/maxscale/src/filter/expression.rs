//! The expressions of filters: `eq(JSON)`, `ne`, `lt`, `le`, `gt`, `ge`; `and(EXPRESSION, …)`, `or`,
//! `not`; and a bare JSON value, which means `eq`.

use crate::limits::FILTER_DEPTH;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    And(Vec<Self>),
    Or(Vec<Self>),
    /// None of these.
    Not(Vec<Self>),
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
    /// Parses an expression. The error is the text of the response, the product's where it has one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let expression = Self::parse_prefix(&mut rest, FILTER_DEPTH)?;
        if rest.is_empty() {
            Ok(expression)
        } else {
            Err(format!("Unexpected trailing data: {rest}"))
        }
    }

    /// Whether a value satisfies the expression. A session's `id` is a string that is compared with
    /// numbers as a number.
    pub(super) fn matches(&self, value: &Value, is_id: bool) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(value, is_id)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(value, is_id)),
            Self::Not(parts) => !parts.iter().any(|part| part.matches(value, is_id)),
            Self::Compare(comparison, wanted) => {
                let order = order(value, wanted, is_id);
                let is_equal =
                    order == Some(Ordering::Equal) || (order.is_none() && value == wanted);
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

    fn parse_prefix(rest: &mut &str, depth: usize) -> Result<Self, String> {
        let Some(first) = rest.chars().next() else {
            return Err("Empty filter expression".into());
        };
        if !first.is_ascii_alphabetic() {
            return Ok(Self::Compare(Comparison::Equal, parse_json_prefix(rest)?));
        }
        let invalid = || format!("Not a valid filter expression: {rest}");
        if depth == 0 {
            return Err(invalid());
        }
        let end = rest.find(|char: char| !char.is_ascii_alphabetic());
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
            Some(comparison) => Self::Compare(comparison, parse_json_prefix(rest)?),
            None => {
                let mut parts = vec![Self::parse_prefix(rest, depth - 1)?];
                while let Some(next) = rest.strip_prefix(',') {
                    *rest = next;
                    parts.push(Self::parse_prefix(rest, depth - 1)?);
                }
                match word {
                    "and" => Self::And(parts),
                    "or" => Self::Or(parts),
                    _ => Self::Not(parts),
                }
            }
        };
        *rest = rest
            .strip_prefix(')')
            .ok_or_else(|| format!("Expected ')', got '{rest}'"))?;
        Ok(expression)
    }
}

/// Parses one JSON value and removes it from the beginning of `rest`.
fn parse_json_prefix(rest: &mut &str) -> Result<Value, String> {
    let text = rest.trim_start();
    let invalid = |error: serde_json::Error| format!("Invalid JSON: {error}");
    let raw = <&RawValue>::deserialize(&mut serde_json::Deserializer::from_str(text));
    let raw = raw.map_err(invalid)?.get();
    *rest = text.get(raw.len()..).unwrap_or_default();
    serde_json::from_str(raw).map_err(invalid)
}

/// The order of two strings or two numbers; none for all other values.
fn order(value: &Value, wanted: &Value, is_id: bool) -> Option<Ordering> {
    match (value, wanted) {
        (Value::String(value), Value::String(wanted)) => Some(value.cmp(wanted)),
        (Value::String(id), Value::Number(_)) if is_id => {
            order(&Value::from(id.parse::<u64>().ok()?), wanted, false)
        }
        (Value::Number(value), Value::Number(wanted)) => {
            match (value.as_i128(), wanted.as_i128()) {
                (Some(value), Some(wanted)) => Some(value.cmp(&wanted)),
                _ => value.as_f64()?.partial_cmp(&wanted.as_f64()?),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(expression: &str, value: Value) -> bool {
        Expression::parse(expression)
            .unwrap()
            .matches(&value, false)
    }

    #[test]
    fn values_of_one_kind_are_ordered_and_others_are_only_unequal() {
        for (left, equal, less, greater) in [
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
                        matches(&expression, left.clone()),
                        expected,
                        "{left} {expression}"
                    );
                }
            }
        }
        for (value, other) in [(json!("5"), "5"), (json!(null), "0"), (json!([1]), "1")] {
            for word in ["eq", "lt", "le", "gt", "ge"] {
                assert!(
                    !matches(&format!("{word}({other})"), value.clone()),
                    "{value} {word}"
                );
            }
            assert!(matches(&format!("ne({other})"), value));
        }
        assert!(matches("eq(true)", json!(true)) && matches("eq(null)", json!(null)));
        assert!(matches("[1, 2]", json!([1, 2])) && matches("{\"a\":1}", json!({"a": 1})));
    }

    #[test]
    fn expressions_are_combined() {
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
            assert_eq!(matches(expression, json!(5)), expected, "{expression}");
        }
    }

    #[test]
    fn invalid_expressions_are_refused_with_the_texts_of_the_product() {
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
