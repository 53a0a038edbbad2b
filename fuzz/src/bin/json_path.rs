//! Any text compiles to a path, reference path or intrinsic function or is refused; any compiled one evaluates.
#![no_main]

use asl::{Env, Expression, Path, ReferencePath, Scene, Template};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let mut texts = fuzz::texts(data);
    let Some(text) = texts.next() else { return };
    let input = texts.next().and_then(|text| serde_json::from_str(text).ok());
    let input: Value = input.unwrap_or_else(|| serde_json::json!({"a": [1, {"b": "x"}], "c": {"d": null}}));
    let mut state = 1;
    let mut random = || fuzz::random(&mut state);
    let scene = Scene::new(&input, &input);
    if let Ok(path) = Path::parse(text) {
        let _ = path.evaluate(scene);
    }
    if let Ok(path) = ReferencePath::parse(text)
        && *path.root() == asl::Root::Input
        && let Ok(changed) = path.insert(input.clone(), Value::Bool(true))
    {
        assert_eq!(path.evaluate(Scene::new(&changed, &Value::Null)).ok(), Some(&Value::Bool(true)));
    }
    let now = base::Timestamp::from_millis(0);
    let mut env = Env { scene, result: None, error_output: None, now, random: &mut random };
    if let Ok(expression) = Expression::parse(text) {
        let _ = expression.evaluate("field.$", &mut env);
    }
    if let Ok(template) = Template::parse(text) {
        let _ = template.evaluate(&mut env);
    }
});
