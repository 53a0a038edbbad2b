//! Everything a reader can browse lies in `data/`: what goes in, and what must come out.
//! `UPDATE=1 cargo test -p asl` writes what comes out today; a human reads the diff.

mod bounds;
mod jsonata;
mod jsonata_bounds;
mod jsonata_suite;
mod layout;
mod oracle;
mod references;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use asl::{Env, EvalError, Expression, Jsonata, JsonataField, Path, ReferencePath, Template, Variables};
use serde_json::{Map, Value, json};

/// A definition, as JSON or (where that is the point) as text, and every finding: severity, code, line:column,
/// location, message, help.
#[test]
fn validate() {
    each_case("validate", |_, case| {
        let text = match case.get("text") {
            Some(text) => text.as_str().expect("text").to_owned(),
            None => serde_json::to_string_pretty(&case["definition"]).expect("JSON"),
        };
        let found = match case.get("placeholders") {
            Some(_) => asl::validate_template(&text),
            None => asl::validate(&text),
        };
        let lines: Vec<Value> = found
            .iter()
            .map(|d| {
                assert!(d.span.start <= d.span.end && d.span.end <= text.len(), "{d}");
                let location = d.location.as_deref().unwrap_or("-");
                let help = d.help.as_ref().map(|help| format!(" [{help}]")).unwrap_or_default();
                let (severity, line, column) = (d.severity.as_str(), d.span.line, d.span.column);
                Value::from(format!("{severity} {} {line}:{column} {location} {}{help}", d.code, d.message))
            })
            .collect();
        match asl::parse(&text) {
            _ if case.contains_key("placeholders") => {}
            Ok(_) => assert!(!found.has_errors(), "parsed in spite of {found}"),
            Err(errors) => assert!(errors.has_errors(), "refused without an error"),
        }
        json!({ "expect": lines })
    });
}

/// Paths against the `input` (and `context`) of their file.
#[test]
fn paths() {
    each_case("paths", |file, case| {
        let context = file.get("context").cloned().unwrap_or_else(|| json!({}));
        let input = case.get("input").unwrap_or(&file["input"]);
        match Path::parse(case["path"].as_str().expect("path")) {
            Err(error) => json!({ "syntax_error": format!("{}: {error}", error.offset) }),
            Ok(path) => match path.evaluate(asl::Scene::new(input, &context)) {
                Ok(value) => json!({ "value": value, "definite": path.is_definite() }),
                Err(error) => json!({ "error": error.to_string() }),
            },
        }
    });
}

/// Results put into the file's `input` at a reference path.
#[test]
fn insert() {
    each_case("insert", |file, case| {
        let input = case.get("input").unwrap_or(&file["input"]);
        match ReferencePath::parse(case["path"].as_str().expect("path")) {
            Err(error) => json!({ "syntax_error": error.to_string() }),
            Ok(path) => match path.insert(input.clone(), case["result"].clone()) {
                Ok(value) => {
                    assert_eq!(path.evaluate(asl::Scene::new(&value, &Value::Null)), Ok(&case["result"]));
                    json!({ "value": value })
                }
                Err(error) => json!({ "error": error.to_string() }),
            },
        }
    });
}

/// Calls of intrinsic functions; chance counts 1, 2, 3 in the upper half of its bits.
#[test]
fn intrinsics() {
    each_case("intrinsics", |_, case| {
        let null = Value::Null;
        let input = case.get("input").unwrap_or(&null);
        match Expression::parse(case["call"].as_str().expect("call")) {
            Err(error) => json!({ "syntax_error": format!("{}: {error}", error.offset) }),
            Ok(call) => with_env(case, |env| match call.evaluate("field.$", env) {
                Ok(value) => json!({ "value": value }),
                Err(error) => failure(&error, input),
            }),
        }
    });
}

/// JSONata expressions against `$states.input`, and the variable `$v` where the case has one.
#[test]
fn jsonata_expressions() {
    each_case("jsonata", |file, case| {
        let input = case.get("input").unwrap_or(&file["input"]);
        let expression = match asl::Jsonata::parse(case["expr"].as_str().expect("expr")) {
            Err(error) => return json!({ "syntax_error": format!("{}: {error}", error.offset) }),
            Ok(expression) => expression,
        };
        let mut variables = asl::Variables::default();
        if let Some(value) = case.get("v") {
            variables.assign("v".into(), std::sync::Arc::new(value.clone()));
        }
        let result = expression.evaluate(&mut asl::JsonataEnv {
            states: Some(asl::States { input, context: &Value::Null, result: None, error_output: None }),
            variables: &variables,
            now: base::Timestamp::from_millis(1_700_000_000_123),
            random: &mut || 1 << 63,
            limits: asl::JsonataLimits::default(),
        });
        match result {
            Ok(Some(value)) => json!({ "value": value }),
            Ok(None) => json!({ "undefined": true }),
            Err(error) => json!({ "error": error.to_string() }),
        }
    });
}

/// Payload templates against an input, or with a `field` values of JSONata.
#[test]
fn templates() {
    each_case("templates", |_, case| {
        let text = case["template"].to_string();
        let template = match case.get("field") {
            Some(field) => Template::parse_jsonata(&text, field.as_str().expect("field")),
            None => Template::parse(&text),
        };
        match template {
            Err(found) => json!({ "findings": found.iter().map(|d| d.message.clone()).collect::<Vec<_>>() }),
            Ok(template) => with_env(case, |env| match template.evaluate(env) {
                Ok(value) => json!({ "value": value }),
                Err(error) => failure(&error, &case["input"]),
            }),
        }
    });
}

/// JSONata in fields that take one type: what they make of a value.
#[test]
fn fields() {
    each_case("fields", |_, case| {
        let expression = Jsonata::parse(case["expression"].as_str().expect("expression")).expect("valid JSONata");
        let name = case["field"].as_str().expect("field");
        let field = JsonataField::new(&name, &expression);
        with_env(case, |env| {
            let value = match case["as"].as_str().expect("as") {
                "value" => field.value(env),
                "boolean" => field.boolean(env).map(Value::from),
                "text" => field.text(env).map(Value::from),
                "array" => field.array(env).map(Value::from),
                "timestamp" => field.timestamp(env).map(|time| time.to_rfc3339().into()),
                "seconds" => field.integer(0..=99_999_999, env).map(Value::from),
                "timeout" => field.integer(1..=99_999_999, env).map(Value::from),
                "count" => field.integer(0..=u64::MAX, env).map(Value::from),
                "percentage" => field.number(0.0..=100.0, env).map(Value::from),
                other => panic!("no such type: {other}"),
            };
            value.map_or_else(|error| failure(&error, &Value::Null), |value| json!({ "value": value }))
        })
    });
}

fn failure(error: &EvalError, input: &Value) -> Value {
    let mut found = json!({ "error": error.error_name(), "cause": error.cause(input) });
    if let Some(location) = error.location() {
        found["location"] = location.into();
    }
    found
}

/// Runs with what the case says there is: `input`, `context`, `variables`, `result`, `errorOutput`.
fn with_env(case: &Map<String, Value>, run: impl FnOnce(&mut Env<'_>) -> Value) -> Value {
    let mut count = 0u64;
    let mut random = || {
        count += 1;
        count << 60 | count
    };
    let mut variables = Variables::default();
    for (name, value) in case.get("variables").and_then(Value::as_object).into_iter().flatten() {
        variables.assign(name.as_str().into(), Arc::new(value.clone()));
    }
    let null = Value::Null;
    let [input, context] = ["input", "context"].map(|name| case.get(name).unwrap_or(&null));
    let mut env = env(input, context, &mut random);
    env.scene.variables = &variables;
    (env.result, env.error_output) = (case.get("result"), case.get("errorOutput"));
    run(&mut env)
}

/// What an evaluation reads, at the beginning of time and without variables.
fn env<'a>(input: &'a Value, context: &'a Value, random: &'a mut dyn FnMut() -> u64) -> Env<'a> {
    let scene = asl::Scene::new(input, context);
    Env { scene, result: None, error_output: None, now: base::Timestamp::from_millis(0), random }
}

/// Runs every case of every file of a folder; what `run` gives replaces or must equal the case's results.
fn each_case(folder: &str, run: impl Fn(&Value, &Map<String, Value>) -> Value) {
    const RESULTS: &[&str] = &[
        "expect",
        "value",
        "definite",
        "error",
        "cause",
        "location",
        "syntax_error",
        "findings",
        "undefined",
        "undefined",
    ];
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for path in files(folder) {
        let text = std::fs::read_to_string(&path).expect("read a data file");
        let mut file: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let outer = file.clone();
        for case in file["cases"].as_array_mut().expect("cases") {
            let case = case.as_object_mut().expect("a case");
            let Value::Object(found) = run(&outer, case) else { panic!("results are objects") };
            let expected: Map<String, Value> = case
                .iter()
                .filter(|(key, _)| RESULTS.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            // As text: the order of keys counts.
            if serde_json::to_string(&expected).ok() == serde_json::to_string(&found).ok() {
                continue;
            }
            if update {
                case.retain(|key, _| !RESULTS.contains(&key.as_str()));
                case.extend(found);
            } else {
                let what = case.iter().rfind(|(key, _)| !RESULTS.contains(&key.as_str()));
                wrong.push(format!("{}: {what:?}\n  want {expected:?}\n  have {found:?}", path.display()));
            }
        }
        if update {
            std::fs::write(&path, layout::text(&file)).expect("write a data file");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("a data folder").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}
