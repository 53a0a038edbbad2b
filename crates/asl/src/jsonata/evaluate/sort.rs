//! Order-by.

use std::rc::Rc;

use super::super::ast::{Node, Term};
use super::super::error::{Failure, Result};
use super::super::function::Frame;
use super::super::value::{Array, Flags, List, Val};
use super::Evaluator;
use super::operator::order;
use super::path::tuple_frame;

/// An element and the values of the terms, as far as they were needed.
struct Keyed<'a> {
    item: Val<'a>,
    keys: Vec<Val<'a>>,
}

impl<'a> Evaluator<'a, '_> {
    pub(super) fn sort_by(&self, terms: &'a [Term], array: Array<'a>, frame: &Rc<Frame<'a>>) -> Result<Array<'a>> {
        if array.len() <= 1 {
            return Ok(array);
        }
        let keyed = array.iter().map(|item| Keyed { item, keys: Vec::new() }).collect();
        let sorted = merge_sort(keyed, &mut |left: &mut Keyed<'a>, right: &mut Keyed<'a>| {
            self.meter.step(1)?;
            for (index, term) in terms.iter().enumerate() {
                self.key(left, index, &term.expression, frame)?;
                self.key(right, index, &term.expression, frame)?;
                let (left, right) = (&left.keys[index], &right.keys[index]);
                let after = match (left, right) {
                    (Val::Undefined, Val::Undefined) => continue,
                    // What has no value comes last, in either direction.
                    (Val::Undefined, _) => return Ok(true),
                    (_, Val::Undefined) => return Ok(false),
                    _ => self.ordered(left, right)?,
                };
                if after.is_eq() {
                    continue;
                }
                return Ok(after.is_gt() != term.descending);
            }
            Ok(false)
        })?;
        Ok(List::of(&self.meter, sorted.into_iter().map(|keyed| keyed.item))?.into_array(Flags::default()))
    }

    fn key(&self, keyed: &mut Keyed<'a>, index: usize, expression: &'a Node, frame: &Rc<Frame<'a>>) -> Result<()> {
        if keyed.keys.len() > index {
            return Ok(());
        }
        let key = match &keyed.item {
            Val::Tuple(tuple) => self.evaluate(expression, &tuple.context, &tuple_frame(tuple, frame)?)?,
            item => self.evaluate(expression, item, frame)?,
        };
        keyed.keys.push(key);
        Ok(())
    }

    fn ordered(&self, left: &Val<'a>, right: &Val<'a>) -> Result<std::cmp::Ordering> {
        for side in [left, right] {
            if !matches!(side, Val::Number(_) | Val::Text(_)) {
                return Err(Failure::new("T2008").value(side));
            }
        }
        match order(left, right) {
            Some(order) => Ok(order.unwrap_or(std::cmp::Ordering::Greater)),
            None => Err(Failure::new("T2007").value(left).value2(right)),
        }
    }
}

/// Stable; `swap(a, b)` says that `b` comes before `a`. Both may be changed, to remember what was computed.
pub(in super::super) fn merge_sort<T>(
    items: Vec<T>,
    swap: &mut impl FnMut(&mut T, &mut T) -> Result<bool>,
) -> Result<Vec<T>> {
    if items.len() <= 1 {
        return Ok(items);
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let (left, right) = (merge_sort(left, swap)?, merge_sort(right, swap)?);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek_mut(), right.peek_mut()) {
        let next = if swap(a, b)? { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}
