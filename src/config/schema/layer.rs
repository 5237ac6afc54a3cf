//! The schema of what is merged with a project's file.

use super::schema;

/// The schema of a profile and of `exec_config.common.json`, which are laid over or under the project's file: what is merged
/// key by key needs nothing to be there.
#[must_use]
pub fn layer_schema() -> serde_json::Value {
    let mut schema = schema();
    let mut forget = |place: &str, keys: &[&str]| {
        let object = schema.pointer_mut(place).and_then(serde_json::Value::as_object_mut);
        object.into_iter().for_each(|object| keys.iter().for_each(|key| drop(object.remove(*key))));
    };
    forget("", &["required", "anyOf"]);
    for merged in ["Declaration", "RetryPolicy", "Webhook", "Expectation"] {
        forget(&format!("/$defs/{merged}"), &["required", "anyOf", "dependentRequired"]);
    }
    schema["title"] = "a layer of exec_config.json".into();
    schema["description"] =
        "A profile, or exec_config.common.json: any key of a project, and of objects what differs.".into();
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_layer_may_have_any_part_of_a_project_and_nothing_else() {
        let validator = jsonschema::validator_for(&layer_schema()).unwrap();
        for layer in [
            json!({}),
            json!({"params": {"since": {"default": "today"}, "gone": null}, "retries": {"delay": 1}}),
            json!({"mail": {"webhook": {"when": "all"}}, "expect": {"fresh": true}}),
        ] {
            assert!(validator.is_valid(&layer), "{layer}");
        }
        for wrong in
            [json!({"timout": 1}), json!({"scripts": [{"name": "x"}]}), json!({"schedule": {"timezone": "UTC"}})]
        {
            assert!(!validator.is_valid(&wrong), "{wrong}");
        }
    }
}
