//! Functions as values, and the frames in which their variables live.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::ast;
use super::error::{Code, Failure, Result};
use super::evaluate::{Dialect, Evaluator};
use super::meter::Meter;
use super::regex::Regex;
use super::signature::Signature;
use super::value::{Text, Val};

/// How many frames may lie around each other. They follow the text, but partial application adds one each time.
const FRAMES_MAX: u32 = 1000;

/// What a captured frame counts as.
const FRAME_BYTES: usize = 64;

/// A function of the standard library.
pub(super) struct Builtin {
    pub name: &'static str,
    /// How many arguments it looks at: what higher-order functions give it.
    pub arity: usize,
    /// How many parameters it has.
    pub parameters: usize,
    pub signature: Signature,
    pub run: Run,
    pub only: Option<Dialect>,
}

impl Builtin {
    pub fn is_in(&self, dialect: Dialect) -> bool {
        self.only.is_none_or(|only| only == dialect)
    }
}

pub(super) type Run = for<'a, 'e> fn(&Evaluator<'a, 'e>, Arguments<'a>) -> Result<Val<'a>>;

/// What a function of the library gets.
pub(super) struct Arguments<'a> {
    pub values: std::vec::IntoIter<Val<'a>>,
    /// Where it was called, for `$eval`.
    pub frame: Rc<Frame<'a>>,
    pub input: Val<'a>,
}

impl<'a> Arguments<'a> {
    pub fn next(&mut self) -> Val<'a> {
        self.values.next().unwrap_or(Val::Undefined)
    }
}

impl fmt::Debug for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A function.
#[derive(Clone)]
pub(super) enum Func<'a> {
    Builtin(&'static Builtin),
    Regex(&'a Regex),
    Made(Rc<Made<'a>>),
}

/// A function that closes over something.
pub(super) struct Made<'a> {
    pub kind: MadeKind<'a>,
    meter: Rc<Meter<'a>>,
}

pub(super) enum MadeKind<'a> {
    Lambda(Lambda<'a>),
    /// A call left to whoever called the function that it ends.
    TailCall {
        call: &'a ast::Call,
        input: Val<'a>,
        frame: Rc<Frame<'a>>,
    },
    /// A function of the library, or a chain of two functions, with some arguments given.
    Partial {
        function: Func<'a>,
        arguments: Vec<Option<Val<'a>>>,
    },
    /// `f ~> g`
    Chain {
        first: Func<'a>,
        second: Func<'a>,
        frame: Rc<Frame<'a>>,
    },
    Transform {
        node: &'a ast::Transform,
        frame: Rc<Frame<'a>>,
        input: Val<'a>,
    },
    /// The `next` of a match.
    NextMatch {
        regex: &'a Regex,
        text: Text<'a>,
        from: usize,
    },
    /// Only while it is dropped.
    Gone,
}

pub(super) struct Lambda<'a> {
    pub node: &'a ast::Lambda,
    /// `None`: all of the node's, in order; otherwise those that are not yet given.
    pub parameters: Option<Vec<&'a str>>,
    pub input: Val<'a>,
    pub frame: Rc<Frame<'a>>,
}

impl<'a> Made<'a> {
    pub fn function(meter: &Rc<Meter<'a>>, kind: MadeKind<'a>) -> Func<'a> {
        Func::Made(Rc::new(Made { kind, meter: Rc::clone(meter) }))
    }
}

impl<'a> Drop for Made<'a> {
    fn drop(&mut self) {
        let held: Vec<Val<'a>> = match std::mem::replace(&mut self.kind, MadeKind::Gone) {
            MadeKind::Lambda(Lambda { input, .. })
            | MadeKind::TailCall { input, .. }
            | MadeKind::Transform { input, .. } => vec![input],
            MadeKind::Partial { function, arguments } => {
                arguments.into_iter().flatten().chain([Val::Function(function)]).collect()
            }
            MadeKind::Chain { first, second, .. } => vec![Val::Function(first), Val::Function(second)],
            MadeKind::NextMatch { .. } | MadeKind::Gone => return,
        };
        self.meter.discard(held.into_iter());
    }
}

impl<'a> Func<'a> {
    /// How many arguments it takes.
    pub fn arity(&self) -> usize {
        match self {
            Func::Builtin(builtin) => builtin.arity,
            Func::Regex(_) => 2,
            Func::Made(made) => match &made.kind {
                MadeKind::Lambda(lambda) => lambda.parameters().len(),
                MadeKind::Partial { arguments, function } => {
                    let given = arguments.iter().filter(|argument| argument.is_some()).count();
                    function.parameters().saturating_sub(given)
                }
                MadeKind::Chain { .. } | MadeKind::Transform { .. } => 1,
                MadeKind::TailCall { .. } | MadeKind::NextMatch { .. } | MadeKind::Gone => 0,
            },
        }
    }

    /// How many parameters partial application sees.
    pub fn parameters(&self) -> usize {
        match self {
            Func::Builtin(builtin) => builtin.parameters,
            other => other.arity(),
        }
    }

    pub fn is_same(&self, other: &Func<'a>) -> bool {
        match (self, other) {
            (Func::Builtin(a), Func::Builtin(b)) => std::ptr::eq(*a, *b),
            (Func::Regex(a), Func::Regex(b)) => std::ptr::eq(*a, *b),
            (Func::Made(a), Func::Made(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }

    pub fn tail_call(&self) -> Option<(&'a ast::Call, Val<'a>, Rc<Frame<'a>>)> {
        match self {
            Func::Made(made) => match &made.kind {
                MadeKind::TailCall { call, input, frame } => Some((call, input.clone(), Rc::clone(frame))),
                _ => None,
            },
            _ => None,
        }
    }
}

impl<'a> Lambda<'a> {
    pub fn parameters(&self) -> Vec<&'a str> {
        match &self.parameters {
            Some(parameters) => parameters.clone(),
            None => self.node.parameters.iter().map(|name| &**name).collect(),
        }
    }
}

/// What a frame or a tuple binds: a variable, or the input of a step for a `%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Name(&'a str),
    Label(usize),
}

/// The variables of one block or call.
pub(super) struct Frame<'a> {
    bindings: RefCell<Vec<(Key<'a>, Val<'a>)>>,
    parent: Option<Rc<Frame<'a>>>,
    frames: u32,
    captured: Cell<bool>,
    meter: Rc<Meter<'a>>,
}

impl<'a> Frame<'a> {
    pub fn root(meter: &Rc<Meter<'a>>) -> Rc<Frame<'a>> {
        Rc::new(Frame {
            bindings: RefCell::default(),
            parent: None,
            frames: 1,
            captured: Cell::new(false),
            meter: Rc::clone(meter),
        })
    }

    pub fn within(parent: &Rc<Frame<'a>>) -> Result<Rc<Frame<'a>>> {
        if parent.frames >= FRAMES_MAX {
            return Err(Failure::bound(Code::Depth));
        }
        Ok(Rc::new(Frame {
            bindings: RefCell::default(),
            parent: Some(Rc::clone(parent)),
            frames: parent.frames + 1,
            captured: Cell::new(false),
            meter: Rc::clone(&parent.meter),
        }))
    }

    pub fn bind(&self, key: Key<'a>, value: Val<'a>) {
        let mut bindings = self.bindings.borrow_mut();
        let replaced = match bindings.iter_mut().find(|(bound, _)| *bound == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                bindings.push((key, value));
                None
            }
        };
        // What was bound before may hold this frame: nothing may be borrowed while it is dropped.
        drop(bindings);
        drop(replaced);
    }

    /// The value and, where it is not bound here or around, the number of frames that were searched.
    pub fn lookup(&self, key: Key<'_>) -> std::result::Result<Val<'a>, u32> {
        let mut frame = self;
        loop {
            if let Some((_, value)) = frame.bindings.borrow().iter().find(|(bound, _)| *bound == key) {
                return Ok(value.clone());
            }
            match &frame.parent {
                Some(parent) => frame = parent,
                None => return Err(self.frames),
            }
        }
    }

    /// Whether this is the first closure over it. A closure that its frame binds is a circle, so captured frames are
    /// emptied when the evaluation ends.
    pub fn capture(&self) -> Result<bool> {
        if self.captured.get() {
            return Ok(false);
        }
        self.meter.hold(FRAME_BYTES)?;
        self.captured.set(true);
        Ok(true)
    }

    pub fn clear(&self) {
        let bindings = std::mem::take(&mut *self.bindings.borrow_mut());
        self.meter.discard(bindings.into_iter().map(|(_, value)| value));
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        if self.captured.get() {
            self.meter.release(FRAME_BYTES);
        }
        let bindings = std::mem::take(self.bindings.get_mut());
        if !bindings.is_empty() {
            self.meter.discard(bindings.into_iter().map(|(_, value)| value));
        }
    }
}
