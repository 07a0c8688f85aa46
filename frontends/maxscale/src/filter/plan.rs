//! Splits filters into what the engine's index answers and what each resource is checked for.

use super::Filter;
use super::expression::{Comparison, Expression};
use super::path::IndexedField;
use crate::context::STATE;
use rejoin_engine::Selection;
use serde_json::Value;
use std::ops::RangeInclusive;

/// The filters of a list: ids, users, services and states are answered by the index, the rest is
/// checked for each session that the index selects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueryPlan {
    user: Option<String>,
    /// Sessions of others that are selected, too.
    also: Vec<u64>,
    /// The user that these must have.
    other_user: Option<String>,
    service: Option<String>,
    numbers: RangeInclusive<u64>,
    rest: Vec<Filter>,
}

impl QueryPlan {
    /// `server_user` is whom sessions of nobody are shown as. The index has them under the empty
    /// name, so that each session is asked for these two.
    pub(crate) fn new(filters: Vec<Filter>, server_user: &str) -> Self {
        let mut plan = Self {
            user: None,
            also: Vec::new(),
            other_user: None,
            service: None,
            numbers: 0..=u64::MAX,
            rest: Vec::new(),
        };
        for filter in filters {
            plan.add(filter, server_user);
        }
        plan
    }

    /// Limits the plan to one user's sessions, if there is a user, and to those that the user has
    /// entered.
    pub(crate) fn shown_to(mut self, user: Option<&str>, entered: Vec<u64>) -> Self {
        let Some(user) = user else { return self };
        match self.user.replace(user.into()) {
            None => self.also = entered,
            // What was entered is of others.
            Some(wanted) if wanted == user => {}
            Some(_) if entered.is_empty() => self.numbers = NO_NUMBERS,
            other => {
                self.also = entered;
                self.other_user = other;
            }
        }
        self
    }

    /// What the index is asked for.
    pub(crate) fn selection(&self) -> Selection<'_> {
        Selection {
            user: self.user.as_deref(),
            also: &self.also,
            service: self.service.as_deref(),
            busy: None,
            numbers: self.numbers.clone(),
        }
    }

    /// Whether the index answers everything.
    pub(crate) fn is_exact(&self) -> bool {
        self.rest.is_empty() && self.other_user.is_none()
    }

    /// Whether a resource that the index has selected also matches the other filters.
    pub(crate) fn matches(&self, resource: &Value) -> bool {
        let user = resource["attributes"]["user"].as_str();
        let is_of_other = |other| user == Some(other);
        self.other_user.as_deref().is_none_or(is_of_other)
            && self.rest.iter().all(|filter| filter.matches(resource))
    }

    fn add(&mut self, filter: Filter, server_user: &str) {
        if let Expression::And(parts) = filter.expression {
            for expression in parts {
                let path = filter.path.clone();
                self.add(Filter { path, expression }, server_user);
            }
            return;
        }
        let is_indexed = match (filter.path.indexed_field(), &filter.expression) {
            (Some(IndexedField::Id), Expression::Compare(comparison, wanted)) => {
                self.narrow(*comparison, wanted)
            }
            (
                Some(IndexedField::User),
                Expression::Compare(Comparison::Equal, Value::String(user)),
            ) => (user != server_user && !user.is_empty()) && set_name(&mut self.user, user),
            (
                Some(IndexedField::Service),
                Expression::Compare(Comparison::Equal, Value::String(name)),
            ) => set_name(&mut self.service, name),
            // All open sessions have the same state.
            (Some(IndexedField::State), expression) => {
                if !expression.matches(&STATE.into(), false) {
                    self.numbers = NO_NUMBERS;
                }
                true
            }
            _ => false,
        };
        if !is_indexed {
            self.rest.push(filter);
        }
    }

    /// Limits the numbers to those that satisfy the comparison. Returns false, and changes nothing, if
    /// they are not one range.
    fn narrow(&mut self, comparison: Comparison, wanted: &Value) -> bool {
        let number = match (comparison, wanted) {
            (_, Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => number,
                // Below all numbers.
                (None, Some(_)) => {
                    if matches!(
                        comparison,
                        Comparison::Equal | Comparison::Less | Comparison::LessOrEqual
                    ) {
                        self.numbers = NO_NUMBERS;
                    }
                    return true;
                }
                (None, None) => return false,
            },
            // A string equals an id only in its canonical form.
            (Comparison::Equal, Value::String(text)) => match text.parse::<u64>() {
                Ok(number) if number.to_string() == *text => number,
                _ => {
                    self.numbers = NO_NUMBERS;
                    return true;
                }
            },
            _ => return false,
        };
        let range = match comparison {
            Comparison::Equal => number..=number,
            Comparison::Less if number == 0 => NO_NUMBERS,
            Comparison::Less => 0..=number - 1,
            Comparison::LessOrEqual => 0..=number,
            Comparison::Greater if number == u64::MAX => NO_NUMBERS,
            Comparison::Greater => number + 1..=u64::MAX,
            Comparison::GreaterOrEqual => number..=u64::MAX,
            Comparison::NotEqual => return false,
        };
        let from = *self.numbers.start().max(range.start());
        self.numbers = from..=*self.numbers.end().min(range.end());
        true
    }
}

/// Sets the name. Returns false if there is another one already: that filter is left for each
/// session.
fn set_name(name: &mut Option<String>, wanted: &str) -> bool {
    name.get_or_insert_with(|| wanted.into()) == wanted
}

#[expect(clippy::reversed_empty_ranges, reason = "it is meant to be empty")]
const NO_NUMBERS: RangeInclusive<u64> = u64::MAX..=0;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(filters: &[(&str, &str)]) -> QueryPlan {
        let parse = |(pointer, expression): &(&str, &str)| Filter::by_pointer(pointer, expression);
        QueryPlan::new(
            filters.iter().map(parse).collect::<Result<_, _>>().unwrap(),
            "root",
        )
    }

    #[test]
    fn ids_users_services_and_states_are_answered_by_the_index() {
        let service = "relationships/services/data/0/id";
        let plan = plan(&[
            ("id", "and(ge(50),lt(100))"),
            ("id", "gt(60)"),
            ("attributes/user", "\"bob\""),
            (service, "eq(\"shell\")"),
            ("attributes/state", "\"Session ready for routing\""),
        ]);
        assert!(plan.is_exact());
        let selection = plan.selection();
        assert_eq!(selection.numbers, 61..=99);
        assert_eq!(
            (selection.user, selection.service),
            (Some("bob"), Some("shell"))
        );
    }

    #[test]
    fn comparisons_of_ids_become_ranges() {
        for (expression, range) in [
            ("eq(5)", 5..=5),
            ("\"5\"", 5..=5),
            ("le(5)", 0..=5),
            ("lt(5)", 0..=4),
            ("ge(5)", 5..=u64::MAX),
            ("gt(5)", 6..=u64::MAX),
            ("gt(-1)", 0..=u64::MAX),
        ] {
            assert_eq!(
                plan(&[("id", expression)]).selection().numbers,
                range,
                "{expression}"
            );
        }
        for nothing in ["\"x\"", "\"05\"", "lt(0)", "eq(-1)", "and(gt(5),lt(5))"] {
            let plan = plan(&[("id", nothing)]);
            assert!(
                plan.is_exact() && plan.selection().numbers.is_empty(),
                "{nothing}"
            );
        }
        assert!(
            plan(&[("attributes/state", "\"Stopping\"")])
                .selection()
                .numbers
                .is_empty()
        );
    }

    #[test]
    fn other_filters_are_checked_for_each_session() {
        for (pointer, expression) in [
            ("id", "ne(5)"),
            ("id", "eq(5.0)"),
            ("id", "or(eq(1),eq(5))"),
            ("attributes/user", "ne(\"bob\")"),
            ("attributes/user", "\"root\""),
            ("attributes/idle", "gt(5)"),
        ] {
            assert!(
                !plan(&[(pointer, expression)]).is_exact(),
                "{pointer} {expression}"
            );
        }
        assert!(!plan(&[("attributes/user", "\"a\""), ("attributes/user", "\"b\"")]).is_exact());
    }
}
