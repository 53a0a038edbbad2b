//! Running a pattern.

use super::super::error::{Code, Failure, Result};
use super::super::meter::Meter;
use super::{Class, Instruction, Match, Regex, is_newline, is_word};

/// Instructions per step.
const STEP_INSTRUCTIONS: u32 = 16;

/// How many ways back one match may keep.
const STACK_MAX: usize = 1 << 20;

/// Nothing noted.
const NOWHERE: usize = usize::MAX;

pub(super) fn find(regex: &Regex, meter: &Meter<'_>, text: &str, from: usize) -> Result<Option<Match>> {
    let registers = (regex.groups + 1) * 2 + regex.marks;
    let mut matcher =
        Matcher { regex, meter, text, registers: vec![NOWHERE; registers], stack: Vec::new(), instructions: 0 };
    let mut start = from;
    loop {
        if let Some(Instruction::Char(c)) = regex.program.get(1)
            && !regex.ignore_case
        {
            let Some(ahead) = text.get(start..).and_then(|rest| rest.find(*c)) else { return Ok(None) };
            meter.step_bytes(ahead)?;
            start += ahead;
        }
        matcher.registers.fill(NOWHERE);
        if matcher.run(0, start)?.is_some() {
            return Ok(Some(matcher.found()));
        }
        match text.get(start..).and_then(|rest| rest.chars().next()) {
            Some(c) => start += c.len_utf8(),
            None => return Ok(None),
        }
    }
}

struct Matcher<'r, 'm> {
    regex: &'r Regex,
    meter: &'r Meter<'m>,
    text: &'r str,
    /// Starts and ends of the whole match and its groups, then the marks.
    registers: Vec<usize>,
    stack: Vec<Back>,
    instructions: u32,
}

/// What is undone, or tried instead, when a way fails.
enum Back {
    Try { instruction: usize, at: usize },
    Restore { register: usize, value: usize },
}

impl Matcher<'_, '_> {
    fn found(&self) -> Match {
        let range = |group: usize| match (self.registers[group * 2], self.registers[group * 2 + 1]) {
            (NOWHERE, _) | (_, NOWHERE) => None,
            (start, end) => Some(start..end),
        };
        Match { range: range(0).unwrap_or(0..0), groups: (1..=self.regex.groups).map(range).collect() }
    }

    /// Runs from `instruction` to its `Matched`. Where it fails, all is as before.
    fn run(&mut self, instruction: usize, at: usize) -> Result<Option<usize>> {
        let base = self.stack.len();
        let (mut instruction, mut at) = (instruction, at);
        loop {
            self.instructions += 1;
            if self.instructions.is_multiple_of(STEP_INSTRUCTIONS) {
                self.meter.step(1)?;
            }
            if matches!(self.regex.program[instruction], Instruction::Matched) {
                // What it noted stays noted and can be undone; its other ways are closed.
                let mut kept = base;
                for index in base..self.stack.len() {
                    if matches!(self.stack[index], Back::Restore { .. }) {
                        self.stack.swap(kept, index);
                        kept += 1;
                    }
                }
                self.stack.truncate(kept);
                return Ok(Some(at));
            }
            match self.step(instruction, at)? {
                Some(next) => (instruction, at) = next,
                None => match self.back(base) {
                    Some(next) => (instruction, at) = next,
                    None => return Ok(None),
                },
            }
        }
    }

    fn back(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.stack.len() > base {
            match self.stack.pop()? {
                Back::Try { instruction, at } => return Some((instruction, at)),
                Back::Restore { register, value } => self.registers[register] = value,
            }
        }
        None
    }

    fn push(&mut self, back: Back) -> Result<()> {
        if self.stack.len() >= STACK_MAX {
            return Err(Failure::bound(Code::Memory));
        }
        self.stack.push(back);
        Ok(())
    }

    fn set(&mut self, register: usize, value: usize) -> Result<()> {
        let old = std::mem::replace(&mut self.registers[register], value);
        self.push(Back::Restore { register, value: old })
    }

    /// One instruction: where it goes on, unless it fails here.
    fn step(&mut self, instruction: usize, at: usize) -> Result<Option<(usize, usize)>> {
        let regex = self.regex;
        let next = instruction + 1;
        let passed = |holds: bool| Ok(holds.then_some((next, at)));
        match &regex.program[instruction] {
            Instruction::Char(c) => Ok(self.consume(at, |found| self.same(found, *c)).map(|at| (next, at))),
            Instruction::Any => Ok(self.consume(at, |found| !is_newline(found)).map(|at| (next, at))),
            Instruction::Class(class) => {
                Ok(self.consume(at, |found| class.contains(found, regex.ignore_case)).map(|at| (next, at)))
            }
            Instruction::Start => passed(at == 0 || regex.multiline && self.before(at).is_some_and(is_newline)),
            Instruction::End => {
                passed(at == self.text.len() || regex.multiline && self.after(at).is_some_and(is_newline))
            }
            Instruction::WordBoundary { negated } => {
                let boundary = self.before(at).is_some_and(is_word) != self.after(at).is_some_and(is_word);
                passed(boundary != *negated)
            }
            Instruction::BackReference(group) => Ok(self.repeated(*group, at).map(|at| (next, at))),
            Instruction::Split { first, second } => {
                self.push(Back::Try { instruction: *second, at })?;
                Ok(Some((*first, at)))
            }
            Instruction::Jump(to) => Ok(Some((*to, at))),
            Instruction::Save(register) => {
                self.set(*register, at)?;
                Ok(Some((next, at)))
            }
            Instruction::Forget(first, last) => {
                for register in first * 2..=last * 2 + 1 {
                    if self.registers[register] != NOWHERE {
                        self.set(register, NOWHERE)?;
                    }
                }
                Ok(Some((next, at)))
            }
            Instruction::Mark(mark) => {
                self.set((regex.groups + 1) * 2 + mark, at)?;
                Ok(Some((next, at)))
            }
            Instruction::Progress(mark) => passed(self.registers[(regex.groups + 1) * 2 + mark] != at),
            Instruction::Look { behind, negated, end } => {
                let holds = self.look(next, at, *behind, *negated)?;
                Ok((holds != *negated).then_some((*end, at)))
            }
            Instruction::Matched => Ok(None),
        }
    }

    /// Whether the look-around holds; of one that must not hold, nothing stays noted.
    fn look(&mut self, instruction: usize, at: usize, behind: bool, negated: bool) -> Result<bool> {
        let base = self.stack.len();
        let mut start = at;
        loop {
            if let Some(end) = self.run(instruction, start)? {
                if !behind || end == at {
                    if negated {
                        while self.back(base).is_some() {}
                    }
                    return Ok(true);
                }
                while self.back(base).is_some() {}
            }
            match self.before(start) {
                Some(c) if behind => start -= c.len_utf8(),
                _ => return Ok(false),
            }
        }
    }

    fn consume(&self, at: usize, accepts: impl Fn(char) -> bool) -> Option<usize> {
        self.after(at).filter(|c| accepts(*c)).map(|c| at + c.len_utf8())
    }

    fn repeated(&self, group: usize, at: usize) -> Option<usize> {
        let (Some(&start), Some(&end)) = (self.registers.get(group * 2), self.registers.get(group * 2 + 1)) else {
            return Some(at);
        };
        if start == NOWHERE || end == NOWHERE || group > self.regex.groups {
            return Some(at);
        }
        self.text[start..end].chars().try_fold(at, |at, c| self.consume(at, |found| self.same(found, c)))
    }

    fn same(&self, a: char, b: char) -> bool {
        a == b || self.regex.ignore_case && fold(a) == fold(b)
    }

    fn before(&self, at: usize) -> Option<char> {
        self.text[..at].chars().next_back()
    }

    fn after(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }
}

/// Upper case, where that is one character and does not turn a letter into an ASCII one.
fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None) if !upper.is_ascii() => upper,
        _ => c,
    }
}

impl Class {
    fn contains(&self, c: char, ignore_case: bool) -> bool {
        let inside = |c: char| {
            self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&c))
                || self.shorthands.iter().any(|shorthand| is_shorthand(*shorthand, c))
        };
        let lower = || c.to_lowercase().next().is_some_and(inside);
        let found = inside(c) || ignore_case && (inside(fold(c)) || lower());
        found != self.negated
    }
}

fn is_shorthand(shorthand: char, c: char) -> bool {
    let found = match shorthand.to_ascii_lowercase() {
        'd' => c.is_ascii_digit(),
        'w' => is_word(c),
        _ => c.is_whitespace() && c != '\u{85}' || c == '\u{feff}',
    };
    found != shorthand.is_ascii_uppercase()
}
