//! What JSONata costs: `cargo run --release -p asl --example jsonata_bench`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use asl::{Jsonata, JsonataEnv, JsonataLimits, NO_VARIABLES, States};
use base::Timestamp;
use serde_json::{Value, json};

/// How long each figure is measured.
const MEASURED: Duration = Duration::from_millis(300);

fn main() {
    let small = json!({ "a": { "b": 42 }, "items": [{ "price": 2, "qty": 3 }, { "price": 5, "qty": 1 }] });
    let lines: Vec<Value> =
        (0..4000).map(|n| json!({ "id": n, "name": format!("line {n}"), "price": n % 7, "tags": ["x"] })).collect();
    let large = json!({ "a": { "b": 42 }, "lines": lines });
    println!("large input: {} KiB", large.to_string().len() / 1024);
    let long = "$states.input.lines[price > 3 and $contains(name, '1')].{ 'id': id, 'total': $round(price * 1.19, 2) }";
    for text in ["$states.input.a.b", "$states.input.a.b = 42 ? 'yes' : 'no'", long] {
        measure(&format!("compile  {text}"), || drop(black_box(Jsonata::parse(text))));
    }
    measure("large    (a copy of the input, by serde_json)", || drop(black_box(large.clone())));
    for (name, input, text) in [
        ("small", &small, "42"),
        ("small", &small, "$states.input.a.b"),
        ("large", &large, "$states.input.a.b"),
        ("small", &small, "$states.input.a.b = 42 ? 'yes' : 'no'"),
        ("small", &small, "$sum($states.input.items.(price * qty))"),
        ("small", &small, "{ 'sum': $states.input.a.b + 1, 'text': 'b is ' & $states.input.a.b }"),
        ("large", &large, "$states.input"),
        ("large", &large, "$count($states.input.lines)"),
        ("large", &large, "$states.input.lines[2000].name"),
        ("large", &large, "$sum($states.input.lines.price)"),
        ("large", &large, long),
        ("large", &large, "$map($states.input.lines, function($l, $i) { $l.name & ' ' & $i })"),
        ("large", &large, "$states.input.lines^(>price, id)[0].id"),
        ("large", &large, "$states.input.lines{ $string(price): $count(id) }"),
        ("large", &large, "$string($states.input)"),
        ("small", &small, "($f := function($n, $a) { $n = 0 ? $a : $f($n - 1, $a + $n) }; $f(10000, 0))"),
    ] {
        let expression = Jsonata::parse(text).expect("an expression");
        measure(&format!("{name}    {text}"), || drop(black_box(evaluate(&expression, input))));
    }
    let endless = Jsonata::parse("($f := function($x) { $f($x + 1) }; $f(1))").expect("an expression");
    let started = Instant::now();
    assert!(evaluate(&endless, &small).is_none());
    println!("{:>12}  until a loop without end is stopped", format!("{:.0?}", started.elapsed()));
}

fn evaluate(expression: &Jsonata, input: &Value) -> Option<Value> {
    let mut env = JsonataEnv {
        states: Some(States { input, context: &Value::Null, result: None, error_output: None }),
        variables: &NO_VARIABLES,
        now: Timestamp::from_millis(0),
        random: &mut || 1,
        limits: JsonataLimits::default(),
    };
    expression.evaluate(&mut env).ok().flatten()
}

fn measure(name: &str, run: impl Fn()) {
    run();
    let (mut count, started) = (0u32, Instant::now());
    while started.elapsed() < MEASURED {
        (0..10).for_each(|_| run());
        count += 10;
    }
    let each = started.elapsed() / count;
    println!("{:>12}  {name}", format!("{each:.2?}"));
}
