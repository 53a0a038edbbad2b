//! Tokens to a raw tree: Pratt's top-down operator precedence, as in the reference.

use super::ast::Operator;
use super::error::{Code, Failure, Result};
use super::number::Number;
use super::regex::Regex;
use super::signature::Signature;
use super::token::{Lexer, Token};

/// How deep a tree may be; everything walks it by recursion, at up to 2 KiB of stack a level (6 KiB without
/// optimisation). Evaluation as AWS bounds it goes 100 deep.
const DEPTH_MAX: usize = 200;

/// A node as it was written.
pub(super) struct Raw {
    pub kind: RawKind,
    pub offset: usize,
    /// `[]` behind it.
    pub keep_array: bool,
    depth: usize,
}

pub(super) enum RawKind {
    Name(String),
    Variable(String),
    Text(String),
    Number(Number),
    Bool(bool),
    Null,
    Regex(Box<Regex>),
    /// `and`, `or` or `in` where an operand should be: a name after all.
    Word(&'static str),
    Placeholder,
    Wildcard,
    Descendant,
    Parent,
    Dot(Box<Raw>, Box<Raw>),
    Binary(Operator, Box<Raw>, Box<Raw>),
    Negate(Box<Raw>),
    Array(Vec<Raw>),
    Object(Vec<(Raw, Raw)>),
    Group(Box<Raw>, Vec<(Raw, Raw)>),
    Filter(Box<Raw>, Box<Raw>),
    Sort(Box<Raw>, Vec<RawTerm>),
    Focus(Box<Raw>, String),
    Index(Box<Raw>, String),
    Bind(String, Box<Raw>),
    Apply(Box<Raw>, Box<Raw>),
    Condition(Box<Raw>, Box<Raw>, Option<Box<Raw>>),
    Elvis(Box<Raw>, Box<Raw>),
    Coalesce(Box<Raw>, Box<Raw>),
    Block(Vec<Raw>),
    Call {
        procedure: Box<Raw>,
        arguments: Vec<Raw>,
        partial: bool,
    },
    Lambda {
        parameters: Vec<String>,
        signature: Option<Signature>,
        body: Box<Raw>,
    },
    Transform(Box<Raw>, Box<Raw>, Option<Box<Raw>>),
}

pub(super) struct RawTerm {
    pub expression: Raw,
    pub descending: bool,
}

pub(super) fn parse(text: &str) -> Result<Raw> {
    let mut parser = Parser { lexer: Lexer::new(text), token: Token::End, offset: 0, depth: 0 };
    parser.advance(false)?;
    let root = parser.expression(0)?;
    match parser.token {
        Token::End => Ok(root),
        _ => Err(parser.unexpected("S0201")),
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token,
    offset: usize,
    depth: usize,
}

impl Parser<'_> {
    fn advance(&mut self, infix: bool) -> Result<()> {
        (self.token, self.offset) = self.lexer.next(infix)?;
        match self.token {
            Token::Operator("!" | "~") => Err(self.unexpected("S0204")),
            _ => Ok(()),
        }
    }

    fn expect(&mut self, operator: &str, infix: bool) -> Result<()> {
        if self.token.is(operator) {
            return self.advance(infix);
        }
        let code = if matches!(self.token, Token::End) { "S0203" } else { "S0202" };
        Err(self.unexpected(code).text(operator))
    }

    fn unexpected(&self, code: &'static str) -> Box<Failure> {
        let mut failure = Failure::new(code).at(self.offset).token(&self.token.shown());
        failure.plain_token = matches!(self.token, Token::Number(_) | Token::Bool(_) | Token::Null);
        failure
    }

    /// An expression of operators that bind tighter than `binding`.
    fn expression(&mut self, binding: u8) -> Result<Raw> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Failure::bound(Code::Depth).at(self.offset));
        }
        let token = std::mem::replace(&mut self.token, Token::End);
        let offset = self.offset;
        // Behind a bracket or a sign stands an operand, so a slash begins a regular expression there.
        let opens = matches!(token, Token::Operator("(" | "[" | "{" | "-" | "|"));
        self.advance(!opens)?;
        let mut left = self.prefix(token, offset)?;
        while binding < left_binding(&self.token) {
            let Token::Operator(operator) = self.token else { break };
            let offset = self.offset;
            self.advance(false)?;
            left = self.infix(operator, offset, left)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn boxed(&mut self, binding: u8) -> Result<Box<Raw>> {
        self.expression(binding).map(Box::new)
    }

    fn node(&self, kind: RawKind, offset: usize) -> Result<Raw> {
        let depth = 1 + kind.depth();
        if depth > DEPTH_MAX {
            return Err(Failure::bound(Code::Depth).at(offset));
        }
        Ok(Raw { kind, offset, keep_array: false, depth })
    }

    /// What begins with `token`.
    fn prefix(&mut self, token: Token, offset: usize) -> Result<Raw> {
        let kind = match token {
            Token::Name(name) => RawKind::Name(name),
            Token::Variable(name) => RawKind::Variable(name),
            Token::Text(text) => RawKind::Text(text),
            Token::Number(number) => RawKind::Number(number),
            Token::Bool(value) => RawKind::Bool(value),
            Token::Null => RawKind::Null,
            Token::Regex(regex) => RawKind::Regex(regex),
            Token::End => return Err(Failure::new("S0207").at(offset)),
            Token::Operator("*") => RawKind::Wildcard,
            Token::Operator("**") => RawKind::Descendant,
            Token::Operator("%") => RawKind::Parent,
            Token::Operator(word @ ("and" | "or" | "in")) => RawKind::Word(word),
            Token::Operator("-") => RawKind::Negate(self.boxed(70)?),
            Token::Operator("(") => self.block()?,
            Token::Operator("[") => self.array()?,
            Token::Operator("{") => RawKind::Object(self.pairs()?),
            Token::Operator("|") => self.transform()?,
            Token::Operator(operator) => return Err(Failure::new("S0211").at(offset).token(operator)),
        };
        self.node(kind, offset)
    }

    fn block(&mut self) -> Result<RawKind> {
        let mut expressions = Vec::new();
        while !self.token.is(")") {
            expressions.push(self.expression(0)?);
            if !self.token.is(";") {
                break;
            }
            self.expect(";", false)?;
        }
        self.expect(")", true)?;
        Ok(RawKind::Block(expressions))
    }

    fn array(&mut self) -> Result<RawKind> {
        let mut items = Vec::new();
        while !self.token.is("]") {
            let mut item = self.expression(0)?;
            if self.token.is("..") {
                let offset = self.offset;
                self.expect("..", false)?;
                let end = self.boxed(0)?;
                item = self.node(RawKind::Binary(Operator::Range, Box::new(item), end), offset)?;
            }
            items.push(item);
            if !self.token.is(",") {
                break;
            }
            self.expect(",", false)?;
            if self.token.is("]") {
                return Err(self.unexpected("S0211"));
            }
        }
        self.expect("]", true)?;
        Ok(RawKind::Array(items))
    }

    fn pairs(&mut self) -> Result<Vec<(Raw, Raw)>> {
        let mut pairs = Vec::new();
        while !self.token.is("}") {
            let key = self.expression(0)?;
            self.expect(":", false)?;
            pairs.push((key, self.expression(0)?));
            if !self.token.is(",") {
                break;
            }
            self.expect(",", false)?;
            if self.token.is("}") {
                return Err(self.unexpected("S0211"));
            }
        }
        self.expect("}", true)?;
        Ok(pairs)
    }

    fn transform(&mut self) -> Result<RawKind> {
        let pattern = self.boxed(0)?;
        self.expect("|", false)?;
        let update = self.boxed(0)?;
        let mut delete = None;
        if self.token.is(",") {
            self.expect(",", false)?;
            delete = Some(self.boxed(0)?);
        }
        self.expect("|", true)?;
        Ok(RawKind::Transform(pattern, update, delete))
    }

    /// What `operator`, which was taken, makes of the expression to its left.
    fn infix(&mut self, operator: &'static str, offset: usize, left: Raw) -> Result<Raw> {
        let binding = operator_binding(operator);
        let kind = match operator {
            "." => RawKind::Dot(Box::new(left), self.boxed(binding)?),
            "(" => return self.call(offset, left),
            "[" => return self.filter(offset, left),
            "{" => RawKind::Group(Box::new(left), self.pairs()?),
            "^" => RawKind::Sort(Box::new(left), self.terms()?),
            "@" => RawKind::Focus(Box::new(left), self.variable_name(operator, offset)?),
            "#" => RawKind::Index(Box::new(left), self.variable_name(operator, offset)?),
            ":=" => match left.kind {
                RawKind::Variable(name) => RawKind::Bind(name, self.boxed(binding - 1)?),
                _ => return Err(Failure::new("S0212").at(left.offset)),
            },
            "~>" => RawKind::Apply(Box::new(left), self.boxed(binding)?),
            "?:" => RawKind::Elvis(Box::new(left), self.boxed(0)?),
            "??" => RawKind::Coalesce(Box::new(left), self.boxed(0)?),
            "?" => {
                let then = self.boxed(0)?;
                let mut otherwise = None;
                if self.token.is(":") {
                    self.expect(":", false)?;
                    otherwise = Some(self.boxed(0)?);
                }
                RawKind::Condition(Box::new(left), then, otherwise)
            }
            _ => match Operator::from_token(operator) {
                Some(operator) => RawKind::Binary(operator, Box::new(left), self.boxed(binding)?),
                None => return Err(Failure::new("S0201").at(offset).token(operator)),
            },
        };
        self.node(kind, offset)
    }

    fn variable_name(&mut self, operator: &'static str, offset: usize) -> Result<String> {
        match self.expression(operator_binding(operator))?.kind {
            RawKind::Variable(name) => Ok(name),
            _ => Err(Failure::new("S0214").at(offset).token(operator)),
        }
    }

    fn filter(&mut self, offset: usize, mut left: Raw) -> Result<Raw> {
        if !self.token.is("]") {
            let predicate = self.boxed(0)?;
            self.expect("]", true)?;
            return self.node(RawKind::Filter(Box::new(left), predicate), offset);
        }
        let mut step = &mut left;
        while let RawKind::Filter(..) = step.kind {
            let RawKind::Filter(inner, _) = &mut step.kind else { break };
            step = inner;
        }
        step.keep_array = true;
        self.expect("]", true)?;
        Ok(left)
    }

    fn terms(&mut self) -> Result<Vec<RawTerm>> {
        self.expect("(", false)?;
        let mut terms = Vec::new();
        loop {
            let descending = self.token.is(">");
            if descending || self.token.is("<") {
                self.advance(false)?;
            }
            terms.push(RawTerm { expression: self.expression(0)?, descending });
            if !self.token.is(",") {
                break;
            }
            self.expect(",", false)?;
        }
        self.expect(")", true)?;
        Ok(terms)
    }

    fn call(&mut self, offset: usize, left: Raw) -> Result<Raw> {
        let mut arguments = Vec::new();
        let mut partial = false;
        if !self.token.is(")") {
            loop {
                if self.token.is("?") {
                    partial = true;
                    arguments.push(self.node(RawKind::Placeholder, self.offset)?);
                    self.expect("?", false)?;
                } else {
                    arguments.push(self.expression(0)?);
                }
                if !self.token.is(",") {
                    break;
                }
                self.expect(",", false)?;
            }
        }
        self.expect(")", true)?;
        match &left.kind {
            RawKind::Name(name) if name == "function" || name == "λ" => self.lambda(left.offset, arguments),
            _ => self.node(RawKind::Call { procedure: Box::new(left), arguments, partial }, offset),
        }
    }

    fn lambda(&mut self, offset: usize, arguments: Vec<Raw>) -> Result<Raw> {
        let mut parameters = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.into_iter().enumerate() {
            match argument.kind {
                RawKind::Variable(name) => parameters.push(name),
                _ => {
                    let mut failure = Failure::new("S0208").at(argument.offset);
                    failure.value = Some((index + 1).to_string());
                    return Err(failure);
                }
            }
        }
        let signature = if self.token.is("<") { Some(self.signature()?) } else { None };
        self.expect("{", false)?;
        let body = self.boxed(0)?;
        self.expect("}", true)?;
        self.node(RawKind::Lambda { parameters, signature, body }, offset)
    }

    fn signature(&mut self) -> Result<Signature> {
        let start = self.offset;
        let mut text = "<".to_owned();
        let mut open = 1;
        while open > 0 && !self.token.is("{") && !matches!(self.token, Token::End) {
            self.advance(false)?;
            if self.token.is(">") {
                open -= 1;
            } else if self.token.is("<") {
                open += 1;
            }
            text.push_str(&self.token.shown());
        }
        self.expect(">", false)?;
        Signature::parse(&text).map_err(|failure| failure.at(start))
    }
}

/// How tight an operator binds what is to its left; 0 for what is none.
fn left_binding(token: &Token) -> u8 {
    match token {
        Token::Operator(operator) => operator_binding(operator),
        _ => 0,
    }
}

fn operator_binding(operator: &str) -> u8 {
    match operator {
        "[" | "(" | "@" | "#" => 80,
        "." => 75,
        "{" => 70,
        "*" | "/" | "%" => 60,
        "+" | "-" | "&" => 50,
        "=" | "<" | ">" | "^" | "!=" | "<=" | ">=" | "~>" | "?:" | "??" | "in" => 40,
        "and" => 30,
        "or" => 25,
        "?" => 20,
        ":=" => 10,
        _ => 0,
    }
}

impl RawKind {
    fn depth(&self) -> usize {
        let of = |raws: &[Raw]| raws.iter().map(|raw| raw.depth).max().unwrap_or(0);
        let pairs = |pairs: &[(Raw, Raw)]| pairs.iter().map(|(key, value)| key.depth.max(value.depth)).max();
        match self {
            RawKind::Dot(left, right)
            | RawKind::Binary(_, left, right)
            | RawKind::Filter(left, right)
            | RawKind::Apply(left, right)
            | RawKind::Elvis(left, right)
            | RawKind::Coalesce(left, right) => left.depth.max(right.depth),
            RawKind::Negate(inner) | RawKind::Focus(inner, _) | RawKind::Index(inner, _) | RawKind::Bind(_, inner) => {
                inner.depth
            }
            RawKind::Array(items) | RawKind::Block(items) => of(items),
            RawKind::Object(members) => pairs(members).unwrap_or(0),
            RawKind::Group(left, members) => pairs(members).unwrap_or(0).max(left.depth),
            RawKind::Sort(left, terms) => {
                terms.iter().map(|term| term.expression.depth).max().unwrap_or(0).max(left.depth)
            }
            RawKind::Condition(a, b, c) | RawKind::Transform(a, b, c) => {
                a.depth.max(b.depth).max(c.as_ref().map_or(0, |c| c.depth))
            }
            RawKind::Call { procedure, arguments, .. } => of(arguments).max(procedure.depth),
            RawKind::Lambda { body, .. } => body.depth,
            _ => 0,
        }
    }
}
