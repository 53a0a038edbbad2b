//! No text and no value makes the crate panic, overflow the stack or run away.

use asl::{Expression, Path, PathErrorReason, ReferencePath, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

const DEPTH: usize = 10_000;

/// `[[[...]]]`, built from the inside. Leaked: dropping it would recurse, which is serde_json's business, not ours.
fn deep_array() -> &'static Value {
    let deep = (0..DEPTH).fold(json!({"x": 1}), |inner, _| Value::Array(vec![inner]));
    Box::leak(Box::new(deep))
}

#[test]
fn deep_values_are_searched_but_not_copied() {
    let deep = deep_array();
    let names_found =
        Path::parse("$..x").expect("a path").evaluate(asl::Scene::new(deep, &Value::Null)).expect("a result");
    assert_eq!(*names_found, json!([1]));
    let error =
        Path::parse("$..*").expect("a path").evaluate(asl::Scene::new(deep, &Value::Null)).expect_err("too deep");
    assert_eq!(error.reason, PathErrorReason::TooLarge);
    let filtered = Path::parse("$..[?(@.x == 1)].x")
        .expect("a path")
        .evaluate(asl::Scene::new(deep, &Value::Null))
        .expect("a result");
    assert_eq!(*filtered, json!([1]));
    for call in ["States.JsonToString($)", "States.ArrayUnique($)", "States.Format('{}', $)", "States.Array($, $)"] {
        let mut random = || 0;
        let mut env = crate::env(deep, &Value::Null, &mut random);
        let error = Expression::parse(call).expect("a call").evaluate("x.$", &mut env).expect_err("too deep");
        assert_eq!(error.error_name(), "States.DataLimitExceeded");
    }
    let missing =
        Path::parse("$.x").expect("a path").evaluate(asl::Scene::new(deep, &Value::Null)).expect_err("not an object");
    assert!(missing.not_found("x.$", deep).len() > 2 * DEPTH);
}

#[test]
fn deep_definitions_are_refused_in_words() {
    for (open, close) in [("[", "]"), ("{\"States\":", "}")] {
        let text = format!("{}1{}", open.repeat(DEPTH), close.repeat(DEPTH));
        let found = asl::validate(&text);
        assert_eq!(found.iter().next().map(|d| d.code), Some("TOO_DEEPLY_NESTED"));
    }
    let found = asl::validate(&"[".repeat(DEPTH));
    assert_eq!(found.iter().next().map(|d| d.code), Some("TOO_DEEPLY_NESTED"));
}

/// As deep as the limit lets states nest: validation recurses along them.
#[test]
fn states_may_nest_as_deep_as_the_text() {
    let mut body = r#"{"StartAt": "S", "States": {"S": {"Type": "Pass", "End": true}}}"#.to_owned();
    let mut accepted = 0;
    for level in 0..64 {
        body = format!(
            r#"{{"StartAt": "M{level}", "States": {{"M{level}": {{"Type": "Map", "ItemProcessor": {body}, "End": true}}}}}}"#
        );
        match asl::parse(&body) {
            Ok(_) => accepted = level + 1,
            Err(found) => assert_eq!(found.iter().next().map(|d| d.code), Some("TOO_DEEPLY_NESTED")),
        }
    }
    assert!(accepted >= 30, "{accepted}");
}

#[test]
fn deep_expressions_are_refused_in_words() {
    let filters = format!("$[?({}@.x{})]", "(".repeat(DEPTH), ")".repeat(DEPTH));
    let negations = format!("$[?({}@.x)]", "!".repeat(DEPTH));
    let calls = format!("{}1{}", "States.Array(".repeat(DEPTH), ")".repeat(DEPTH));
    let inner_filters = format!("$[?({}@.x{}", "@[?(".repeat(DEPTH), ")]".repeat(DEPTH + 1));
    for text in [filters, negations, calls, inner_filters] {
        assert!(Expression::parse(&text).is_err());
    }
    let ten = format!("{}1{}", "States.Array(".repeat(10), ")".repeat(10));
    assert!(Expression::parse(&ten).is_ok(), "AWS allows ten nested calls");
}

#[test]
fn work_that_multiplies_is_cut_off() {
    let wide: Value = (0..1000).map(|i| json!({"i": i, "l": [1, 2, 3]})).collect();
    let input = json!({ "a": wide, "b": wide });
    let expensive = Path::parse("$.a[?(@.i anyof $.a[*].i)]").expect("a path");
    assert_eq!(
        expensive.evaluate(asl::Scene::new(&input, &Value::Null)).map(|v| v.as_array().map(Vec::len)),
        Ok(Some(0))
    );
    let multiplying = Path::parse("$.a[?(@.i in $.b[?(@.i in $.a[*].i)].i)]").expect("a path");
    let error = multiplying.evaluate(asl::Scene::new(&input, &Value::Null)).expect_err("too much work");
    assert_eq!(error.reason, PathErrorReason::TooLarge);
    let text = "x".repeat(200_000);
    let members: serde_json::Map<String, Value> = (0..500).map(|i| (format!("k{i}.$"), json!("$.t"))).collect();
    let template = Template::parse(&Value::Object(members).to_string()).expect("a template");
    let input = json!({ "t": text });
    let mut random = || 0;
    let error =
        template.evaluate(&mut crate::env(&input, &Value::Null, &mut random)).expect_err("more than any payload");
    assert_eq!(error.error_name(), "States.DataLimitExceeded");
}

#[test]
fn an_oversized_definition_is_refused() {
    let text = format!("{{\"Comment\": \"{}\"}}", "x".repeat(asl::DEFINITION_BYTES_MAX));
    assert!(asl::parse(&text).expect_err("too long").aws_message().contains("exceeds 1048576 bytes"));
}

/// Text that looks enough like a path or a call to get past the first characters.
fn expression_like() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "$",
        "$$",
        ".",
        "..",
        "[",
        "]",
        "*",
        "?(",
        ")",
        "(",
        "@",
        "'a'",
        "\"b\"",
        "a",
        "detail-type",
        "1",
        "-1",
        ":",
        ",",
        "==",
        "!=",
        "<",
        "=~",
        "/x/i",
        "&&",
        "||",
        "!",
        " in ",
        "true",
        "null",
        "States.Format(",
        "States.Array(",
        "States.UUID()",
        "'{}'",
        "\\",
        "'",
        "é",
        " ",
        "length()",
    ]);
    prop::collection::vec(token, 0..16).prop_map(|tokens| tokens.concat())
}

/// Definitions with anything in any field.
fn definition_like() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        expression_like().prop_map(Value::from),
        prop::sample::select(vec![
            "Task",
            "Pass",
            "Choice",
            "Map",
            "Parallel",
            "Wait",
            "Fail",
            "A",
            "B",
            "States.ALL",
            "INLINE",
            "arn:aws:states:::sqs:sendMessage",
            "arn:aws:lambda:us-east-1:000000000000:function:f",
            "arn:aws:states:::s3:getObject",
            "arn:aws:states:::s3:listObjectsV2",
            "arn:aws:states:::s3:putObject",
            "DISTRIBUTED",
            "STANDARD",
            "CSV",
            "GIVEN",
            "JSONata",
            "$A.x",
            "{% $states.result %}",
            "{% $A + %}",
            "{% 1",
            "{%%}",
            "{%}",
            "${Fn.Arn}",
            "arn:aws:lambda:${",
        ])
        .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "Type",
        "StartAt",
        "States",
        "A",
        "B",
        "Next",
        "End",
        "Choices",
        "And",
        "Not",
        "Variable",
        "StringEquals",
        "Branches",
        "ItemProcessor",
        "Iterator",
        "Retry",
        "Catch",
        "ErrorEquals",
        "Parameters",
        "x.$",
        "ResultPath",
        "InputPath",
        "Resource",
        "TimeoutSeconds",
        "Seconds",
        "Default",
        "ProcessorConfig",
        "Mode",
        "Assign",
        "Error",
        "CausePath",
        "MaxConcurrency",
        "Credentials",
        "QueryLanguage",
        "Arguments",
        "Output",
        "Condition",
        "Items",
        "ItemReader",
        "ItemBatcher",
        "ResultWriter",
        "ReaderConfig",
        "WriterConfig",
        "InputType",
        "CSVHeaders",
        "ItemsPointer",
        "MaxItemsPerBatch",
        "BatchInput",
        "Label",
        "ExecutionType",
        "Cause",
        "Timestamp",
    ]);
    leaf.prop_recursive(8, 200, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_validated(text in ".{0,200}") {
        let found = asl::validate(&text);
        prop_assert_eq!(asl::parse(&text).is_err(), found.has_errors());
        let _ = Template::parse(&text);
        asl::validate_template(&text);
    }

    #[test]
    fn any_definition_is_validated(definition in definition_like(), cut in 0usize..100) {
        let text = definition.to_string();
        let found = asl::validate(&text);
        prop_assert_eq!(asl::parse(&text).is_err(), found.has_errors());
        let _ = Template::parse(&text);
        let _ = Template::parse_jsonata(&text, "Output");
        let end = text.floor_char_boundary(text.len() * cut / 100);
        asl::validate(&text[..end]);
        asl::validate_template(&text[..end]);
    }

    /// Every text that our reader takes means the same to serde_json, and the other way round.
    #[test]
    fn our_json_is_strict_json(text in "[\\[\\]{}:,\"a0-9.eE+\\\\un -]{0,24}") {
        let ours = Template::parse(&text).ok().and_then(|template| template.as_literal().cloned());
        let theirs: Option<Value> = serde_json::from_str(&text).ok();
        if let Some(ours) = ours {
            prop_assert_eq!(Some(ours.to_string().replace("-0.0", "0")), theirs.map(|v| v.to_string().replace("-0.0", "0")));
        }
    }

    #[test]
    fn any_expression_parses_or_not(text in prop_oneof![expression_like(), ".{0,60}"], input in definition_like()) {
        let _ = ReferencePath::parse(&text).map(|path| path.insert(input.clone(), Value::Null));
        if let Ok(expression) = Expression::parse(&text) {
            prop_assert_eq!(expression.as_str(), &text);
            let mut random = || 7;
            let _ = expression.evaluate("x.$", &mut crate::env(&input, &Value::Null, &mut random));
        }
    }

    /// What a reference path wrote, it reads.
    #[test]
    fn what_is_inserted_is_found(names in prop::collection::vec("[a-c]", 1..4), input in definition_like()) {
        let path = ReferencePath::parse(&format!("$.{}", names.join("."))).expect("a reference path");
        if let Ok(output) = path.insert(input, json!({"found": true})) {
            prop_assert_eq!(path.evaluate(asl::Scene::new(&output, &Value::Null)), Ok(&json!({"found": true})));
        }
    }
}

/// AWS counts characters, not bytes.
#[test]
fn long_strings_meet_aws_limits() {
    for function in ["States.Base64Encode($)", "States.Base64Decode($)", "States.Hash($, 'MD5')"] {
        for (text, fits) in [("A".repeat(10_000), true), ("A".repeat(10_001), false), ("😀".repeat(10_000), true)] {
            let input = Value::from(text);
            let mut random = || 0;
            let mut env = crate::env(&input, &Value::Null, &mut random);
            let result = Expression::parse(function).expect("a call").evaluate("x.$", &mut env);
            let refused = result.as_ref().err().is_some_and(|error| error.to_string().contains("10000 characters"));
            assert_eq!(refused, !fits, "{function}: {result:?}");
        }
    }
}
