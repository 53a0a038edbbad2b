//! Where AWS's dialect and RFC 9535 mean the same, an independent implementation must find the same.

use asl::Path;
use proptest::prelude::*;
use serde_json::Value;

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), (0i64..5).prop_map(Value::from), "[a-c]".prop_map(Value::from)];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec(("[a-c]", inner), 0..4).prop_map(|members| members.into_iter().collect::<Value>()),
        ]
    })
}

/// Names, indexes, wildcards, slices, unions of indexes, each perhaps after `..`.
fn path() -> impl Strategy<Value = String> {
    let bound = || prop::option::of(-4i64..5).prop_map(|n| n.map(|n| n.to_string()).unwrap_or_default());
    let step = prop_oneof![Just(String::new()), (1i64..3).prop_map(|n| format!(":{n}")), Just(":-1".to_owned())];
    let bracket = prop_oneof![
        "[a-c]".prop_map(|name| format!("['{name}']")),
        (-3i64..4).prop_map(|index| format!("[{index}]")),
        Just("[*]".to_owned()),
        (bound(), bound(), step).prop_map(|(start, end, step)| format!("[{start}:{end}{step}]")),
        (-3i64..4, -3i64..4).prop_map(|(a, b)| format!("[{a},{b}]")),
    ];
    let dotted = prop_oneof!["[a-c]".prop_map(|name| format!(".{name}")), Just(".*".to_owned())];
    let segment = prop_oneof![
        dotted.clone(),
        bracket.clone(),
        dotted.prop_map(|segment| format!(".{segment}")),
        bracket.prop_map(|segment| format!("..{segment}")),
    ];
    prop::collection::vec(segment, 0..5).prop_map(|segments| format!("${}", segments.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_common_subset_agrees(document in document(), path in path()) {
        let theirs = serde_json_path::JsonPath::parse(&path).expect("a path of RFC 9535").query(&document).all();
        let ours = Path::parse(&path).expect("a path of AWS");
        let found = ours.evaluate(asl::Scene::new(&document, &Value::Null)).ok();
        if ours.is_definite() {
            prop_assert_eq!(found.as_deref(), theirs.first().copied(), "{}", path);
        } else {
            let found = found.expect("an indefinite path gives an array");
            let found: Vec<&Value> = found.as_array().expect("an array").iter().collect();
            prop_assert_eq!(found, theirs, "{}", path);
        }
    }
}
