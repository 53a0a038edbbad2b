//! What one evaluation may still spend, and the values on their way out of memory.

use std::cell::{Cell, RefCell};

use super::JsonataLimits;
use super::error::{Code, Failure, Result};
use super::value::Val;

/// Counts steps, held memory and depth of one evaluation.
///
/// Steps, not a clock, so that the same expression on the same input ends in the same way on every machine.
pub(super) struct Meter<'a> {
    limits: JsonataLimits,
    steps: Cell<u64>,
    held_bytes: Cell<usize>,
    depth: Cell<usize>,
    generation: Cell<u64>,
    /// Closures may hold closures may hold closures ...: what a dropped one held waits here instead of being dropped
    /// in recursion.
    trash: RefCell<Vec<Val<'a>>>,
    draining: Cell<bool>,
}

/// What an element of an array counts as; with it and [`CHAR_BYTES`] the bound lies where AWS has it.
pub(super) const ELEMENT_BYTES: usize = 24;
/// What a character counts as.
pub(super) const CHAR_BYTES: usize = 2;
/// How many bytes are copied, compared or searched in one step.
const STEP_BYTES: usize = 64;

impl<'a> Meter<'a> {
    pub fn new(limits: JsonataLimits) -> Meter<'a> {
        Meter {
            limits,
            steps: Cell::new(limits.steps_max),
            held_bytes: Cell::new(0),
            depth: Cell::new(0),
            generation: Cell::new(0),
            trash: RefCell::new(Vec::new()),
            draining: Cell::new(false),
        }
    }

    pub fn limits(&self) -> &JsonataLimits {
        &self.limits
    }

    pub fn step(&self, count: u64) -> Result<()> {
        match self.steps.get().checked_sub(count) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => {
                self.steps.set(0);
                Err(Failure::bound(Code::Time))
            }
        }
    }

    /// Pays for going over `bytes` of text.
    pub fn step_bytes(&self, bytes: usize) -> Result<()> {
        self.step((bytes / STEP_BYTES) as u64)
    }

    pub fn hold(&self, bytes: usize) -> Result<()> {
        let held = self.held_bytes.get().saturating_add(bytes);
        if held > self.limits.memory_bytes_max {
            return Err(Failure::bound(Code::Memory));
        }
        self.held_bytes.set(held);
        Ok(())
    }

    pub fn release(&self, bytes: usize) {
        self.held_bytes.set(self.held_bytes.get().saturating_sub(bytes));
    }

    /// Enters one level of evaluation; [`Meter::leave`] must follow.
    pub fn enter(&self) -> Result<()> {
        self.step(1)?;
        let depth = self.depth.get() + 1;
        if depth > self.limits.depth_max {
            return Err(Failure::bound(Code::Depth));
        }
        self.depth.set(depth);
        Ok(())
    }

    pub fn leave(&self) {
        self.depth.set(self.depth.get() - 1);
    }

    /// A number for the objects of one copy, never 0.
    pub fn next_generation(&self) -> u64 {
        self.generation.set(self.generation.get() + 1);
        self.generation.get()
    }

    /// Drops values without recursion, however deep functions hold functions.
    pub fn discard(&self, values: impl Iterator<Item = Val<'a>>) {
        self.trash.borrow_mut().extend(values.filter(Val::is_shared));
        if self.draining.replace(true) {
            return;
        }
        loop {
            let Some(value) = self.trash.borrow_mut().pop() else { break };
            drop(value);
        }
        self.draining.set(false);
    }
}
