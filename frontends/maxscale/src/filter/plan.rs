//! What of the filters an index can answer: ids, users, services and states.

use super::Filter;
use super::expression::{Comparison, Expression};
use super::path::Known;
use crate::resource::STATE;
use rejoin_core::Selection;
use serde_json::Value;
use std::ops::RangeInclusive;

/// Filters, taken apart: what to ask the indices for, and what is left to be asked of each
/// session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    user: Option<String>,
    service: Option<String>,
    numbers: RangeInclusive<u64>,
    rest: Vec<Filter>,
}

impl Plan {
    pub(crate) fn new(filters: Vec<Filter>) -> Self {
        let mut plan = Self {
            user: None,
            service: None,
            numbers: 0..=u64::MAX,
            rest: Vec::new(),
        };
        for filter in filters {
            plan.add(filter);
        }
        plan
    }

    /// The same, of one user's sessions; none: of everybody's.
    pub(crate) fn of_user(mut self, user: Option<&str>) -> Self {
        let Some(user) = user else { return self };
        if self.user.as_deref().is_some_and(|wanted| wanted != user) {
            // Nobody is two.
            self.numbers = RangeInclusive::new(u64::MAX, 0);
        }
        self.user = Some(user.into());
        self
    }

    /// What to ask the indices for, from a number on.
    pub(crate) fn selection(&self, from: u64) -> Selection<'_> {
        Selection {
            user: self.user.as_deref(),
            service: self.service.as_deref(),
            busy: None,
            numbers: from.max(*self.numbers.start())..=*self.numbers.end(),
        }
    }

    /// Whether the indices answer everything.
    pub(crate) fn is_exact(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether a session that the indices have selected is to be shown.
    pub(crate) fn shows(&self, resource: &Value) -> bool {
        self.rest.iter().all(|filter| filter.matches(resource))
    }

    fn add(&mut self, filter: Filter) {
        if let Expression::All(parts) = filter.expression {
            for expression in parts {
                let path = filter.path.clone();
                self.add(Filter { path, expression });
            }
            return;
        }
        let is_answered = match (filter.path.known(), &filter.expression) {
            (Some(Known::Id), Expression::Compare(comparison, wanted)) => {
                self.narrow(*comparison, wanted)
            }
            (Some(Known::User), Expression::Compare(Comparison::Equal, Value::String(user))) => {
                take(&mut self.user, user)
            }
            (Some(Known::Service), Expression::Compare(Comparison::Equal, Value::String(name))) => {
                take(&mut self.service, name)
            }
            // Every open session has the same.
            (Some(Known::State), expression) => {
                if !expression.holds(&STATE.into(), false) {
                    self.numbers = NOTHING;
                }
                true
            }
            _ => false,
        };
        if !is_answered {
            self.rest.push(filter);
        }
    }

    /// Leaves only the numbers of which the comparison holds; not if it takes more than a range.
    fn narrow(&mut self, comparison: Comparison, wanted: &Value) -> bool {
        let number = match (comparison, wanted) {
            (_, Value::Number(number)) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => number,
                // Below every number.
                (None, Some(_)) => {
                    if matches!(
                        comparison,
                        Comparison::Equal | Comparison::Less | Comparison::LessOrEqual
                    ) {
                        self.numbers = NOTHING;
                    }
                    return true;
                }
                (None, None) => return false,
            },
            // As a text it is one text only.
            (Comparison::Equal, Value::String(text)) => match text.parse::<u64>() {
                Ok(number) if number.to_string() == *text => number,
                _ => {
                    self.numbers = NOTHING;
                    return true;
                }
            },
            _ => return false,
        };
        let range = match comparison {
            Comparison::Equal => number..=number,
            Comparison::Less if number == 0 => NOTHING,
            Comparison::Less => 0..=number - 1,
            Comparison::LessOrEqual => 0..=number,
            Comparison::Greater if number == u64::MAX => NOTHING,
            Comparison::Greater => number + 1..=u64::MAX,
            Comparison::GreaterOrEqual => number..=u64::MAX,
            Comparison::NotEqual => return false,
        };
        let from = *self.numbers.start().max(range.start());
        self.numbers = from..=*self.numbers.end().min(range.end());
        true
    }
}

/// Two different names at once are left to be asked of each session.
fn take(name: &mut Option<String>, wanted: &str) -> bool {
    name.get_or_insert_with(|| wanted.into()) == wanted
}

/// No number.
#[expect(clippy::reversed_empty_ranges, reason = "it is meant to be empty")]
const NOTHING: RangeInclusive<u64> = u64::MAX..=0;

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(filters: &[(&str, &str)]) -> Plan {
        let parse = |(pointer, expression): &(&str, &str)| Filter::by_pointer(pointer, expression);
        Plan::new(filters.iter().map(parse).collect::<Result<_, _>>().unwrap())
    }

    #[test]
    fn ids_users_services_and_states_are_left_to_the_indices() {
        let service = "relationships/services/data/0/id";
        let plan = plan(&[
            ("id", "and(ge(50),lt(100))"),
            ("id", "gt(60)"),
            ("attributes/user", "\"bob\""),
            (service, "eq(\"shell\")"),
            ("attributes/state", "\"Session ready for routing\""),
        ]);
        assert!(plan.is_exact());
        let selection = plan.selection(0);
        assert_eq!(selection.numbers, 61..=99);
        assert_eq!(
            (selection.user, selection.service),
            (Some("bob"), Some("shell"))
        );
        assert_eq!(plan.selection(70).numbers, 70..=99);
    }

    #[test]
    fn ranges_of_ids_are_those_of_the_comparison() {
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
                plan(&[("id", expression)]).selection(0).numbers,
                range,
                "{expression}"
            );
        }
        for nothing in ["\"x\"", "\"05\"", "lt(0)", "eq(-1)", "and(gt(5),lt(5))"] {
            let plan = plan(&[("id", nothing)]);
            assert!(
                plan.is_exact() && plan.selection(0).numbers.is_empty(),
                "{nothing}"
            );
        }
        assert!(
            plan(&[("attributes/state", "\"Stopping\"")])
                .selection(0)
                .numbers
                .is_empty()
        );
    }

    #[test]
    fn the_rest_is_asked_of_each_session() {
        for (pointer, expression) in [
            ("id", "ne(5)"),
            ("id", "eq(5.0)"),
            ("id", "or(eq(1),eq(5))"),
            ("attributes/user", "ne(\"bob\")"),
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
