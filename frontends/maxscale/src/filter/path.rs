//! Where a filter looks: JSON pointers and the used part of JSONPath.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The member of this name; of an array the element with this number.
    Name(String),
    /// The elements with these numbers.
    Elements(Vec<usize>),
    /// All members or elements.
    Each,
}

/// What an index knows the answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Id,
    Service,
    State,
    User,
}

impl Path {
    pub(super) fn pointer(text: &str) -> Self {
        let text = text.strip_prefix('/').unwrap_or(text);
        let name = |step: &str| Step::Name(step.replace("~1", "/").replace("~0", "~"));
        Self(text.split('/').map(name).collect())
    }

    pub(super) fn json_path(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(bracket) = rest.strip_prefix('[') {
                let (step, after) = in_brackets(bracket)?;
                steps.push(step);
                rest = after;
                continue;
            }
            // The first name needs no dot before it.
            rest = match rest.strip_prefix('.') {
                Some(after) => after,
                None if steps.is_empty() => rest,
                None => return None,
            };
            let (name, after) = rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len()));
            steps.push(match name {
                "" => return None,
                "*" => Step::Each,
                name => Step::Name(name.into()),
            });
            rest = after;
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    pub(super) fn is_id(&self) -> bool {
        self.known() == Some(Known::Id)
    }

    /// What of a session it names, where an index knows that.
    pub(super) fn known(&self) -> Option<Known> {
        let names: Vec<_> = self.0.iter().map(Step::as_name).collect();
        Some(match names[..] {
            ["id"] => Known::Id,
            ["attributes", "user"] => Known::User,
            ["attributes", "state"] => Known::State,
            // A session has one service.
            ["relationships", "services", "data", "0" | "*", "id"] => Known::Service,
            _ => return None,
        })
    }

    pub(super) fn find<'value>(&self, from: &'value Value, hits: &mut Vec<&'value Value>) {
        find(&self.0, from, hits);
    }
}

impl Step {
    fn as_name(&self) -> &str {
        match self {
            // A member's name, of which a session has none.
            Self::Name(name) if name == "*" => "",
            Self::Name(name) => name,
            Self::Elements(elements) if elements == &[0] => "0",
            Self::Elements(_) => "",
            Self::Each => "*",
        }
    }
}

/// What stands in brackets, and what follows them.
fn in_brackets(text: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (name, after) = quoted.split_once(quote)?;
            return Some((Step::Name(name.into()), after.strip_prefix(']')?));
        }
    }
    let (inner, after) = text.split_once(']')?;
    if inner.trim() == "*" {
        return Some((Step::Each, after));
    }
    let numbers = inner.split(',').map(|number| number.trim().parse().ok());
    Some((Step::Elements(numbers.collect::<Option<_>>()?), after))
}

fn find<'value>(steps: &[Step], from: &'value Value, hits: &mut Vec<&'value Value>) {
    let [step, rest @ ..] = steps else {
        hits.push(from);
        return;
    };
    let mut go_on = |found: Option<&'value Value>| {
        if let Some(found) = found {
            find(rest, found, hits);
        }
    };
    match (step, from) {
        (Step::Name(name), Value::Object(members)) => go_on(members.get(name)),
        (Step::Name(name), Value::Array(elements)) => {
            go_on(
                name.parse::<usize>()
                    .ok()
                    .and_then(|number| elements.get(number)),
            );
        }
        (Step::Elements(numbers), Value::Array(elements)) => {
            numbers
                .iter()
                .for_each(|number| go_on(elements.get(*number)));
        }
        (Step::Each, Value::Array(elements)) => elements.iter().for_each(|it| go_on(Some(it))),
        (Step::Each, Value::Object(members)) => members.values().for_each(|it| go_on(Some(it))),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_index_knows_is_recognized_however_it_is_written() {
        let service = "relationships.services.data[0].id";
        for (path, known) in [
            ("id", Some(Known::Id)),
            ("$.id", Some(Known::Id)),
            ("$['attributes'].user", Some(Known::User)),
            ("attributes[\"state\"]", Some(Known::State)),
            (service, Some(Known::Service)),
            ("relationships.services.data[*].id", Some(Known::Service)),
            ("relationships.services.data[1].id", None),
            ("attributes.idle", None),
        ] {
            assert_eq!(Path::json_path(path).unwrap().known(), known, "{path}");
        }
        let pointer = Path::pointer("/relationships/services/data/0/id");
        assert_eq!(pointer.known(), Some(Known::Service));
        // In a pointer it is a name like any other.
        let star = Path::pointer("/relationships/services/data/*/id");
        assert_eq!(star.known(), None);
    }

    #[test]
    fn what_is_no_path_is_told() {
        for wrong in [
            "", "$", "a..b", "a.", "a[", "a[x]", "a[0", "a['b]", "[0]b", "a[-1]",
        ] {
            assert_eq!(Path::json_path(wrong), None, "{wrong}");
        }
    }
}
