//! Signatures of functions: `<s-nn?:s>`.

use super::error::{Failure, Result};
use super::meter::Meter;
use super::value::{Flags, List, Val};
use std::rc::Rc;

/// What a function takes.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, Default)]
struct Parameter {
    /// Symbols that it accepts, `m` (missing) always among them unless it is a function.
    accepts: Vec<u8>,
    /// `a`: what is no array becomes one.
    array: bool,
    subtype: Option<Vec<u8>>,
    optional: bool,
    many: bool,
    /// Taken from the context if absent.
    context: bool,
    kind: u8,
}

impl Signature {
    /// Parses `<...>`. The offset of an error counts from its start.
    pub fn parse(text: &str) -> Result<Signature> {
        let bytes = text.as_bytes();
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut at = 1;
        while at < bytes.len() && bytes[at] != b':' {
            match bytes[at] {
                kind @ (b's' | b'n' | b'b' | b'l' | b'o') => parameters.push(Parameter::new(&[kind], kind)),
                b'a' => parameters.push(Parameter { array: true, ..Parameter::new(b"asnblfo", b'a') }),
                b'f' => parameters.push(Parameter { accepts: vec![b'f'], kind: b'f', ..Parameter::default() }),
                b'j' => parameters.push(Parameter::new(b"asnblo", b'j')),
                b'x' => parameters.push(Parameter::new(b"asnblfo", b'x')),
                b'(' => {
                    let end = closing(bytes, at, b'(', b')');
                    let choice = &bytes[at + 1..end];
                    if choice.contains(&b'<') {
                        return Err(Failure::new("S0402").at(at));
                    }
                    parameters.push(Parameter::new(choice, b'('));
                    at = end;
                }
                b'<' => match parameters.last_mut() {
                    Some(parameter) if matches!(parameter.kind, b'a' | b'f') => {
                        let end = closing(bytes, at, b'<', b'>');
                        parameter.subtype = Some(bytes[at + 1..end].to_vec());
                        at = end;
                    }
                    _ => return Err(Failure::new("S0401").at(at)),
                },
                mark @ (b'-' | b'?' | b'+') => {
                    if let Some(parameter) = parameters.last_mut() {
                        match mark {
                            b'-' => (parameter.context, parameter.optional) = (true, true),
                            b'?' => parameter.optional = true,
                            _ => parameter.many = true,
                        }
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Ok(Signature { parameters })
    }

    /// The arguments as the function gets them: the context put in, single values made arrays.
    pub fn validate<'a>(
        &self,
        meter: &Rc<Meter<'a>>,
        arguments: Vec<Val<'a>>,
        context: &Val<'a>,
    ) -> Result<Vec<Val<'a>>> {
        let symbols: Vec<u8> = arguments.iter().map(symbol).collect();
        let Some(counts) = self.assign(&symbols) else { return Err(self.mismatch(&symbols, &arguments)) };
        let mut arguments = arguments.into_iter();
        let mut validated = Vec::with_capacity(self.parameters.len());
        let mut index = 0;
        for (parameter, count) in self.parameters.iter().zip(counts) {
            if count == 0 {
                if !parameter.context {
                    validated.push(arguments.next().unwrap_or(Val::Undefined));
                    index += 1;
                } else if parameter.accepts.contains(&symbol(context)) {
                    validated.push(context.clone());
                } else {
                    return Err(Failure::new("T0411").value(context).index(index + 1));
                }
                continue;
            }
            for _ in 0..count {
                let argument = arguments.next().unwrap_or(Val::Undefined);
                validated.push(parameter.fit(meter, argument, index)?);
                index += 1;
            }
        }
        Ok(validated)
    }

    /// How many arguments each parameter takes, as many as it can from the left.
    fn assign(&self, symbols: &[u8]) -> Option<Vec<usize>> {
        let mut counts = Vec::with_capacity(self.parameters.len());
        // Wide signatures are short and calls shorter, so trying is cheap; the number of tries is bounded for the
        // signatures that an expression writes itself.
        let mut tries = 0;
        self.assign_from(symbols, 0, true, &mut counts, &mut tries).then_some(counts)
    }

    fn assign_from(&self, symbols: &[u8], at: usize, whole: bool, counts: &mut Vec<usize>, tries: &mut usize) -> bool {
        *tries += 1;
        let Some(parameter) = self.parameters.get(counts.len()) else { return !whole || at == symbols.len() };
        let rest = &symbols[at.min(symbols.len())..];
        let available = rest.iter().take_while(|symbol| parameter.accepts.contains(symbol)).count();
        let most = if parameter.many { available } else { available.min(1) };
        let least = usize::from(!parameter.optional);
        for count in (least..=most).rev() {
            counts.push(count);
            if self.assign_from(symbols, at + count, whole, counts, tries) {
                return true;
            }
            counts.pop();
            if *tries > 10_000 {
                return false;
            }
        }
        false
    }

    /// Which argument is wrong: the first that the parameters so far do not reach.
    fn mismatch(&self, symbols: &[u8], arguments: &[Val<'_>]) -> Box<Failure> {
        let mut good = 0;
        for length in 1..=self.parameters.len() {
            let prefix = Signature { parameters: self.parameters[..length].to_vec() };
            let mut counts = Vec::new();
            if !prefix.assign_from(symbols, 0, false, &mut counts, &mut 0) {
                break;
            }
            good = counts.iter().sum();
        }
        let failure = Failure::new("T0410").index(good + 1);
        match arguments.get(good) {
            Some(argument) => failure.value(argument),
            None => failure,
        }
    }
}

impl Parameter {
    fn new(accepts: &[u8], kind: u8) -> Parameter {
        let mut accepts = accepts.to_vec();
        accepts.push(b'm');
        Parameter { accepts, kind, ..Parameter::default() }
    }

    fn fit<'a>(&self, meter: &Rc<Meter<'a>>, argument: Val<'a>, index: usize) -> Result<Val<'a>> {
        if !self.array || argument.is_undefined() {
            return Ok(argument);
        }
        if let Some(subtype) = &self.subtype
            && !self.holds(meter, subtype, &argument)?
        {
            let plural = match subtype.first() {
                Some(b'a') => "arrays",
                Some(b'b') => "booleans",
                Some(b'f') => "functions",
                Some(b'n') => "numbers",
                Some(b'o') => "objects",
                Some(b's') => "strings",
                _ => "undefined",
            };
            return Err(Failure::new("T0412").value(&argument).index(index + 1).element_type(plural));
        }
        match argument {
            Val::Array(_) => Ok(argument),
            single => Ok(List::of(meter, [single])?.into_value(Flags::default())),
        }
    }

    /// Whether it is an array of the subtype, or one such.
    fn holds(&self, meter: &Rc<Meter<'_>>, subtype: &[u8], argument: &Val<'_>) -> Result<bool> {
        let Val::Array(array) = argument else { return Ok(subtype == [symbol(argument)]) };
        meter.step(array.len() as u64 / 16)?;
        Ok(array.iter().all(|item| Some(&symbol(&item)) == subtype.first()))
    }
}

fn symbol(value: &Val<'_>) -> u8 {
    match value {
        Val::Function(_) => b'f',
        Val::Text(_) => b's',
        Val::Number(_) => b'n',
        Val::Bool(_) => b'b',
        Val::Null => b'l',
        Val::Array(_) => b'a',
        Val::Object(_) | Val::Tuple(_) => b'o',
        Val::Undefined => b'm',
    }
}

/// Where the bracket at `start` is closed, or the end.
fn closing(bytes: &[u8], start: usize, open: u8, close: u8) -> usize {
    let mut depth = 0usize;
    for (index, byte) in bytes.iter().enumerate().skip(start) {
        if *byte == open {
            depth += 1;
        } else if *byte == close {
            depth -= 1;
            if depth == 0 {
                return index;
            }
        }
    }
    bytes.len()
}
