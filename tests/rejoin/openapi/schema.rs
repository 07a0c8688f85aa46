//! As much of JSON Schema as the document uses. A value and its schema enter, what is wrong leaves.
//!
//! Never: a word of a schema is passed over because nobody here knows it.

use serde_json::Value;

/// What is wrong with a value, with the way to it; `document` is where references lead.
pub(super) fn judge(value: &Value, schema: &Value, document: &Value) -> Result<(), String> {
    let schema = resolve(schema, document);
    let words = schema.as_object().unwrap();
    for (word, wanted) in words {
        let fits = match word.as_str() {
            "type" => is_of_type(value, wanted),
            "const" => value == wanted,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minLength" => {
                let characters = value.as_str().map(|text| text.chars().count() as u64);
                characters >= wanted.as_u64()
            }
            "minItems" | "maxItems" => {
                let items = value.as_array().map(|items| items.len() as u64);
                items.is_none_or(|items| match word.as_str() {
                    "minItems" => Some(items) >= wanted.as_u64(),
                    _ => Some(items) <= wanted.as_u64(),
                })
            }
            "minimum" => value.as_f64() >= wanted.as_f64(),
            "maximum" => value.as_f64() <= wanted.as_f64(),
            "required" => {
                let mut names = wanted.as_array().unwrap().iter();
                names.all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "properties" | "items" | "additionalProperties" => {
                judge_parts(word, value, words, document)?;
                true
            }
            "oneOf" | "anyOf" | "allOf" => {
                let choices = wanted.as_array().unwrap();
                let judged: Vec<_> = choices
                    .iter()
                    .map(|choice| judge(value, choice, document))
                    .collect();
                let fitting = judged.iter().filter(|it| it.is_ok()).count();
                let fits = match word.as_str() {
                    "oneOf" => fitting == 1,
                    "anyOf" => fitting > 0,
                    _ => fitting == choices.len(),
                };
                if !fits {
                    return Err(format!("{fitting} of {word} fit {value}: {judged:?}"));
                }
                true
            }
            "title" | "description" | "default" | "example" | "examples" | "format" => true,
            unknown => panic!("teach this file what {unknown} means"),
        };
        if !fits {
            return Err(format!("{value} is not of {word} {wanted}"));
        }
    }
    Ok(())
}

/// What a `$ref` in the document stands for; anything else stands for itself.
pub(super) fn resolve<'a>(part: &'a Value, document: &'a Value) -> &'a Value {
    match part.get("$ref").and_then(Value::as_str) {
        Some(reference) => {
            let target = document.pointer(reference.strip_prefix('#').unwrap());
            target.unwrap_or_else(|| panic!("{reference} leads nowhere"))
        }
        None => part,
    }
}

fn judge_parts(
    word: &str,
    value: &Value,
    words: &serde_json::Map<String, Value>,
    document: &Value,
) -> Result<(), String> {
    let at = |place: &str, judged: Result<(), String>| {
        judged.map_err(|wrong| format!("{place}: {wrong}"))
    };
    let wanted = &words[word];
    match (word, value) {
        ("items", Value::Array(parts)) => {
            for (place, part) in parts.iter().enumerate() {
                at(&place.to_string(), judge(part, wanted, document))?;
            }
        }
        ("properties", Value::Object(members)) => {
            for (name, schema) in wanted.as_object().unwrap() {
                if let Some(member) = members.get(name) {
                    at(name, judge(member, schema, document))?;
                }
            }
        }
        ("additionalProperties", Value::Object(members)) => {
            let known = words.get("properties").and_then(Value::as_object);
            for (name, member) in members {
                if known.is_some_and(|known| known.contains_key(name)) {
                    continue;
                }
                match wanted {
                    Value::Bool(true) => (),
                    Value::Bool(false) => return Err(format!("nobody knows {name}: {member}")),
                    schema => at(name, judge(member, schema, document))?,
                }
            }
        }
        _ => (),
    }
    Ok(())
}

fn is_of_type(value: &Value, wanted: &Value) -> bool {
    if let Some(choices) = wanted.as_array() {
        return choices.iter().any(|choice| is_of_type(value, choice));
    }
    match wanted.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("there is no type {unknown}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fits(value: &Value, schema: &Value) -> bool {
        judge(value, schema, &json!({"n": {"type": "number"}})).is_ok()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let schema = json!({
            "type": "object",
            "required": ["a"],
            "properties": {"a": {"type": "integer", "minimum": 1}, "b": {"items": {"$ref": "#/n"}}},
            "additionalProperties": false,
        });
        assert!(fits(&json!({"a": 1}), &schema));
        assert!(fits(&json!({"a": 1, "b": [1.5, 2]}), &schema));
        for wrong in [
            json!({}),
            json!([]),
            json!({"a": 0}),
            json!({"a": "1"}),
            json!({"a": 1, "b": ["x"]}),
            json!({"a": 1, "c": 1}),
        ] {
            assert!(!fits(&wrong, &schema), "{wrong}");
        }
        let one =
            json!({"oneOf": [{"const": 1}, {"type": "integer"}, {"type": ["null", "string"]}]});
        assert!(fits(&json!(2), &one) && fits(&Value::Null, &one));
        assert!(!fits(&json!(1), &one) && !fits(&json!(true), &one));
        assert!(!fits(&json!("c"), &json!({"enum": ["a", "b"]})));
        let one = json!({"minItems": 1, "maxItems": 1});
        assert!(fits(&json!([1]), &one) && !fits(&json!([]), &one));
        assert!(!fits(&json!([1, 2]), &one));
    }

    #[test]
    #[should_panic(expected = "teach this file what pattern means")]
    fn no_word_is_passed_over() {
        let _ = judge(&json!("a"), &json!({"pattern": "b"}), &json!({}));
    }
}
