//! No expression hangs, fills the memory or overflows the stack; no text makes the engine panic.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use asl::{Jsonata, JsonataEnv, JsonataError, JsonataLimits, States, Variables};
use base::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

/// What a thread of the server has left for an expression, at the least. Tokio's have 2 MiB.
const STACK_BYTES: usize = if cfg!(debug_assertions) { 1536 << 10 } else { 768 << 10 };

fn evaluate(text: &str, limits: JsonataLimits) -> Result<Option<Value>, JsonataError> {
    let input =
        json!({ "a": [{ "b": [1, 2, { "c": "x" }] }, { "b": 3 }], "s": "one two", "n": 2.5, "t": true, "z": null });
    let mut variables = Variables::default();
    variables.assign("v".into(), Arc::new(json!([{ "k": 1 }, { "k": "x" }])));
    let mut random = 1u64;
    Jsonata::compile(text)?.evaluate(&mut JsonataEnv {
        states: Some(States { input: &input, context: &input, result: Some(&input), error_output: None }),
        variables: &variables,
        now: Timestamp::from_millis(1_700_000_000_000),
        random: &mut || {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            random
        },
        limits,
    })
}

/// Runs where there is as little stack as the server guarantees.
fn on_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).expect("a thread").join().expect("no overflow")
}

/// Expressions that no bound stops early: each must meet one.
const HOSTILE: &[&str] = &[
    // time
    "($f := function($x) { $f($x + 1) }; $f(1))",
    "($even := function($n) { $odd($n) }; $odd := function($n) { $even($n) }; $even(1))",
    "$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /(a+)+$/)",
    "$contains('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', /(a|a)*(a|a)*b/)",
    "$match($pad('', 200000, 'a'), /(?<=a.*)b/)",
    "($x := $reduce([1..60], function($a, $b) { [[$a, $a]] }, 1); $y := $reduce([1..60], function($a, $b) { [[$a, $a]] }, 1); $x = $y)",
    "[1..800000].($states.input.a[[1..800000]])",
    "$sort([1..200000], function($a, $b) { $count($filter([1..100], function($x) { $x > $a })) > 0 })",
    "$distinct([1..800000])",
    "$map([1..800000], function($x) { $map([1..800000], function($y) { $y }) })",
    // memory
    "$pad('x', 10000000000)",
    "$pad('x', -10000000000, 'abc')",
    "$reduce([1..64], function($a, $b) { $a & $a }, 'x')",
    "$reduce([1..64], function($a, $b) { $append($a, $a) }, [1])",
    "$reduce([1..64], function($a, $b) { $replace($a, 'x', 'xx') }, 'x')",
    "$reduce([1..64], function($a, $b) { $replace($a, /x/, 'xx') }, 'x')",
    "$reduce([1..64], function($a, $b) { $join([$a, $a]) }, 'x')",
    "$string($reduce([1..64], function($a, $b) { { 'a': $a, 'b': $a } }, 1))",
    "$reduce([1..64], function($a, $b) { { 'a': $a, 'b': $a } }, 1)",
    "$reduce([1..64], function($a, $b) { [[$a, $a]] }, 1)",
    "$clone($reduce([1..64], function($a, $b) { { 'a': $a, 'b': $a } }, 1))",
    "$count($reduce([1..64], function($a, $b) { { 'a': $a, 'b': $a } }, 1).**)",
    "[1..873783]",
    "[1..9000000]",
    "$range(1, 9000000, 1)",
    "$range(1, 1e12, 1)",
    "$count([1..800000].[1..800000])",
    "$split($pad('', 4000000, 'x'), '')",
    "$zip([1..800000], [1..800000], [1..800000])",
    "$shuffle([1..800000])",
    // depth
    "($f := function($n) { 1 + $f($n) }; $f(1))",
    "($f := function($n) { $n = 0 ? 0 : 1 + $f($n - 1) }; $f(32))",
    "$reduce([1..100000], function($a, $b) { [[$a]] }, 1)",
    "$reduce([1..100000], function($a, $b) { { 'x': $a } }, 1)",
    "($c := function($f, $n) { $n = 0 ? $f : $c($f ~> $uppercase, $n - 1) }; 1 + $c($lowercase, 10000)('x'))",
    "($c := function($f, $n) { $n = 0 ? $f : $c(function($x) { 1 + $f($x) }, $n - 1) }; $c(function($x) { $x }, 10000)(1))",
    "($c := function($f, $n) { $n = 0 ? $f : $c($f(?), $n - 1) }; $c(function($x) { $x }, 10000)(1))",
    "($o := { 'a': 1 }; $reduce([1..1000], function($x, $n) { $x ~> |**|{ 'o': $$ }| ~> |$|{ 'self': $ }| }, $o))",
];

#[test]
fn every_hostile_expression_meets_a_bound() {
    for text in HOSTILE {
        let limits = JsonataLimits { steps_max: 1_000_000, ..JsonataLimits::default() };
        let error = on_small_stack(move || evaluate(text, limits));
        let error = error.map(|value| value.map(|value| value.to_string().len())).expect_err(text);
        assert_eq!(&*error.code, "", "{text}: {error}");
    }
    // A length that is known beforehand has a code.
    for text in ["[1..1000000000]", "[-9007199254740991..9007199254740991]"] {
        assert_eq!(&*evaluate(text, JsonataLimits::default()).expect_err(text).code, "D2014", "{text}");
    }
}

#[test]
fn the_bounds_lie_where_aws_has_them() {
    let repeat = |open: &str, inner: &str, close: &str, n: usize| open.repeat(n) + inner + &close.repeat(n);
    let recursion = |n: usize| format!("($f := function($x) {{ $x <= 0 ? 0 : 1 + $f($x - 1) }}; $f({n}))");
    let doubling =
        |n: usize| format!("($p := function($s, $n) {{ $n = 0 ? $s : $p($s & $s, $n - 1) }}; $length($p('x', {n})))");
    for (accepted, refused) in [
        (repeat("", "1", "+1", 99), repeat("", "1", "+1", 100)),
        (repeat("(", "1", ")", 99), repeat("(", "1", ")", 100)),
        (repeat("[", "1", "]", 99), repeat("[", "1", "]", 100)),
        (repeat("", "1", " ~> $string", 99), repeat("", "1", " ~> $string", 100)),
        (recursion(31), recursion(32)),
        ("[1..873782] ~> $count()".to_owned(), "[1..873783] ~> $count()".to_owned()),
        (doubling(22), doubling(23)),
    ] {
        let (yes, no) = (accepted.clone(), refused.clone());
        on_small_stack(move || evaluate(&yes, JsonataLimits::default())).expect(&accepted);
        let error = on_small_stack(move || evaluate(&no, JsonataLimits::default())).expect_err(&refused);
        assert_eq!(&*error.code, "", "{error}");
    }
    let message = |text: &str| evaluate(text, JsonataLimits::default()).expect_err(text).message;
    assert_eq!(message("[1..900000]"), "Expression evaluation memory limit exceeded: Check for excessive memory usage");
    assert_eq!(
        message(&recursion(40)),
        "Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive."
    );
}

/// Each level in the way that needs the most stack.
#[test]
fn a_hundred_levels_of_anything_fit_the_stack() {
    let around =
        |before: &str, after: &str, levels: usize| before.repeat(levels) + "$states.input.a" + &after.repeat(levels);
    for (before, after, levels) in [
        ("$map(", ", function($x) { $x })", 90),
        ("(function($x) { $x.", "})($states.input)", 20),
        ("$states.input.a[", " = 1]", 30),
        ("{ 'k': ", " }", 90),
        ("$states.input.a.{ 'k': ", " }", 40),
        ("$states.input.a{ 'k': ", " }", 40),
        ("$states.input.a^(", ")", 30),
        ("$states.input.a@$i.(", ")", 25),
        ("$sort(", ", function($l, $r) { $l > $r })", 80),
        ("($states.input ~> |a|{ 'x': ", "}|)", 30),
        ("-", "", 90),
        ("true ? ", " : 1", 90),
        ("$replace('a', /a/, function($m) { $string(", ") })", 25),
    ] {
        let text = around(before, after, levels);
        let limits = JsonataLimits { steps_max: 200_000, ..JsonataLimits::default() };
        on_small_stack(move || drop(evaluate(&text, limits)));
    }
}

/// A value as deep as one can be, in everything that walks one, at the end of a deep recursion.
#[test]
fn a_deep_value_fits_the_stack() {
    let array = "$reduce([1..490], function($a, $b) { [[$a]] }, 1)";
    let object = "$reduce([1..490], function($a, $b) { { 'k': $a } }, 1)";
    for made in [array, object] {
        for walk in [
            "$count(x.**)",
            "$string(x)",
            "x = y",
            "$clone(x)",
            "x.k.k",
            "$spread(x)",
            "$keys(x)",
            "*.*",
            "$boolean(x)",
            "x ~> |**|{ 'n': 1 }|",
            "$sum(x)",
            "-x",
            "x",
            "$distinct([x, y])",
            "x{ $string(k): k }",
            "$error($string(x))",
        ] {
            let text = format!(
                "($x := {made}; $y := {made}; \
                 $f := function($n) {{ $n = 0 ? {{ 'x': $x, 'y': $y }}.({walk}) : [[$f($n - 1)]] }}; $f(20))"
            );
            Jsonata::parse(&text).expect(&text);
            on_small_stack(move || drop(evaluate(&text, JsonataLimits::default())));
        }
    }
}

#[test]
fn deep_texts_are_refused() {
    for (before, after) in [
        ("(", ")"),
        ("[", "]"),
        ("{'a':", "}"),
        ("-", ""),
        ("a[", "]"),
        ("a.", "a"),
        ("a+", "a"),
        ("|a|", "|"),
        ("$f(", ")"),
        ("function(){", "}"),
        ("a?", ":a"),
        ("$x:=", "1"),
        ("a^(", ")"),
        ("/(", "/"),
        ("a{'x':", "}"),
        ("%.", "%"),
        ("a??", "a"),
        ("a~>", "a"),
        ("a[0]", ""),
        ("a[]", ""),
        ("a@$x", ""),
        ("\"", "\""),
        ("<", ">"),
    ] {
        let text = before.repeat(10_000) + "a" + &after.repeat(10_000);
        on_small_stack(move || drop(Jsonata::parse(&text)));
        let left_deep = format!("a{}", format!("{after}{before}a").repeat(10_000));
        on_small_stack(move || drop(Jsonata::parse(&left_deep)));
    }
    for text in ["(".repeat(10_000), "[".repeat(10_000) + &"]".repeat(10_000), "a".to_owned() + &".a".repeat(10_000)] {
        on_small_stack(move || Jsonata::parse(&text).expect_err("too deep"));
    }
}

/// Circles of closures are taken apart when an evaluation ends; deep chains of them are dropped without recursion.
#[test]
fn closures_hold_nothing_back() {
    for text in [
        "($reduce([1..300000], function($f, $n) { function() { $f } }, 1); 1)",
        "($reduce([1..300000], function($a, $n) { ($l := function() { $deep }; $w := { 'l': $l }; $deep := $a; $w) }, 1); 1)",
        "($f := function($n) { ($g := function() { $g }; $n = 0 ? 1 : $f($n - 1)) }; $f(100000))",
        "($c := function($f, $n) { $n = 0 ? 1 : $c($map(?, $f), $n - 1) }; $c(function($x) { $x }, 300000))",
        "($c := function($f, $n) { $n = 0 ? 1 : $c($f ~> $f, $n - 1) }; $c($uppercase, 300000))",
        "($c := function($f, $n) { $n = 0 ? 1 : $c(|$|{ 'a': $f }|, $n - 1) }; $c(1, 300000))",
    ] {
        // Whether it meets a bound or not is of no interest here.
        on_small_stack(move || drop(evaluate(text, JsonataLimits::default())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_an_expression_or_none(text in "[$a-c0-9.,:;(){}\\[\\]\"'`/*+=<>!?@#%^&|~ \\\\-]{0,40}") {
        drop(evaluate(&text, small()));
    }

    #[test]
    fn any_expression_ends(text in expression()) {
        let text = text.replace("  ", " ");
        on_small_stack(move || drop(evaluate(&text, small())));
    }

    #[test]
    fn any_change_to_a_sound_expression_ends(
        pick in any::<proptest::sample::Index>(),
        other in any::<proptest::sample::Index>(),
        at in any::<proptest::sample::Index>(),
        length in 0usize..8,
    ) {
        let known = known_expressions();
        let (text, other) = (pick.get(known), other.get(known));
        let characters: Vec<char> = text.chars().collect();
        let start = at.index(characters.len() + 1);
        let end = (start + length).min(characters.len());
        let (before, inside, after) = (&characters[..start], &characters[start..end], &characters[end..]);
        for middle in ["", &inside.iter().rev().collect::<String>(), &inside.iter().collect::<String>().repeat(3), other] {
            let text = before.iter().collect::<String>() + middle + &after.iter().collect::<String>();
            on_small_stack(move || drop(evaluate(&text, small())));
        }
    }

    #[test]
    fn any_regular_expression_ends(pattern in "[ab.*+?|()\\[\\]{}^$\\\\dwsb1-3,:=!<-]{1,20}", text in "[abc0-9 ]{0,30}") {
        drop(evaluate(&format!("$match('{text}', /{pattern}/)"), small()));
        drop(evaluate(&format!("$replace('{text}', /{pattern}/i, '<$1$0$$>', 5)"), small()));
        drop(evaluate(&format!("$split('{text}', /{pattern}/)"), small()));
    }

    #[test]
    fn any_picture_is_one_or_none(picture in "[0-9#.,;%eAaIiWwo\\[\\]YMDdFWwXxHhPmsfZzCENnot*-]{0,15}", number in -1e9..1e9) {
        for text in [
            format!("$formatNumber({number}, '{picture}')"),
            format!("$formatInteger({number}, '{picture}')"),
            format!("$parseInteger('{number}', '{picture}')"),
            format!("$fromMillis({number}, '{picture}', '-0330')"),
            format!("$toMillis('{number}', '{picture}')"),
            format!("$toMillis($fromMillis({number}, '[{picture}]'), '[{picture}]')"),
        ] {
            drop(evaluate(&text, small()));
        }
    }
}

/// The expressions of `data/jsonata`, and of the official suite where there is one.
fn known_expressions() -> &'static [String] {
    static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jsonata");
        let files = std::fs::read_dir(folder).expect("data/jsonata").map(|entry| entry.expect("an entry").path());
        let suite = std::env::var_os("STEPWELL_JSONATA_SUITE").map(|folder| Path::new(&folder).join("cases.json"));
        let mut expressions = Vec::new();
        for file in files.chain(suite) {
            let text = std::fs::read_to_string(&file).expect("a data file").replace("\\ud800", "");
            let file: Value = serde_json::from_str(&text).expect("JSON");
            let cases = file.get("cases").unwrap_or(&file).as_array().expect("cases");
            expressions.extend(cases.iter().map(|case| case["expr"].as_str().expect("expr").to_owned()));
        }
        expressions.sort();
        expressions
    });
    &KNOWN
}

fn small() -> JsonataLimits {
    JsonataLimits { steps_max: 20_000, ..JsonataLimits::default() }
}

/// Expressions of the whole grammar, most of them without sense.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("$states.input.a".to_owned()),
        Just("$states.input".to_owned()),
        Just("$v".to_owned()),
        Just("$".to_owned()),
        Just("b".to_owned()),
        Just("*".to_owned()),
        Just("**".to_owned()),
        Just("'one two'".to_owned()),
        Just("/o(.)/".to_owned()),
        Just("null".to_owned()),
        Just("%".to_owned()),
        Just("?".to_owned()),
        "-?[0-9]{1,3}(\\.[0-9])?".prop_map(|number| number),
        proptest::sample::select(FUNCTIONS).prop_map(|name| format!("${name}")),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let operator = proptest::sample::select(OPERATORS);
        let call = (proptest::sample::select(FUNCTIONS), proptest::collection::vec(inner.clone(), 0..4));
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
            call.prop_map(|(name, arguments)| format!("${name}({})", arguments.join(", "))),
            pair.clone().prop_map(|(a, b)| format!("{a}[{b}]")),
            pair.clone().prop_map(|(a, b)| format!("{a}.({b})")),
            pair.clone().prop_map(|(a, b)| format!("{a}{{ 'k': {b}, $string($): {a} }}")),
            pair.clone().prop_map(|(a, b)| format!("{a}^(>{b})")),
            pair.clone().prop_map(|(a, b)| format!("{a}@$x#$i.{{ 'x': $x, 'i': $i, 'b': {b} }}")),
            pair.clone().prop_map(|(a, b)| format!("({a} ~> |{b}|{{ 'n': $ }}, ['b']|)")),
            pair.clone().prop_map(|(a, b)| format!("($x := {a}; $f := function($x, $y) {{ {b} }}; $f($x, {a}))")),
            pair.prop_map(|(a, b)| format!("({a} ? {b})")),
            inner.clone().prop_map(|a| format!("[{a}, {a}]")),
            inner.clone().prop_map(|a| format!("{a}[]")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("[1..{a}]")),
            inner.prop_map(|a| format!("function($x) {{ {a} }}")),
        ]
    })
}

const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "%", "=", "!=", "<", "<=", ">", ">=", "and", "or", "in", "&", ".", "~>", "?:", "??"];

const FUNCTIONS: &[&str] = &[
    "abs",
    "append",
    "assert",
    "average",
    "base64decode",
    "base64encode",
    "boolean",
    "ceil",
    "clone",
    "contains",
    "count",
    "decodeUrl",
    "distinct",
    "each",
    "encodeUrl",
    "error",
    "eval",
    "exists",
    "filter",
    "floor",
    "formatBase",
    "formatInteger",
    "formatNumber",
    "fromMillis",
    "hash",
    "join",
    "keys",
    "length",
    "lookup",
    "lowercase",
    "map",
    "match",
    "max",
    "merge",
    "millis",
    "min",
    "not",
    "now",
    "number",
    "pad",
    "parse",
    "parseInteger",
    "partition",
    "power",
    "random",
    "range",
    "reduce",
    "replace",
    "reverse",
    "round",
    "shuffle",
    "sift",
    "single",
    "sort",
    "split",
    "spread",
    "sqrt",
    "string",
    "substring",
    "substringAfter",
    "substringBefore",
    "sum",
    "toMillis",
    "trim",
    "type",
    "uppercase",
    "uuid",
    "zip",
];
