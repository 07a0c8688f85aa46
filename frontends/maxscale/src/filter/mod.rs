//! The filters of lists: `filter=POINTER=EXPRESSION` and `filter[PATH]=EXPRESSION`.
//!
//! [`QueryPlan`] splits them into a selection that the engine's index answers and filters that have
//! to look at each resource.

mod expression;
mod path;
mod plan;

pub(crate) use plan::QueryPlan;

use crate::error::Fault;
use expression::Expression;
use path::Path;
use serde_json::Value;

/// One condition: a value at the path satisfies the expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    path: Path,
    expression: Expression,
}

impl Filter {
    /// The path is a JSON pointer (RFC 6901) whose first `/` may be left out.
    pub(crate) fn by_pointer(pointer: &str, expression: &str) -> Result<Self, Fault> {
        Self::new(Path::pointer(pointer), expression)
    }

    /// The path is a JSONPath with or without the leading `$`, made of names, `['names']`, `[0]`,
    /// `[0,1]`, `[*]` and `.*`.
    pub(crate) fn by_path(path: &str, expression: &str) -> Result<Self, Fault> {
        let parsed = Path::json_path(path);
        let invalid = || Fault::Filter(format!("Not a valid JSON path: {path}"));
        Self::new(parsed.ok_or_else(invalid)?, expression)
    }

    /// Whether any value at the path satisfies the expression.
    pub(crate) fn matches(&self, resource: &Value) -> bool {
        let mut values = Vec::new();
        self.path.find(resource, &mut values);
        let is_id = self.path.is_id();
        values
            .into_iter()
            .any(|value| self.expression.matches(value, is_id))
    }

    fn new(path: Path, expression: &str) -> Result<Self, Fault> {
        let expression = Expression::parse(expression).map_err(Fault::Filter)?;
        Ok(Self { path, expression })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resource() -> Value {
        json!({
            "attributes": {"idle": 5.0, "user": "bob", "queries": [{"n": 1}, {"n": 2}]},
            "id": "70",
            "relationships": {"services": {"data": [{"id": "shell"}]}},
        })
    }

    fn matches(filter: Result<Filter, Fault>) -> bool {
        filter.unwrap().matches(&resource())
    }

    #[test]
    fn pointers_and_json_paths_find_the_same_values() {
        for (pointer, path) in [
            ("id", "id"),
            ("/id", "$.id"),
            ("attributes/user", "attributes.user"),
            ("/attributes/user", "$['attributes']['user']"),
            (
                "/relationships/services/data/0/id",
                "relationships.services.data[0].id",
            ),
        ] {
            for (expression, expected) in [("ne(7)", true), ("eq(\"nobody\")", false)] {
                assert_eq!(
                    matches(Filter::by_pointer(pointer, expression)),
                    expected,
                    "{pointer}"
                );
                assert_eq!(
                    matches(Filter::by_path(path, expression)),
                    expected,
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn one_of_several_values_is_enough_and_a_missing_value_never_matches() {
        assert!(matches(Filter::by_path("attributes.queries[*].n", "eq(2)")));
        assert!(matches(Filter::by_path(
            "attributes.queries[0,1].n",
            "eq(2)"
        )));
        assert!(!matches(Filter::by_path(
            "attributes.queries[0].n",
            "eq(2)"
        )));
        for missing in ["attributes.x", "attributes.queries[7].n", "id.x", "id[0]"] {
            assert!(!matches(Filter::by_path(missing, "ne(1)")), "{missing}");
            assert!(
                !matches(Filter::by_path(missing, "not(eq(1))")),
                "{missing}"
            );
        }
    }

    #[test]
    fn an_id_is_compared_with_numbers_as_documented() {
        for (expression, expected) in [
            ("and(ge(50),le(100))", true),
            ("or(eq(1),eq(70))", true),
            ("eq(\"70\")", true),
            ("70", true),
            ("lt(8)", false),
            ("ne(70)", false),
            ("not(eq(70))", false),
        ] {
            assert_eq!(
                matches(Filter::by_pointer("id", expression)),
                expected,
                "{expression}"
            );
        }
        // Other strings are not.
        assert!(!matches(Filter::by_pointer("attributes/user", "ge(0)")));
    }
}
