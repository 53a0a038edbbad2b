//! Data-driven: `tests/data/*.yaml|json` are whole templates, `tests/data/*.txt` are many short cases.
//! `UPDATE=1` rewrites what is expected; read the diff.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::sam;

pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Every resource is there: `Ref` is `X-id`, an attribute `X.Attribute`.
struct World;

impl Environment for World {
    fn reference(&self, logical_id: &str) -> Lookup {
        if logical_id == "Later" { Lookup::Unknown } else { Lookup::Found(format!("{logical_id}-id").into()) }
    }

    fn attribute(&self, logical_id: &str, attribute: &str) -> Lookup {
        match (logical_id, attribute) {
            ("Later", _) => Lookup::Unknown,
            (_, "Missing") => Lookup::NoAttribute,
            _ => Lookup::Found(format!("{logical_id}.{attribute}").into()),
        }
    }

    fn import(&self, name: &str) -> Lookup {
        if name == "shared-bucket" { Lookup::Found("the-bucket".into()) } else { Lookup::Undefined }
    }
}

fn pseudo() -> Pseudo {
    Pseudo {
        account: "123456789012".into(),
        region: "eu-west-1".into(),
        stack_name: "test".into(),
        stack_id: "arn:aws:cloudformation:eu-west-1:123456789012:stack/test/1".into(),
        notification_arns: Vec::new(),
    }
}

fn given(root: &Node) -> Vec<Given> {
    let parameters = root.get("Metadata").and_then(|m| m.get("Test")).and_then(|t| t.get("Parameters"));
    let entries = parameters.and_then(Node::entries).unwrap_or_default();
    let value = |e: &Entry| e.value.scalar().map(std::borrow::Cow::into_owned);
    entries.iter().map(|e| Given { key: e.key.clone(), value: value(e), use_previous: false }).collect()
}

/// The whole way from a text to resolved resources.
fn resolve(text: &str) -> Result<Value, Diagnostics> {
    let mut root = parse(text)?;
    let first = Template::from_node(&root)?;
    let parameters = bind(&first.parameters, &given(&root), &BTreeMap::new())?;
    if first.transforms.iter().any(|(name, _)| name == sam::TRANSFORM) {
        root = sam::transform(&root, &parameters)?;
    }
    let template = Template::from_node(&root)?;
    check(&template)?;
    let pseudo = pseudo();
    let conditions = conditions(&template.conditions, &parameters, &template.mappings, &pseudo)?;
    let evaluator = Evaluator {
        parameters: &parameters,
        mappings: &template.mappings,
        conditions: &conditions,
        pseudo: &pseudo,
        environment: &World,
    };
    let mut resources = serde_json::Map::new();
    for (resource, needs) in order(&template, &conditions)? {
        let properties = evaluator.evaluate(&resource.properties).map_err(|d| d.of(&resource.logical_id))?;
        let mut shown = json!({"Type": resource.resource_type, "Properties": properties.map(|p| p.to_json())});
        if !needs.is_empty() {
            shown["Needs"] = json!(needs);
        }
        if resource.deletion_policy != Policy::Delete {
            shown["DeletionPolicy"] = json!(format!("{:?}", resource.deletion_policy));
        }
        resources.insert(resource.logical_id.clone(), shown);
    }
    let mut outputs = serde_json::Map::new();
    for output in &template.outputs {
        if output.condition.as_ref().is_some_and(|(c, _)| !conditions[c]) {
            continue;
        }
        let value = |node: &Node| evaluator.evaluate(node).map(|v| v.map(|v| v.to_json()));
        let mut shown = json!({"Value": value(&output.value)?});
        if let Some(export) = &output.export {
            shown["Export"] = json!(value(export)?);
        }
        outputs.insert(output.name.clone(), shown);
    }
    let mut result = json!({"Resources": resources, "Outputs": outputs});
    if !conditions.is_empty() {
        result["Conditions"] = json!(conditions);
    }
    if !template.notices.is_empty() {
        result["Notices"] = template.notices.iter().map(ToString::to_string).collect();
    }
    Ok(result)
}

#[test]
fn whole_templates() {
    let mut seen = 0;
    for entry in std::fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".expected.json") || !(name.ends_with(".yaml") || name.ends_with(".json")) {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let result = match resolve(&text) {
            Ok(value) => value,
            Err(found) => json!({"Errors": found.found.iter().map(ToString::to_string).collect::<Vec<_>>()}),
        };
        let shown = format!("{}\n", serde_json::to_string_pretty(&result).unwrap());
        let expected = path.with_extension("expected.json");
        if updating() {
            std::fs::write(&expected, shown).unwrap();
        } else {
            let expected = std::fs::read_to_string(&expected).unwrap_or_default();
            assert_eq!(shown, expected, "{name}");
        }
    }
    assert!(seen > 3);
}

/// Runs each case of a file: `=== title`, text, `----`, what is expected.
fn cases(file: &str, run: impl Fn(&str) -> String) {
    let path = data().join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut rewritten = String::new();
    for case in text.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (input, expected) = rest.split_once("\n----\n").unwrap_or((rest.trim_end_matches("\n----"), ""));
        let got = run(input);
        if updating() {
            rewritten.push_str(&format!("=== {title}\n{input}\n----\n{got}\n\n"));
        } else {
            assert_eq!(got, expected.trim_end(), "{file}: {title}");
        }
    }
    if updating() {
        std::fs::write(&path, rewritten.trim_end().to_owned() + "\n").unwrap();
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    cases("errors.txt", |text| match resolve(text) {
        Ok(value) => panic!("accepted: {text}\n{value}"),
        Err(found) if text.contains("Serverless") => format!("{found}\n{}", found.message()),
        Err(found) => found.to_string(),
    });
}

const PREAMBLE: &str = "
Parameters:
  Stage: {Type: String, Default: dev}
  Size: {Type: Number, Default: '010'}
  Names: {Type: CommaDelimitedList, Default: 'a, b,c'}
Mappings:
  Sizes:
    dev: {Memory: 128, Zones: [x, y]}
    prod: {Memory: 1024}
Conditions:
  IsDev: !Equals [!Ref Stage, dev]
  IsProd: !Not [!Condition IsDev]
Resources:
  Queue: {Type: 'AWS::SQS::Queue'}
  Later: {Type: 'AWS::SQS::Queue'}
  Subject:
    Type: Test::Thing
    Properties:
      Value: ";

#[test]
fn values_of_functions() {
    cases("values.txt", |text| {
        let template = format!("{PREAMBLE}{}", text.replace('\n', "\n        "));
        match resolve(&template) {
            Ok(value) => {
                value["Resources"]["Subject"]["Properties"].get("Value").map_or("absent".into(), Value::to_string)
            }
            Err(found) => found.first().message.clone(),
        }
    });
}

#[test]
fn parameters_are_bound_and_checked() {
    let texts = |value: Result<BTreeMap<String, Bound>, Diagnostics>| match value {
        Ok(bound) => format!("{:?}", bound["P"].value),
        Err(found) => found.first().message.clone(),
    };
    let run = |declaration: &str, value: Option<&str>, previous: Option<&str>| {
        let root = parse(&format!("Parameters: {{P: {declaration}}}\nResources: {{A: {{Type: T}}}}")).unwrap();
        let template = match Template::from_node(&root) {
            Ok(template) => template,
            Err(found) => return found.first().message.clone(),
        };
        let given: Vec<Given> = value
            .map(|v| Given { key: "P".into(), value: Some(v.into()), use_previous: v == "(previous)" })
            .into_iter()
            .collect();
        let previous = previous.map(|p| ("P".to_owned(), p.to_owned())).into_iter().collect();
        texts(bind(&template.parameters, &given, &previous))
    };
    let table: &[(&str, Option<&str>, Option<&str>, &str)] = &[
        ("{Type: String}", Some("x"), None, r#"Text("x")"#),
        ("{Type: String}", None, None, "Parameters: [P] must have values"),
        ("{Type: String, Default: 2012-10-17}", None, None, r#"Text("2012-10-17")"#),
        ("{Type: String, Default: ''}", None, None, r#"Text("")"#),
        ("{Type: String, Default: d}", None, Some("old"), r#"Text("d")"#),
        ("{Type: String, Default: d}", Some("(previous)"), Some("old"), r#"Text("old")"#),
        ("{Type: String}", Some("(previous)"), None, "Parameters: [P] must have values"),
        ("{Type: Number, MinValue: 2}", Some("1"), None, "Parameter 'P' must be a number not less than 2"),
        ("{Type: Number, MaxValue: 2}", Some("2.5"), None, "Parameter 'P' must be a number not greater than 2"),
        ("{Type: Number}", Some("x"), None, "Parameter 'P' must be a number."),
        ("{Type: Number}", Some("0010"), None, r#"Text("0010")"#),
        ("{Type: String, AllowedValues: [true, no]}", Some("no"), None, r#"Text("no")"#),
        ("{Type: String, AllowedValues: [a]}", Some("b"), None, "Parameter 'P' must be one of AllowedValues"),
        ("{Type: String, AllowedPattern: '[a-z]+'}", Some("aB"), None, "Parameter 'P' must match pattern [a-z]+"),
        (
            "{Type: String, AllowedPattern: '[a-z]+', ConstraintDescription: be small}",
            Some("aB"),
            None,
            "Parameter P failed to satisfy constraint: be small",
        ),
        ("{Type: String, MinLength: 2}", Some("é"), None, "Parameter 'P' must contain at least 2 characters"),
        ("{Type: String, MaxLength: 1}", Some("ab"), None, "Parameter 'P' must contain at most 1 characters"),
        ("{Type: CommaDelimitedList}", Some("a, b"), None, r#"List(["a", "b"])"#),
        ("{Type: CommaDelimitedList}", Some(""), None, "List([])"),
        ("{Type: List<Number>}", Some("1,x"), None, "Parameter 'P' must be a number."),
        ("{Type: Strin}", None, None, "Template format error: Unrecognized parameter type: Strin"),
        ("{Default: x}", None, None, "Template format error: Every Parameters object must contain a Type member."),
        ("{Type: String, Foo: x}", None, None, "Invalid template parameter property 'Foo'"),
    ];
    for (declaration, value, previous, expected) in table {
        assert_eq!(run(declaration, *value, *previous), *expected, "{declaration} {value:?}");
    }
    let unknown = [Given { key: "Q".into(), value: Some("1".into()), use_previous: false }];
    let error = bind(&[], &unknown, &BTreeMap::new()).unwrap_err();
    assert_eq!(error.first().message, "Parameters: [Q] do not exist in the template");
}

#[test]
fn aliases_cannot_multiply_without_bound() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    let error = parse(&text).unwrap_err();
    assert!(error.message.contains("too many values"), "{error}");
    let deep = "[".repeat(5000);
    assert!(parse(&deep).is_err());
    assert!(parse(&format!("{{\"a\": {deep}")).is_err());
    assert!(parse(&" ".repeat(limits::TEMPLATE_BYTES_MAX + 1)).unwrap_err().message.contains("at most"));
}

#[test]
fn counts_are_bounded() {
    let many = |section: &str, count: usize, member: &str| {
        let members: String = (0..count).map(|i| format!("  A{i}: {member}\n")).collect();
        format!("{section}:\n{members}")
    };
    let one = "Resources: {A: {Type: T}}\n";
    for (text, expected) in [
        (many("Resources", 501, "{Type: T}"), "Number of resources, 501, is greater than maximum allowed, 500"),
        (one.to_owned() + &many("Parameters", 201, "{Type: String, Default: x}"), "Number of parameters, 201"),
        (one.to_owned() + &many("Outputs", 201, "{Value: x}"), "Number of outputs, 201"),
    ] {
        let error = resolve(&text).unwrap_err();
        assert!(error.first().message.contains(expected), "{error}");
    }
    assert!(resolve(&many("Resources", 500, "{Type: T}")).is_ok());
}

mod never_panics {
    use super::*;
    use proptest::prelude::*;

    /// Pieces that templates are made of, so that chance gets past the first line.
    fn piece() -> impl Strategy<Value = String> {
        let words = [
            "Resources:\n",
            "  A:\n",
            "    Type: AWS::SQS::Queue\n",
            "    Properties:\n",
            "      X: ",
            "!Ref A",
            "!Sub '${A.Arn}${",
            "!GetAtt A.Arn",
            "!Join [',', [a, ",
            "!If [C, 1, 2]",
            "Fn::Select: [0, []]",
            "Parameters:\n",
            "Outputs: ",
            "&a ",
            "*a ",
            "{",
            "}",
            "[",
            "]",
            ": ",
            "\n",
            "  ",
            "- ",
            "|\n",
            "'",
            "\"",
            "\\",
            "#",
            "---\n",
            "!!binary ",
            "<<: ",
            "\t",
            "\u{feff}",
            "Transform: AWS::Serverless-2016-10-31\n",
            "AWS::Serverless::Function",
            "Globals:\n",
            "Events: ",
            "? ",
            "é",
            "{\"a\":",
            "Conditions: {C: !Equals [1, 1]}\n",
            "Mappings: {M: {a: {b: 1}}}\n",
            "!FindInMap [M, a, b]",
        ];
        prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn on_pieces(pieces in prop::collection::vec(piece(), 0..40)) {
            let _ = resolve(&pieces.concat());
        }

        #[test]
        fn on_texts(text in "\\PC{0,200}") {
            let _ = resolve(&text);
            let _ = resolve(&format!("{{{text}"));
        }

        #[test]
        fn on_broken_templates(at in 0usize..4000, len in 0usize..60, put in piece()) {
            for file in ["queues.yaml", "sam.yaml"] {
                let text = std::fs::read_to_string(data().join(file)).unwrap();
                let start = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
                let end = (start + len).min(text.len());
                let end = (end..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap();
                let _ = resolve(&format!("{}{put}{}", &text[..start], &text[end..]));
            }
        }
    }
}
