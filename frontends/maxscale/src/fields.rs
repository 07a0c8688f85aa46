//! Sparse fieldsets: `fields[TYPE]=PATH,…` limits a resource to the named attributes and
//! relationships.

use serde_json::{Map, Value};

/// Removes all attributes and relationships except those at these paths (segments separated by
/// `/`). Objects that become empty are removed too. `id`, `type` and `links` stay.
pub(crate) fn retain(resource: &mut Value, fields: &[&str]) {
    let Value::Object(members) = resource else {
        return;
    };
    for name in ["attributes", "relationships"] {
        let Some(member) = members.get_mut(name) else {
            continue;
        };
        let retained = fields.iter().fold(Map::new(), |mut retained, field| {
            let steps: Vec<_> = field.split('/').filter(|step| !step.is_empty()).collect();
            copy(member, &steps, &mut retained);
            retained
        });
        if retained.is_empty() {
            members.remove(name);
        } else {
            *member = Value::Object(retained);
        }
    }
}

fn copy(from: &Value, steps: &[&str], to: &mut Map<String, Value>) {
    let [first, rest @ ..] = steps else { return };
    let Some(found) = from.get(first) else { return };
    if rest.is_empty() || !found.is_object() {
        // Paths end at an array, which is copied whole.
        to.insert((*first).into(), found.clone());
        return;
    }
    let mut inner = match to.remove(*first) {
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

    fn with_fields(fields: &[&str]) -> Value {
        let mut resource = json!({
            "attributes": {"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 4}]},
            "id": "1",
            "links": {"self": "here"},
            "relationships": {"services": {"data": []}},
            "type": "sessions",
        });
        retain(&mut resource, fields);
        let members = resource.as_object_mut().unwrap();
        for always in ["id", "links", "type"] {
            assert!(members.remove(always).is_some(), "{always}");
        }
        resource
    }

    #[test]
    fn other_fields_and_empty_objects_are_removed() {
        assert_eq!(with_fields(&["a"]), json!({"attributes": {"a": 1}}));
        assert_eq!(with_fields(&["x"]), json!({}));
        assert_eq!(
            with_fields(&["services"]),
            json!({"relationships": {"services": {"data": []}}})
        );
        assert_eq!(
            with_fields(&["b/d", "b/c"]),
            json!({"attributes": {"b": {"c": 2, "d": 3}}})
        );
        assert_eq!(with_fields(&["b/x"]), json!({}));
        assert_eq!(
            with_fields(&["b", "a/x"]),
            json!({"attributes": {"a": 1, "b": {"c": 2, "d": 3}}})
        );
    }

    #[test]
    fn a_path_ends_at_an_array() {
        assert_eq!(
            with_fields(&["e/f"]),
            json!({"attributes": {"e": [{"f": 4}]}})
        );
    }
}
