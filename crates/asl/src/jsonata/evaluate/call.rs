//! Calling functions.

use std::rc::Rc;

use super::super::ast::{self, Kind, Node};
use super::super::error::{Failure, Result};
use super::super::function::{Arguments, Builtin, Frame, Func, Key, Lambda, Made, MadeKind};
use super::super::functions;
use super::super::value::{Text, Val};
use super::super::{convert, regex::Regex};
use super::{Evaluator, truthy};

impl<'a> Evaluator<'a, '_> {
    /// `f(...)`, with `first` in front of the arguments if it stands to the right of `~>`.
    pub(super) fn call(
        &self,
        call: &'a ast::Call,
        offset: usize,
        first: Option<Val<'a>>,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let function = self.evaluate(&call.procedure, input, frame)?;
        self.check_name(&function, &call.procedure, offset, frame, "T1005")?;
        let mut arguments = Vec::with_capacity(call.arguments.len() + 1);
        arguments.extend(first);
        for argument in &call.arguments {
            arguments.push(self.evaluate(argument, input, frame)?);
        }
        self.apply(&function, arguments, input, frame)
            .map_err(|failure| failure.or_at(offset, call.procedure.called_name()))
    }

    /// `sum(x)` for `$sum(x)` gets a hint.
    fn check_name(
        &self,
        function: &Val<'a>,
        procedure: &'a Node,
        offset: usize,
        frame: &Rc<Frame<'a>>,
        code: &'static str,
    ) -> Result<()> {
        if function.is_undefined()
            && matches!(procedure.kind, Kind::Path { .. })
            && let Some(name) = procedure.called_name()
            && truthy(&self.variable(name, functions::find(name), frame)?)
        {
            return Err(Failure::new(code).at(offset).token(name));
        }
        Ok(())
    }

    /// Applies a function, and whatever call it ends in.
    pub fn apply(
        &self,
        function: &Val<'a>,
        arguments: Vec<Val<'a>>,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let mut result = self.apply_once(function, arguments, input, frame)?;
        while let Val::Function(made) = &result
            && let Some((call, tail_input, tail_frame)) = made.tail_call()
        {
            self.meter.step(1)?;
            let next = self.evaluate(&call.procedure, &tail_input, &tail_frame)?;
            self.check_name(&next, &call.procedure, call.procedure.offset, &tail_frame, "T1005")?;
            let mut arguments = Vec::with_capacity(call.arguments.len());
            for argument in &call.arguments {
                arguments.push(self.evaluate(argument, &tail_input, &tail_frame)?);
            }
            result = self
                .apply_once(&next, arguments, input, frame)
                .map_err(|failure| failure.or_at(call.procedure.offset, call.procedure.called_name()))?;
        }
        Ok(result)
    }

    /// Calls a function that was given to a function: without a context.
    pub fn call_back(&self, function: &Val<'a>, arguments: Vec<Val<'a>>, frame: &Rc<Frame<'a>>) -> Result<Val<'a>> {
        self.meter.step(1)?;
        self.apply(function, arguments, &Val::Null, frame)
    }

    fn apply_once(
        &self,
        function: &Val<'a>,
        arguments: Vec<Val<'a>>,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        match function {
            Val::Function(Func::Builtin(builtin)) => self.apply_builtin(builtin, arguments, input, frame),
            Val::Function(Func::Regex(regex)) => self.apply_regex(regex, arguments),
            Val::Function(Func::Made(made)) => match &made.kind {
                MadeKind::Lambda(lambda) => self.apply_lambda(lambda, arguments, input),
                MadeKind::Partial { function, arguments: given } => {
                    let function = Val::Function(function.clone());
                    self.nested(|| self.apply(&function, fill(given, arguments), &Val::Null, frame))
                }
                MadeKind::Chain { first, second, frame } => self.nested(|| {
                    let value = self.apply(&Val::Function(first.clone()), arguments, &Val::Null, frame)?;
                    self.apply(&Val::Function(second.clone()), vec![value], &Val::Null, frame)
                }),
                MadeKind::Transform { node, frame, .. } => self.apply_transform(node, arguments, frame),
                MadeKind::NextMatch { regex, text, from } => self.next_match(regex, text, *from),
                MadeKind::TailCall { .. } | MadeKind::Gone => Err(Failure::new("T1006")),
            },
            _ => Err(Failure::new("T1006")),
        }
    }

    /// One level of evaluation for a function that calls functions without evaluating a node.
    fn nested(&self, run: impl FnOnce() -> Result<Val<'a>>) -> Result<Val<'a>> {
        self.meter.enter()?;
        let result = run();
        self.meter.leave();
        result
    }

    fn apply_builtin(
        &self,
        builtin: &'static Builtin,
        arguments: Vec<Val<'a>>,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let named = |mut failure: Box<Failure>| {
            if failure.token.is_none() {
                failure.token = Some(builtin.name.into());
            }
            failure
        };
        let values = builtin.signature.validate(&self.meter, arguments, input).map_err(named)?;
        let arguments = Arguments { values: values.into_iter(), frame: Rc::clone(frame), input: input.clone() };
        (builtin.run)(self, arguments).map_err(named)
    }

    fn apply_lambda(&self, lambda: &Lambda<'a>, arguments: Vec<Val<'a>>, input: &Val<'a>) -> Result<Val<'a>> {
        let arguments = match (&lambda.node.signature, &lambda.parameters) {
            (Some(signature), None) => signature.validate(&self.meter, arguments, input)?,
            _ => arguments,
        };
        let frame = Frame::within(&lambda.frame)?;
        let mut arguments = arguments.into_iter();
        let mut bind = |name: &'a str| frame.bind(Key::Name(name), arguments.next().unwrap_or(Val::Undefined));
        match &lambda.parameters {
            Some(parameters) => parameters.iter().copied().for_each(&mut bind),
            None => lambda.node.parameters.iter().map(|name| &**name).for_each(&mut bind),
        }
        self.evaluate(&lambda.node.body, &lambda.input, &frame)
    }

    /// A regular expression as a function: the match as an object.
    fn apply_regex(&self, regex: &'a Regex, arguments: Vec<Val<'a>>) -> Result<Val<'a>> {
        let mut arguments = arguments.into_iter();
        match arguments.next() {
            Some(Val::Text(text)) => self.first_match(regex, &text),
            Some(Val::Undefined) | None => Ok(Val::Undefined),
            Some(other) => {
                let text = convert::to_text(&self.meter, &other)?;
                self.first_match(regex, &text)
            }
        }
    }

    fn first_match(&self, regex: &'a Regex, text: &Text<'a>) -> Result<Val<'a>> {
        match regex.find(&self.meter, text, 0)? {
            Some(found) => functions::match_object(self, regex, text, &found),
            None => Ok(Val::Undefined),
        }
    }

    fn next_match(&self, regex: &'a Regex, text: &Text<'a>, from: usize) -> Result<Val<'a>> {
        if from >= text.len() {
            return Ok(Val::Undefined);
        }
        match regex.find(&self.meter, text, from)? {
            Some(found) if found.range.is_empty() => Err(Failure::new("D1004").text(regex.source())),
            Some(found) => functions::match_object(self, regex, text, &found),
            None => Ok(Val::Undefined),
        }
    }

    /// `f(?, x)`
    pub(super) fn partial(
        &self,
        call: &'a ast::Call,
        offset: usize,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let mut given = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            given.push(match argument.kind {
                Kind::Placeholder => None,
                _ => Some(self.evaluate(argument, input, frame)?),
            });
        }
        let function = self.evaluate(&call.procedure, input, frame)?;
        self.check_name(&function, &call.procedure, offset, frame, "T1007")?;
        let Val::Function(function) = function else {
            let failure = Failure::new("T1008");
            return Err(failure.or_at(offset, call.procedure.called_name()));
        };
        let partial = match &function {
            Func::Made(made) => match &made.kind {
                MadeKind::Lambda(lambda) => MadeKind::Lambda(self.give(lambda, given)?),
                MadeKind::Partial { function, arguments } => {
                    let mut given = given.into_iter();
                    let slot = |slot: &Option<Val<'a>>| match slot {
                        Some(value) => Some(value.clone()),
                        None => given.next().unwrap_or(Some(Val::Undefined)),
                    };
                    MadeKind::Partial { function: function.clone(), arguments: arguments.iter().map(slot).collect() }
                }
                _ => MadeKind::Partial { function: function.clone(), arguments: padded(given, function.parameters()) },
            },
            _ => MadeKind::Partial { function: function.clone(), arguments: padded(given, function.parameters()) },
        };
        Ok(Val::Function(Made::function(&self.meter, partial)))
    }

    /// A lambda with some of its parameters bound.
    fn give(&self, lambda: &Lambda<'a>, given: Vec<Option<Val<'a>>>) -> Result<Lambda<'a>> {
        let frame = Frame::within(&lambda.frame)?;
        self.capture(&frame)?;
        let mut open = Vec::new();
        let mut given = given.into_iter();
        for name in lambda.parameters() {
            match given.next() {
                Some(None) => open.push(name),
                Some(Some(value)) => frame.bind(Key::Name(name), value),
                None => frame.bind(Key::Name(name), Val::Undefined),
            }
        }
        Ok(Lambda { node: lambda.node, parameters: Some(open), input: lambda.input.clone(), frame })
    }

    /// `left ~> right`
    pub(super) fn apply_operator(
        &self,
        offset: usize,
        left: &'a Node,
        right: &'a Node,
        input: &Val<'a>,
        frame: &Rc<Frame<'a>>,
    ) -> Result<Val<'a>> {
        let value = self.evaluate(left, input, frame)?;
        if let Kind::Function(call) = &right.kind {
            let value = self.call(call, right.offset, Some(value), input, frame)?;
            return if right.extra.is_some() { self.evaluate_extra(right, value, frame) } else { Ok(value) };
        }
        let function = self.evaluate(right, input, frame)?;
        let Val::Function(second) = &function else {
            return Err(Failure::new("T2006").at(offset).value(&function));
        };
        if let Val::Function(first) = value {
            self.capture(frame)?;
            let kind = MadeKind::Chain { first, second: second.clone(), frame: Rc::clone(frame) };
            return Ok(Val::Function(Made::function(&self.meter, kind)));
        }
        self.apply(&function, vec![value], &Val::Null, frame).map_err(|failure| failure.or_at(offset, None))
    }
}

/// The open slots filled from the left.
fn fill<'a>(given: &[Option<Val<'a>>], arguments: Vec<Val<'a>>) -> Vec<Val<'a>> {
    let mut arguments = arguments.into_iter();
    let mut filled: Vec<Val<'a>> =
        given.iter().map(|slot| slot.clone().or_else(|| arguments.next()).unwrap_or(Val::Undefined)).collect();
    // What was never given counts as left out, not as given and empty.
    while matches!(filled.last(), Some(Val::Undefined)) {
        filled.pop();
    }
    filled
}

fn padded<'a>(mut given: Vec<Option<Val<'a>>>, parameters: usize) -> Vec<Option<Val<'a>>> {
    given.resize(parameters.max(given.len()), Some(Val::Undefined));
    given
}
