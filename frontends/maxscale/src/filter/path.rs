//! The paths of filters: JSON pointers, and the part of JSONPath that clients use.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The member of this name; in an array, the element with this index.
    Name(String),
    /// The elements with these indices.
    Elements(Vec<usize>),
    /// All members or elements.
    All,
}

/// An attribute of sessions that the engine has an index of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexedField {
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
                let (step, after) = parse_brackets(bracket)?;
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
                "*" => Step::All,
                name => Step::Name(name.into()),
            });
            rest = after;
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    pub(super) fn is_id(&self) -> bool {
        self.indexed_field() == Some(IndexedField::Id)
    }

    /// The indexed attribute at this path.
    pub(super) fn indexed_field(&self) -> Option<IndexedField> {
        let names: Vec<_> = self.0.iter().map(Step::as_name).collect();
        Some(match names[..] {
            ["id"] => IndexedField::Id,
            ["attributes", "user"] => IndexedField::User,
            ["attributes", "state"] => IndexedField::State,
            // A session has one service.
            ["relationships", "services", "data", "0" | "*", "id"] => IndexedField::Service,
            _ => return None,
        })
    }

    pub(super) fn find<'value>(&self, from: &'value Value, values: &mut Vec<&'value Value>) {
        find(&self.0, from, values);
    }
}

impl Step {
    fn as_name(&self) -> &str {
        match self {
            // A member that is literally named `*`, which no session has.
            Self::Name(name) if name == "*" => "",
            Self::Name(name) => name,
            Self::Elements(elements) if elements == &[0] => "0",
            Self::Elements(_) => "",
            Self::All => "*",
        }
    }
}

/// Parses a step up to its `]`. Returns the step and the rest.
fn parse_brackets(text: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (name, after) = quoted.split_once(quote)?;
            return Some((Step::Name(name.into()), after.strip_prefix(']')?));
        }
    }
    let (inner, after) = text.split_once(']')?;
    if inner.trim() == "*" {
        return Some((Step::All, after));
    }
    let indices = inner.split(',').map(|index| index.trim().parse().ok());
    Some((Step::Elements(indices.collect::<Option<_>>()?), after))
}

fn find<'value>(steps: &[Step], from: &'value Value, values: &mut Vec<&'value Value>) {
    let [step, rest @ ..] = steps else {
        values.push(from);
        return;
    };
    let mut descend = |value: Option<&'value Value>| {
        if let Some(value) = value {
            find(rest, value, values);
        }
    };
    match (step, from) {
        (Step::Name(name), Value::Object(members)) => descend(members.get(name)),
        (Step::Name(name), Value::Array(elements)) => {
            descend(
                name.parse::<usize>()
                    .ok()
                    .and_then(|index| elements.get(index)),
            );
        }
        (Step::Elements(indices), Value::Array(elements)) => {
            indices
                .iter()
                .for_each(|index| descend(elements.get(*index)));
        }
        (Step::All, Value::Array(elements)) => {
            elements.iter().for_each(|value| descend(Some(value)))
        }
        (Step::All, Value::Object(members)) => {
            members.values().for_each(|value| descend(Some(value)))
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexed_fields_are_recognized_in_every_notation() {
        let service = "relationships.services.data[0].id";
        for (path, field) in [
            ("id", Some(IndexedField::Id)),
            ("$.id", Some(IndexedField::Id)),
            ("$['attributes'].user", Some(IndexedField::User)),
            ("attributes[\"state\"]", Some(IndexedField::State)),
            (service, Some(IndexedField::Service)),
            (
                "relationships.services.data[*].id",
                Some(IndexedField::Service),
            ),
            ("relationships.services.data[1].id", None),
            ("attributes.idle", None),
        ] {
            assert_eq!(
                Path::json_path(path).unwrap().indexed_field(),
                field,
                "{path}"
            );
        }
        let pointer = Path::pointer("/relationships/services/data/0/id");
        assert_eq!(pointer.indexed_field(), Some(IndexedField::Service));
        // In a pointer `*` is an ordinary name.
        let star = Path::pointer("/relationships/services/data/*/id");
        assert_eq!(star.indexed_field(), None);
    }

    #[test]
    fn invalid_paths_are_refused() {
        for wrong in [
            "", "$", "a..b", "a.", "a[", "a[x]", "a[0", "a['b]", "[0]b", "a[-1]",
        ] {
            assert_eq!(Path::json_path(wrong), None, "{wrong}");
        }
    }
}
