//! Sparse fieldsets: of a resource only what is asked for. Pure.

use serde_json::{Map, Value};

/// Keeps the attributes and relationships on these paths (`/` between their steps). What becomes
/// empty goes; what a resource is called and its links stay.
pub(crate) fn keep(resource: &mut Value, fields: &[&str]) {
    let Value::Object(members) = resource else {
        return;
    };
    for name in ["attributes", "relationships"] {
        let Some(member) = members.get_mut(name) else {
            continue;
        };
        let kept = fields.iter().fold(Map::new(), |mut kept, field| {
            let steps: Vec<_> = field.split('/').filter(|step| !step.is_empty()).collect();
            copy(member, &steps, &mut kept);
            kept
        });
        if kept.is_empty() {
            members.remove(name);
        } else {
            *member = Value::Object(kept);
        }
    }
}

fn copy(from: &Value, steps: &[&str], to: &mut Map<String, Value>) {
    let [first, rest @ ..] = steps else { return };
    let Some(found) = from.get(first) else { return };
    if rest.is_empty() || !found.is_object() {
        // An array is taken whole: paths end there.
        to.insert((*first).into(), found.clone());
        return;
    }
    let known = to.remove(*first);
    let mut inner = match known {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    copy(found, rest, &mut inner);
    if !inner.is_empty() {
        to.insert((*first).into(), Value::Object(inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept(fields: &[&str]) -> Value {
        let mut resource = json!({
            "attributes": {"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 4}]},
            "id": "1",
            "links": {"self": "here"},
            "relationships": {"services": {"data": []}},
            "type": "sessions",
        });
        keep(&mut resource, fields);
        let members = resource.as_object_mut().unwrap();
        for always in ["id", "links", "type"] {
            assert!(members.remove(always).is_some(), "{always}");
        }
        resource
    }

    #[test]
    fn what_is_not_asked_for_goes_and_so_does_what_becomes_empty() {
        assert_eq!(kept(&["a"]), json!({"attributes": {"a": 1}}));
        assert_eq!(kept(&["x"]), json!({}));
        assert_eq!(
            kept(&["services"]),
            json!({"relationships": {"services": {"data": []}}})
        );
        assert_eq!(
            kept(&["b/d", "b/c"]),
            json!({"attributes": {"b": {"c": 2, "d": 3}}})
        );
        assert_eq!(kept(&["b/x"]), json!({}));
        assert_eq!(
            kept(&["b", "a/x"]),
            json!({"attributes": {"a": 1, "b": {"c": 2, "d": 3}}})
        );
    }

    #[test]
    fn a_path_ends_at_an_array() {
        assert_eq!(kept(&["e/f"]), json!({"attributes": {"e": [{"f": 4}]}}));
    }
}
