//! Whether answers are as an OpenAPI 3.1 description says.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::Value;

/// A description, and which of its answers have been seen.
pub(crate) struct Description {
    all: Value,
    asked: BTreeSet<String>,
}

impl Description {
    pub(crate) fn new(all: Value) -> Self {
        assert_eq!(all["openapi"], "3.1.0");
        Self { all, asked: BTreeSet::new() }
    }

    /// Panics unless `answer`, with `status`, is what GET of `path` is described to answer, and all parameters in
    /// `asked` are described. `path` has names for parts of `asked`.
    pub(crate) fn holds(&mut self, path: &str, asked: &str, status: StatusCode, answer: &Value) {
        let operation = &self.all["paths"][path]["get"];
        let described: Vec<&str> =
            operation["parameters"].as_array().into_iter().flatten().map(name).collect();
        let query = asked.split_once('?').map_or("", |(_, query)| query);
        for (parameter, _) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            assert!(described.contains(&parameter), "{asked}: {parameter} is not described");
        }
        let schema = &operation["responses"][status.as_str()]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{asked} answers {status}, which is not described");
        if let Err(why) = self.check(schema, answer, "$") {
            panic!("{asked}: {why}\n{answer:#}");
        }
        self.asked.insert(format!("{path} {}", status.as_u16()));
    }

    /// Described answers that never came.
    pub(crate) fn never_asked(&self) -> Vec<String> {
        let paths = self.all["paths"].as_object().unwrap();
        let answers = paths.iter().flat_map(|(path, methods)| {
            let answers = methods["get"]["responses"].as_object().unwrap();
            answers.keys().map(move |status| format!("{path} {status}"))
        });
        answers.filter(|answer| !self.asked.contains(answer)).collect()
    }

    /// The part of JSON Schema that is used; panics at a word that is not known here, so that none is passed over.
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        for (word, argument) in schema.as_object().unwrap() {
            let good = match word.as_str() {
                "$ref" => {
                    let place = argument.as_str().unwrap().strip_prefix('#').unwrap();
                    let schema = self.all.pointer(place).unwrap_or_else(|| panic!("{place} is missing"));
                    self.check(schema, value, at)?;
                    true
                }
                "type" => match argument {
                    Value::Array(types) => types.iter().any(|kind| is_of_type(value, kind)),
                    kind => is_of_type(value, kind),
                },
                "const" => value == argument,
                "enum" => argument.as_array().unwrap().contains(value),
                "pattern" => {
                    let pattern = regex::Regex::new(argument.as_str().unwrap()).unwrap();
                    value.as_str().is_none_or(|text| pattern.is_match(text))
                }
                "minimum" => value.as_f64().is_none_or(|number| number >= argument.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= argument.as_f64().unwrap()),
                "minItems" => {
                    value.as_array().is_none_or(|items| items.len() as u64 >= argument.as_u64().unwrap())
                }
                "required" => value.as_object().is_none_or(|object| {
                    argument.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
                }),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(argument, item, &format!("{at}[{index}]"))?;
                    }
                    true
                }
                "properties" => {
                    for (key, schema) in argument.as_object().unwrap() {
                        if let Some(inner) = value.get(key) {
                            self.check(schema, inner, &format!("{at}.{key}"))?;
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    for (key, inner) in value.as_object().into_iter().flatten() {
                        if schema["properties"].get(key).is_some() {
                            continue;
                        }
                        match argument {
                            Value::Bool(false) => {
                                return Err(format!("{at} has {key}, which is not described"));
                            }
                            schema => self.check(schema, inner, &format!("{at}.{key}"))?,
                        }
                    }
                    true
                }
                "description" | "default" => true,
                unknown => panic!("the word {unknown} is not known here"),
            };
            if !good {
                return Err(format!("{at} is {value}, not {word} {argument}"));
            }
        }
        Ok(())
    }
}

fn name(parameter: &Value) -> &str {
    parameter["name"].as_str().unwrap()
}

fn is_of_type(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("the type {unknown} is not known here"),
    }
}
