//! Pattern text to a program.

use std::iter::Peekable;
use std::str::Chars;

use super::super::error::{Failure, Result};
use super::{Class, Instruction};

/// How deep groups may nest.
const NESTING_MAX: usize = 50;

/// How long a program may be; counted repetitions are unrolled.
const PROGRAM_MAX: usize = 20_000;

/// The program, how many groups it has, how many marks.
pub(super) fn compile(source: &str) -> Result<(Vec<Instruction>, usize, usize)> {
    let invalid = |reason: &str| Failure::new("S0303").token(&format!("/{source}/: {reason}"));
    let mut parser = Parser { rest: source.chars().peekable(), nesting: 0, names: Vec::new() };
    let tree = parser.alternatives().map_err(invalid)?;
    if parser.rest.peek().is_some() {
        return Err(invalid("Unmatched ')'"));
    }
    let mut compiler = Compiler { program: vec![Instruction::Save(0)], marks: 0, names: &parser.names };
    compiler.node(&tree).map_err(invalid)?;
    compiler.program.push(Instruction::Save(1));
    compiler.program.push(Instruction::Matched);
    Ok((compiler.program, parser.names.len(), compiler.marks))
}

enum Tree {
    One(Instruction),
    Named(String),
    Sequence(Vec<Tree>),
    Alternatives(Vec<Tree>),
    Group(usize, Box<Tree>),
    Look { behind: bool, negated: bool, inner: Box<Tree> },
    Repeat { inner: Box<Tree>, min: usize, max: Option<usize>, greedy: bool, groups: (usize, usize) },
}

type Parsed<T> = std::result::Result<T, &'static str>;

struct Parser<'s> {
    rest: Peekable<Chars<'s>>,
    nesting: usize,
    /// Of the groups so far.
    names: Vec<Option<String>>,
}

impl Parser<'_> {
    fn take(&mut self, expected: char) -> bool {
        self.rest.next_if_eq(&expected).is_some()
    }

    fn alternatives(&mut self) -> Parsed<Tree> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err("Groups nest too deep");
        }
        let mut alternatives = vec![self.sequence()?];
        while self.take('|') {
            alternatives.push(self.sequence()?);
        }
        self.nesting -= 1;
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Tree::Alternatives(alternatives) })
    }

    fn sequence(&mut self) -> Parsed<Tree> {
        let mut items = Vec::new();
        while !matches!(self.rest.peek(), None | Some('|' | ')')) {
            let first = self.names.len() + 1;
            let item = self.atom()?;
            let last = self.names.len();
            items.push(self.repeat(item, (first, last))?);
        }
        Ok(Tree::Sequence(items))
    }

    fn repeat(&mut self, inner: Tree, groups: (usize, usize)) -> Parsed<Tree> {
        let (min, max) = match self.rest.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => match self.counts() {
                Some(counts) => counts,
                None => return Ok(inner),
            },
            _ => return Ok(inner),
        };
        self.rest.next();
        if max.is_some_and(|max| max < min) {
            return Err("numbers out of order in {} quantifier");
        }
        if matches!(inner, Tree::Look { behind: true, .. })
            || matches!(inner, Tree::One(Instruction::Start | Instruction::End | Instruction::WordBoundary { .. }))
        {
            return Err("Nothing to repeat");
        }
        let greedy = !self.take('?');
        Ok(Tree::Repeat { inner: Box::new(inner), min, max, greedy, groups })
    }

    /// `{n}`, `{n,}`, `{n,m}`, up to the closing brace; anything else is the character `{`.
    fn counts(&mut self) -> Option<(usize, Option<usize>)> {
        let mut ahead = self.rest.clone();
        ahead.next();
        let number = |ahead: &mut Peekable<Chars<'_>>| {
            let mut digits = String::new();
            while let Some(digit) = ahead.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            (!digits.is_empty()).then(|| digits.parse::<usize>().unwrap_or(PROGRAM_MAX + 1).min(PROGRAM_MAX + 1))
        };
        let min = number(&mut ahead)?;
        let max = if ahead.next_if_eq(&',').is_some() { number(&mut ahead) } else { Some(min) };
        if ahead.peek() != Some(&'}') {
            return None;
        }
        self.rest = ahead;
        Some((min, max))
    }

    fn atom(&mut self) -> Parsed<Tree> {
        Ok(match self.rest.next().ok_or("Unexpected end")? {
            '^' => Tree::One(Instruction::Start),
            '$' => Tree::One(Instruction::End),
            '.' => Tree::One(Instruction::Any),
            '(' => self.group()?,
            '[' => Tree::One(Instruction::Class(Box::new(self.class()?))),
            '\\' => self.escape()?,
            '*' | '+' | '?' => return Err("Nothing to repeat"),
            c => Tree::One(Instruction::Char(c)),
        })
    }

    fn group(&mut self) -> Parsed<Tree> {
        let mut ahead = self.rest.clone();
        let kind = (ahead.next(), ahead.next(), ahead.next());
        let (skip, behind, negated) = match kind {
            (Some('?'), Some(':'), _) => {
                self.rest.nth(1);
                let inner = self.alternatives()?;
                return self.close(inner);
            }
            (Some('?'), Some('='), _) => (1, false, false),
            (Some('?'), Some('!'), _) => (1, false, true),
            (Some('?'), Some('<'), Some('=')) => (2, true, false),
            (Some('?'), Some('<'), Some('!')) => (2, true, true),
            (Some('?'), Some('<'), _) => {
                self.rest.nth(1);
                let name = self.name()?;
                return self.capture(Some(name));
            }
            (Some('?'), ..) => return Err("Invalid group"),
            _ => return self.capture(None),
        };
        self.rest.nth(skip);
        let inner = self.alternatives()?;
        self.close(Tree::Look { behind, negated, inner: Box::new(inner) })
    }

    fn capture(&mut self, name: Option<String>) -> Parsed<Tree> {
        self.names.push(name);
        let number = self.names.len();
        let inner = self.alternatives()?;
        self.close(Tree::Group(number, Box::new(inner)))
    }

    fn close(&mut self, tree: Tree) -> Parsed<Tree> {
        if self.take(')') { Ok(tree) } else { Err("Unterminated group") }
    }

    /// Up to `>`.
    fn name(&mut self) -> Parsed<String> {
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some('>') if !name.is_empty() => return Ok(name),
                Some(c) if c.is_alphanumeric() || c == '_' || c == '$' => name.push(c),
                _ => return Err("Invalid capture group name"),
            }
        }
    }

    fn escape(&mut self) -> Parsed<Tree> {
        let c = *self.rest.peek().ok_or("\\ at end of pattern")?;
        if let Some(digit @ 1..) = c.to_digit(10) {
            let mut number = digit as usize;
            self.rest.next();
            while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(10)) {
                number = (number * 10 + digit as usize).min(PROGRAM_MAX);
                self.rest.next();
            }
            return Ok(Tree::One(Instruction::BackReference(number)));
        }
        Ok(match c {
            'b' | 'B' => {
                self.rest.next();
                Tree::One(Instruction::WordBoundary { negated: c == 'B' })
            }
            'k' => {
                self.rest.next();
                if !self.take('<') {
                    return Ok(Tree::One(Instruction::Char('k')));
                }
                Tree::Named(self.name()?)
            }
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => {
                self.rest.next();
                let class = Class { shorthands: vec![c], ..Class::default() };
                Tree::One(Instruction::Class(Box::new(class)))
            }
            _ => Tree::One(Instruction::Char(self.character()?)),
        })
    }

    /// The character that an escape stands for, behind its backslash.
    fn character(&mut self) -> Parsed<char> {
        let c = self.rest.next().ok_or("\\ at end of pattern")?;
        Ok(match c {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'f' => '\u{c}',
            '0' => '\0',
            'x' => self.hex(2).unwrap_or('x'),
            'u' => self.hex(4).unwrap_or('u'),
            'c' => match self.rest.peek() {
                Some(letter) if letter.is_ascii_alphabetic() => {
                    let code = *letter as u8 % 32;
                    self.rest.next();
                    char::from(code)
                }
                _ => 'c',
            },
            c => c,
        })
    }

    fn hex(&mut self, length: usize) -> Option<char> {
        let mut ahead = self.rest.clone();
        let digits: String = ahead.by_ref().take(length).collect();
        if digits.len() != length || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = ahead;
        u32::from_str_radix(&digits, 16).ok().map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn class(&mut self) -> Parsed<Class> {
        let mut class = Class { negated: self.take('^'), ..Class::default() };
        loop {
            let Some(first) = self.rest.next() else { return Err("Unterminated character class") };
            if first == ']' {
                return Ok(class);
            }
            let Some(first) = self.class_character(first, &mut class)? else { continue };
            let mut ahead = self.rest.clone();
            if ahead.next() != Some('-') || matches!(ahead.peek(), None | Some(']')) {
                class.ranges.push((first, first));
                continue;
            }
            self.rest.next();
            let last = self.rest.next().ok_or("Unterminated character class")?;
            match self.class_character(last, &mut class)? {
                Some(last) if last < first => return Err("Range out of order in character class"),
                Some(last) => class.ranges.push((first, last)),
                // `[a-\d]` is three members.
                None => class.ranges.extend([(first, first), ('-', '-')]),
            }
        }
    }

    /// One character of a class; `None` for a shorthand, which is added.
    fn class_character(&mut self, c: char, class: &mut Class) -> Parsed<Option<char>> {
        if c != '\\' {
            return Ok(Some(c));
        }
        match self.rest.peek().ok_or("\\ at end of pattern")? {
            shorthand @ ('d' | 'D' | 'w' | 'W' | 's' | 'S') => {
                class.shorthands.push(*shorthand);
                self.rest.next();
                Ok(None)
            }
            'b' => {
                self.rest.next();
                Ok(Some('\u{8}'))
            }
            _ => self.character().map(Some),
        }
    }
}

struct Compiler<'p> {
    program: Vec<Instruction>,
    marks: usize,
    names: &'p [Option<String>],
}

impl Compiler<'_> {
    fn emit(&mut self, instruction: Instruction) -> Parsed<usize> {
        if self.program.len() >= PROGRAM_MAX {
            return Err("Regular expression too large");
        }
        self.program.push(instruction);
        Ok(self.program.len() - 1)
    }

    fn node(&mut self, tree: &Tree) -> Parsed<()> {
        match tree {
            Tree::One(instruction) => {
                self.emit(instruction.clone())?;
            }
            Tree::Named(name) => {
                let found = self.names.iter().position(|known| known.as_ref() == Some(name));
                let group = found.ok_or("Invalid named reference")? + 1;
                self.emit(Instruction::BackReference(group))?;
            }
            Tree::Sequence(items) => items.iter().try_for_each(|item| self.node(item))?,
            Tree::Alternatives(alternatives) => self.alternatives(alternatives)?,
            Tree::Group(number, inner) => {
                self.emit(Instruction::Save(number * 2))?;
                self.node(inner)?;
                self.emit(Instruction::Save(number * 2 + 1))?;
            }
            Tree::Look { behind, negated, inner } => {
                let look = self.emit(Instruction::Look { behind: *behind, negated: *negated, end: 0 })?;
                self.node(inner)?;
                let end = self.emit(Instruction::Matched)? + 1;
                self.program[look] = Instruction::Look { behind: *behind, negated: *negated, end };
            }
            Tree::Repeat { inner, min, max, greedy, groups } => self.repeat(inner, *min, *max, *greedy, *groups)?,
        }
        Ok(())
    }

    fn alternatives(&mut self, alternatives: &[Tree]) -> Parsed<()> {
        let mut jumps = Vec::new();
        for (index, alternative) in alternatives.iter().enumerate() {
            if index + 1 == alternatives.len() {
                self.node(alternative)?;
                break;
            }
            let split = self.emit(Instruction::Split { first: 0, second: 0 })?;
            self.node(alternative)?;
            jumps.push(self.emit(Instruction::Jump(0))?);
            self.program[split] = Instruction::Split { first: split + 1, second: self.program.len() };
        }
        let end = self.program.len();
        for jump in jumps {
            self.program[jump] = Instruction::Jump(end);
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        inner: &Tree,
        min: usize,
        max: Option<usize>,
        greedy: bool,
        groups: (usize, usize),
    ) -> Parsed<()> {
        for _ in 0..min {
            let before = self.program.len();
            self.iteration(inner, groups)?;
            if self.program.len() == before {
                break;
            }
        }
        let split = |enter: usize, leave: usize| match greedy {
            true => Instruction::Split { first: enter, second: leave },
            false => Instruction::Split { first: leave, second: enter },
        };
        let optional = max.map(|max| max - min);
        let mut exits = Vec::new();
        for _ in 0..optional.unwrap_or(1) {
            let exit = self.emit(Instruction::Matched)?;
            exits.push(exit);
            let mark = self.marks;
            self.marks += 1;
            self.emit(Instruction::Mark(mark))?;
            self.iteration(inner, groups)?;
            self.emit(Instruction::Progress(mark))?;
            if optional.is_none() {
                self.emit(Instruction::Jump(exit))?;
            }
        }
        let end = self.program.len();
        for exit in exits {
            self.program[exit] = split(exit + 1, end);
        }
        Ok(())
    }

    fn iteration(&mut self, inner: &Tree, groups: (usize, usize)) -> Parsed<()> {
        if groups.0 <= groups.1 {
            self.emit(Instruction::Forget(groups.0, groups.1))?;
        }
        self.node(inner)
    }
}
