//! `filter=POINTER=EXPRESSION` and `filter[PATH]=EXPRESSION`: which resources of a list are shown.
//! Pure.
//!
//! What enters: texts from a query. What leaves: a yes or a no for a resource, and, where an index
//! knows the answer, what to ask the index for instead of the resources.

mod expression;
mod path;
mod plan;

pub(crate) use plan::Plan;

use crate::error::Fault;
use expression::Expression;
use path::Path;
use serde_json::Value;

/// One condition: what is found on the path is as the expression says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    path: Path,
    expression: Expression,
}

impl Filter {
    /// The path is a JSON pointer, whose first `/` may be left out.
    pub(crate) fn by_pointer(pointer: &str, expression: &str) -> Result<Self, Fault> {
        Self::new(Path::pointer(pointer), expression)
    }

    /// The path is a JSONPath: names, `['names']`, `[0]`, `[0,1]`, `[*]`, `.*`, with or without
    /// the `$` before it.
    pub(crate) fn by_path(path: &str, expression: &str) -> Result<Self, Fault> {
        let parsed = Path::json_path(path);
        let invalid = || Fault::Filter(format!("Not a valid JSON path: {path}"));
        Self::new(parsed.ok_or_else(invalid)?, expression)
    }

    /// Whether something on the path is as the expression says.
    pub(crate) fn matches(&self, resource: &Value) -> bool {
        let mut hits = Vec::new();
        self.path.find(resource, &mut hits);
        let is_id = self.path.is_id();
        hits.into_iter()
            .any(|found| self.expression.holds(found, is_id))
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
    fn both_forms_of_a_path_find_the_same() {
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
    fn of_several_hits_one_is_enough_and_what_is_missing_matches_nothing() {
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
    fn an_id_compares_with_numbers_as_documented() {
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
        // Texts elsewhere are no numbers.
        assert!(!matches(Filter::by_pointer("attributes/user", "ge(0)")));
    }
}
