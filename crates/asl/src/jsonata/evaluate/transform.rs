//! The transform operator: `|pattern|update,delete|`.

use std::rc::Rc;

use super::super::ast::Transform;
use super::super::convert;
use super::super::error::{Failure, Result};
use super::super::function::{Frame, Func};
use super::super::functions;
use super::super::value::{Made, Object, Val};
use super::{Evaluator, as_array};

impl<'a> Evaluator<'a, '_> {
    pub(super) fn apply_transform(
        &self,
        transform: &'a Transform,
        arguments: Vec<Val<'a>>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let subject = match arguments.into_iter().next().unwrap_or(Val::Undefined) {
            Val::Undefined => return Ok(Val::Undefined),
            subject @ (Val::Object(_) | Val::Array(_) | Val::Tuple(_)) => subject,
            other => return Err(Failure::new("T0410").index(1).value(&other)),
        };
        let clone = self.variable("clone", functions::find("clone"), frame)?;
        let Val::Function(clone) = clone else { return Err(Failure::new("T2013")) };
        let subject = match &clone {
            Func::Builtin(builtin) if builtin.name == "clone" => subject,
            clone => self.apply(&Val::Function(clone.clone()), vec![subject], &Val::Null, frame)?,
        };
        let generation = self.meter.next_generation();
        let copy = convert::copy(&self.meter, &subject, generation)?;
        let matches = match self.evaluate(&transform.pattern, &copy, frame)? {
            Val::Undefined => return Ok(copy),
            matches => as_array(&self.meter, matches)?,
        };
        for found in matches.iter() {
            self.update(transform, &found, generation, frame)?;
            self.delete(transform, &found, generation, frame)?;
        }
        // What was put in may itself be as deep as values go.
        convert::check_nesting(&copy)?;
        Ok(copy)
    }

    fn update(&self, transform: &'a Transform, found: &Val<'a>, generation: u64, frame: &Rc<Frame<'a>>) -> Result<()> {
        let update = match self.evaluate(&transform.update, found, frame)? {
            Val::Undefined => return Ok(()),
            Val::Object(update) => update,
            other => return Err(Failure::new("T2011").at(transform.update.offset).value(&other)),
        };
        let Some(made) = changeable(found, generation) else { return Ok(()) };
        for (key, value) in update.members() {
            // A copy, as the update may hold the object that it is put into.
            let value = convert::copy(&self.meter, &value, 0)?;
            made.insert(key, value)?;
        }
        Ok(())
    }

    fn delete(&self, transform: &'a Transform, found: &Val<'a>, generation: u64, frame: &Rc<Frame<'a>>) -> Result<()> {
        let Some(delete) = &transform.delete else { return Ok(()) };
        let keys = match self.evaluate(delete, found, frame)? {
            Val::Undefined => return Ok(()),
            keys => keys,
        };
        let list = as_array(&self.meter, keys.clone())?;
        for key in list.iter() {
            let Val::Text(key) = &key else {
                return Err(Failure::new("T2012").at(delete.offset).value(&keys));
            };
            if let Some(made) = changeable(found, generation) {
                self.meter.step(made.members().len() as u64 / 16)?;
                made.remove(key);
            }
        }
        Ok(())
    }
}

/// The object to change, if it is one of this copy; other data that the pattern finds stays as it is.
fn changeable<'v, 'a>(found: &'v Val<'a>, generation: u64) -> Option<&'v Made<'a>> {
    match found {
        Val::Object(Object::Made(made)) if made.generation() == generation => Some(made),
        Val::Tuple(tuple) => changeable(&tuple.context, generation),
        _ => None,
    }
}
