//! Evaluation by `jsonata-core`, whose values live within one call.

use std::cell::Cell;

use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::{Context, Evaluator, EvaluatorError, EvaluatorOptions};
use jsonata_core::parser;
use jsonata_core::value::JValue;
use serde_json::Value;

use super::{JsonataEnv, JsonataError, VariableUse};
use crate::path::SyntaxError;

pub(super) struct Program {
    ast: AstNode,
}

/// How deep brackets may nest.
const NESTING_MAX: usize = 200;
const TIME_MS_MAX: u64 = 1000;

impl Program {
    pub(super) fn parse(text: &str) -> Result<Program, SyntaxError> {
        let mut depth = 0usize;
        for (offset, c) in text.bytes().enumerate() {
            match c {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > NESTING_MAX {
                return Err(SyntaxError { message: "The expression nests too deep".into(), offset });
            }
        }
        let ast = parser::parse(text).map_err(|e| SyntaxError { message: e.to_string(), offset: 0 })?;
        Ok(Program { ast })
    }

    pub(super) fn evaluate(
        &self,
        variables: &[VariableUse],
        env: &mut JsonataEnv<'_>,
    ) -> Result<Option<Value>, JsonataError> {
        let options = EvaluatorOptions {
            timeout_ms: Some(TIME_MS_MAX),
            max_stack_depth: Some(env.limits.depth_max),
            max_sequence_length: Some(env.limits.range_length_max),
            cancel: None,
        };
        let mut context = Context::new();
        for variable in variables {
            if &*variable.name == "states" {
                if let Some(states) = env.states {
                    context.bind("states".to_owned(), JValue::from(states.to_value()));
                }
            } else if let Some(value) = env.variables.get(&variable.name) {
                context.bind(variable.name.to_string(), JValue::from(value.clone()));
            }
        }
        let mut evaluator = Evaluator::with_options(context, options);
        override_chance_and_time(&mut evaluator, env).map_err(error)?;
        let value = evaluator.evaluate(&self.ast, &JValue::Undefined).map_err(error)?;
        if value.is_undefined() {
            return Ok(None);
        }
        Ok(Some(integers(Value::from(&value))))
    }
}

fn override_chance_and_time(evaluator: &mut Evaluator, env: &mut JsonataEnv<'_>) -> Result<(), EvaluatorError> {
    let (now, millis) = (env.now.to_rfc3339(), env.now.as_millis());
    let state = Cell::new((env.random)());
    let next = move || {
        state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let z = (state.get() ^ (state.get() >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    evaluator.register_fn_override("now", move |_: &[JValue]| Ok(JValue::from(now.clone())))?;
    evaluator.register_fn_override("millis", move |_: &[JValue]| Ok(JValue::from(millis)))?;
    evaluator.register_fn_override("random", move |_: &[JValue]| {
        Ok(JValue::from((next() >> 11) as f64 / (1u64 << 53) as f64))
    })?;
    evaluator.register_fn_override("eval", |_: &[JValue]| {
        Err(EvaluatorError::EvaluationError("T1006: Attempted to invoke a non-function".into()))
    })
}

/// Whole numbers as integers: 1, not 1.0.
fn integers(value: Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            Some(f) if f.fract() == 0.0 && f.abs() < 9_007_199_254_740_992.0 => Value::from(f as i64),
            _ => Value::Number(n),
        },
        Value::Array(items) => items.into_iter().map(integers).collect(),
        Value::Object(members) => members.into_iter().map(|(key, member)| (key, integers(member))).collect(),
        other => other,
    }
}

fn error(error: EvaluatorError) -> JsonataError {
    let message = error.message();
    match error.code() {
        Some(code) => {
            JsonataError { code: code.into(), message: message[code.len() + 1..].trim_start().to_owned(), offset: None }
        }
        None => JsonataError { code: "D3000".into(), message: message.to_owned(), offset: None },
    }
}
