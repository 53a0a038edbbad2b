//! `Retry` and `Catch`.

use crate::ast::{Catcher, Jitter, Retrier};
use crate::json::Node;

use super::fields::{Fields, SECONDS_MAX};
use super::template::Reads;
use super::{Checker, assign};

/// AWS's limit of `MaxDelaySeconds`: 366 days.
const DELAY_SECONDS_MAX: u64 = 31_622_400;

pub(super) fn retriers(c: &mut Checker, state: &Fields<'_>) -> Vec<Retrier> {
    let entries = entries(c, state, "Retry");
    let last = entries.len().saturating_sub(1);
    let mut retriers = Vec::with_capacity(entries.len());
    for (i, fields) in entries.iter().enumerate() {
        fields.only(
            c,
            &[
                "BackoffRate",
                "Comment",
                "ErrorEquals",
                "IntervalSeconds",
                "JitterStrategy",
                "MaxAttempts",
                "MaxDelaySeconds",
            ],
        );
        fields.required(c, &["ErrorEquals"]);
        fields.string(c, "Comment");
        let interval_seconds = fields.integer(c, "IntervalSeconds", 0, SECONDS_MAX).unwrap_or(1);
        let max_delay_seconds = fields.integer(c, "MaxDelaySeconds", 1, DELAY_SECONDS_MAX);
        if let Some(max) = max_delay_seconds.filter(|max| (1..=interval_seconds).contains(max)) {
            let message = format!("MaxDelaySeconds must be greater than IntervalSeconds, but is {max}");
            let range = fields.get("MaxDelaySeconds").map_or(&fields.range, |node| &node.range);
            c.error(message, &fields.at("MaxDelaySeconds"), range);
        }
        retriers.push(Retrier {
            error_equals: error_equals(c, fields, i == last),
            interval_seconds,
            max_attempts: fields.integer(c, "MaxAttempts", 0, SECONDS_MAX).unwrap_or(3),
            backoff_rate: fields.float(c, "BackoffRate", 1.0, f64::MAX).unwrap_or(2.0),
            max_delay_seconds,
            jitter: fields
                .choice(c, "JitterStrategy", &[("NONE", Jitter::None), ("FULL", Jitter::Full)])
                .unwrap_or_default(),
        });
    }
    retriers
}

pub(super) fn catchers(c: &mut Checker, state: &Fields<'_>) -> Vec<Catcher> {
    let entries = entries(c, state, "Catch");
    let last = entries.len().saturating_sub(1);
    let mut catchers = Vec::with_capacity(entries.len());
    for (i, fields) in entries.iter().enumerate() {
        fields.only_by_language(c, &["Assign", "Comment", "ErrorEquals", "Next"], &["ResultPath"], &["Output"]);
        fields.required(c, &["ErrorEquals", "Next"]);
        fields.string(c, "Comment");
        let error_equals = error_equals(c, fields, i == last);
        let result_path = fields.result_path(c);
        let assign = assign::assign(c, fields, Reads::ERROR);
        let output = fields.template(c, "Output", Reads::ERROR);
        if let Some(next) = fields.string(c, "Next") {
            catchers.push(Catcher { error_equals, result_path, assign, output, next: next.into() });
        }
    }
    catchers
}

/// The entries of a list that may be empty or absent.
fn entries<'n>(c: &mut Checker, state: &Fields<'n>, name: &str) -> Vec<Fields<'n>> {
    if state.get(name).and_then(Node::as_items).is_some_and(<[Node]>::is_empty) {
        return Vec::new();
    }
    let list = state.list(c, name).unwrap_or_default();
    list.into_iter().filter_map(|(node, location)| state.inner(c, node, &location)).collect()
}

fn error_equals(c: &mut Checker, fields: &Fields<'_>, last: bool) -> Vec<String> {
    let Some(items) = fields.list(c, "ErrorEquals") else { return Vec::new() };
    let mut names = Vec::with_capacity(items.len());
    for (node, location) in &items {
        match node.as_str() {
            Some(name) => names.push(name.to_owned()),
            None => c.error("Expected value of type String", location, &node.range),
        }
    }
    if names.iter().any(|name| name == "States.ALL") && (names.len() > 1 || !last) {
        let range = fields.get("ErrorEquals").map_or(fields.range.clone(), |node| node.range.clone());
        c.error("States.ALL must appear alone and at end of list", &fields.at("ErrorEquals"), &range);
    }
    names
}
