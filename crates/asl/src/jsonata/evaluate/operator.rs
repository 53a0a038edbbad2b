//! Operators, truth and equality.

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::ast::{Node, Operator};
use super::super::convert;
use super::super::error::{Code, Failure, Result};
use super::super::function::Frame;
use super::super::meter::Meter;
use super::super::number::Number;
use super::super::value::{Array, NESTING_MAX, Object, TextBuilder, Val};
use super::{Evaluator, as_array};

impl<'a> Evaluator<'a, '_> {
    pub(super) fn binary(
        &self,
        offset: usize,
        operator: Operator,
        left: &'a Node,
        right: &'a Node,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let left = self.evaluate(left, input, frame)?;
        if matches!(operator, Operator::And | Operator::Or) {
            let decides = boolean(&self.meter, &left)? == (operator == Operator::Or);
            if decides {
                return Ok(Val::Bool(operator == Operator::Or));
            }
            let right = self.evaluate(right, input, frame)?;
            return boolean(&self.meter, &right).map(Val::Bool);
        }
        let right = self.evaluate(right, input, frame)?;
        self.operate(operator, &left, &right).map_err(|failure| failure.or_at(offset, Some(operator.as_str())))
    }

    fn operate(&self, operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
        match operator {
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                arithmetic(operator, left, right)
            }
            Operator::Equal | Operator::NotEqual => {
                if left.is_undefined() || right.is_undefined() {
                    return Ok(Val::Bool(false));
                }
                let equal = deep_equal(&self.meter, left, right)?;
                Ok(Val::Bool(equal == (operator == Operator::Equal)))
            }
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                compare(operator, left, right)
            }
            Operator::Concatenate => {
                let mut text = TextBuilder::new(&self.meter);
                for value in [left, right] {
                    if !value.is_undefined() {
                        convert::write_text(&mut text, value, false)?;
                    }
                }
                Ok(text.finish())
            }
            Operator::In => self.includes(left, right),
            Operator::Range => self.range(left, right),
            Operator::And | Operator::Or => Ok(Val::Undefined),
        }
    }

    fn includes(&self, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
        if left.is_undefined() || right.is_undefined() {
            return Ok(Val::Bool(false));
        }
        let items = as_array(&self.meter, right.clone())?;
        self.meter.step(items.len() as u64 / 8)?;
        // Arrays and objects are in it only as themselves, as in the reference.
        let found = items.iter().any(|item| match (left, &item) {
            (Val::Text(left), Val::Text(item)) => left == item,
            (Val::Number(left), Val::Number(item)) => left == item,
            (Val::Bool(left), Val::Bool(item)) => left == item,
            (Val::Null, Val::Null) => true,
            (Val::Array(left), Val::Array(item)) => left.is_same(item),
            (Val::Object(left), Val::Object(item)) => left.is_same(item),
            _ => false,
        });
        Ok(Val::Bool(found))
    }

    fn range(&self, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
        let bound = |value: &Val<'a>, code| match value {
            Val::Undefined => Ok(None),
            Val::Number(number) => match number.as_integer() {
                Some(integer) => Ok(Some(integer)),
                None => Err(Failure::new(code).value(value)),
            },
            other => Err(Failure::new(code).value(other)),
        };
        let (Some(start), Some(end)) = (bound(left, "T2003")?, bound(right, "T2004")?) else {
            return Ok(Val::Undefined);
        };
        if start > end {
            return Ok(Val::Undefined);
        }
        let length = i128::from(end) - i128::from(start) + 1;
        match usize::try_from(length) {
            Ok(length) if length <= self.meter.limits().range_length_max => {
                Array::range(&self.meter, start, length).map(Val::Array)
            }
            _ => Err(Failure::new("D2014").value(&Val::from(length as f64))),
        }
    }

    pub(super) fn negate(
        &self,
        offset: usize,
        inner: &'a Node,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let value = self.evaluate(inner, input, frame)?;
        if value.is_undefined() {
            return Ok(value);
        }
        match value.as_numeric().map_err(|failure| failure.or_at(offset, Some("-")))? {
            Some(number) => Ok(negative(number)),
            None => Err(Failure::new("D1002").at(offset).token("-").value(&value)),
        }
    }
}

fn negative<'a>(number: Number) -> Val<'a> {
    match number {
        Number::Int(int) => {
            int.checked_neg().map_or_else(|| Val::from(-(int as f64)), |int| Val::Number(Number::Int(int)))
        }
        Number::Float(float) => Val::from(-float),
    }
}

fn arithmetic<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
    let operand = |value: &Val<'a>, code| match value {
        Val::Undefined => Ok(None),
        value => match value.as_numeric()? {
            Some(number) => Ok(Some(number.as_f64())),
            None => Err(Failure::new(code).value(value)),
        },
    };
    let (left, right) = (operand(left, "T2001")?, operand(right, "T2002")?);
    let (Some(left), Some(right)) = (left, right) else { return Ok(Val::Undefined) };
    Ok(Val::from(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => left % right,
    }))
}

fn compare<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>> {
    for side in [left, right] {
        if !matches!(side, Val::Undefined | Val::Number(_) | Val::Text(_)) {
            return Err(Failure::new("T2010").value(side));
        }
    }
    if left.is_undefined() || right.is_undefined() {
        return Ok(Val::Undefined);
    }
    let Some(order) = order(left, right) else {
        return Err(Failure::new("T2009").value(left).value2(right));
    };
    Ok(Val::Bool(match (operator, order) {
        (_, None) => false,
        (Operator::Less, Some(order)) => order.is_lt(),
        (Operator::LessOrEqual, Some(order)) => order.is_le(),
        (Operator::Greater, Some(order)) => order.is_gt(),
        (_, Some(order)) => order.is_ge(),
    }))
}

/// How two numbers or two texts stand to each other; `None` if they are not two of a kind, `Some(None)` for NaN.
pub(in super::super) fn order(left: &Val<'_>, right: &Val<'_>) -> Option<Option<Ordering>> {
    match (left, right) {
        (Val::Number(left), Val::Number(right)) => Some(left.partial_cmp(right)),
        (Val::Text(left), Val::Text(right)) => Some(Some(order_texts(left, right))),
        _ => None,
    }
}

/// By UTF-16 units, as ECMAScript compares.
fn order_texts(left: &str, right: &str) -> Ordering {
    let common = left.bytes().zip(right.bytes()).take_while(|(a, b)| a == b).count();
    let start = (0..=common).rev().find(|at| left.is_char_boundary(*at) && right.is_char_boundary(*at)).unwrap_or(0);
    left[start..].encode_utf16().cmp(right[start..].encode_utf16())
}

/// What `$boolean` says; nothing is false.
pub(in super::super) fn boolean(meter: &Meter<'_>, value: &Val<'_>) -> Result<bool> {
    Ok(match value {
        Val::Undefined | Val::Null | Val::Function(_) => false,
        Val::Bool(value) => *value,
        Val::Number(_) => value.as_numeric()?.is_some_and(|number| number.as_f64() != 0.0),
        Val::Text(text) => !text.is_empty(),
        Val::Object(object) => object.len() > 0,
        Val::Tuple(_) => true,
        Val::Array(array) => {
            meter.step(1 + array.len() as u64 / 16)?;
            for item in array.iter() {
                if boolean(meter, &item)? {
                    return Ok(true);
                }
            }
            false
        }
    })
}

/// What ECMAScript takes for true.
pub(in super::super) fn truthy(value: &Val<'_>) -> bool {
    match value {
        Val::Undefined | Val::Null => false,
        Val::Bool(value) => *value,
        Val::Number(number) => number.as_f64() != 0.0 && !number.as_f64().is_nan(),
        Val::Text(text) => !text.is_empty(),
        _ => true,
    }
}

/// Equality of values.
pub(in super::super) fn deep_equal<'a>(meter: &Meter<'a>, left: &Val<'a>, right: &Val<'a>) -> Result<bool> {
    equal_within(meter, left, right, 0)
}

fn equal_within<'a>(meter: &Meter<'a>, left: &Val<'a>, right: &Val<'a>, depth: u32) -> Result<bool> {
    // Shared parts are compared each time they are met, so every comparison is paid for.
    meter.step(1)?;
    if depth > 2 * NESTING_MAX {
        return Err(Failure::bound(Code::Depth));
    }
    match (left, right) {
        (Val::Undefined, Val::Undefined) | (Val::Null, Val::Null) => Ok(true),
        (Val::Bool(left), Val::Bool(right)) => Ok(left == right),
        (Val::Number(left), Val::Number(right)) => Ok(left == right),
        (Val::Text(left), Val::Text(right)) => {
            meter.step_bytes(left.len().min(right.len()))?;
            Ok(**left == **right)
        }
        (Val::Array(left), Val::Array(right)) => {
            if left.is_same(right) {
                return Ok(true);
            }
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right.iter()) {
                if !equal_within(meter, &left, &right, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Val::Object(left), Val::Object(right)) => equal_objects(meter, left, right, depth),
        (Val::Tuple(left), Val::Tuple(right)) => equal_within(meter, &left.context, &right.context, depth + 1),
        (Val::Function(left), Val::Function(right)) => Ok(left.is_same(right)),
        _ => Ok(false),
    }
}

fn equal_objects<'a>(meter: &Meter<'a>, left: &Object<'a>, right: &Object<'a>, depth: u32) -> Result<bool> {
    if left.is_same(right) {
        return Ok(true);
    }
    if left.len() != right.len() {
        return Ok(false);
    }
    for (key, value) in left.members() {
        let other = right.get(&key);
        if other.is_undefined() || !equal_within(meter, &value, &other, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}
