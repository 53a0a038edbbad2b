use super::ExpressionError;
use super::token::{Spanned, Token, tokens};

/// What an expression may weigh.
pub(crate) const EXPRESSION_BYTES_MAX: usize = 4096;
/// How many operators an expression may have.
const OPERATORS_MAX: usize = 300;
/// How deep parentheses, functions and NOT may be nested: more than 300 operators can make sense of.
const DEPTH_MAX: usize = 200;

/// A part of a path as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawStep<'a> {
    Word(&'a str),
    Name(&'a str),
    Index(&'a str),
}

pub(crate) type RawPath<'a> = Vec<RawStep<'a>>;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawOperand<'a> {
    Path(RawPath<'a>),
    Value(&'a str),
    Function(&'a str, Vec<RawOperand<'a>>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawCondition<'a> {
    Compare(&'a str, RawOperand<'a>, RawOperand<'a>),
    Between(RawOperand<'a>, RawOperand<'a>, RawOperand<'a>),
    In(RawOperand<'a>, Vec<RawOperand<'a>>),
    Function(&'a str, Vec<RawOperand<'a>>),
    And(Vec<RawCondition<'a>>),
    Or(Vec<RawCondition<'a>>),
    Not(Box<RawCondition<'a>>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawValue<'a> {
    Operand(RawOperand<'a>),
    /// `+` or `-`.
    Sum(&'a str, RawOperand<'a>, RawOperand<'a>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RawAction<'a> {
    Set(RawPath<'a>, RawValue<'a>),
    Remove(RawPath<'a>),
    Add(RawPath<'a>, &'a str),
    Delete(RawPath<'a>, &'a str),
}

/// A parsed condition and whether it has parentheses that DynamoDB refuses.
#[derive(Debug)]
pub(crate) struct ParsedCondition<'a> {
    pub condition: RawCondition<'a>,
    pub redundant_parentheses: bool,
}

/// Sections by their keyword, in the order they are written.
pub(crate) type ParsedUpdate<'a> = Vec<(&'static str, Vec<RawAction<'a>>)>;

pub(crate) fn parse_condition(source: &str) -> Result<ParsedCondition<'_>, ExpressionError> {
    let mut parser = Parser::new(source, &["AND", "OR", "NOT", "BETWEEN", "IN"])?;
    let (node, _) = parser.expression()?;
    let condition = parser.condition(node)?;
    parser.expect_end()?;
    Ok(ParsedCondition { condition, redundant_parentheses: parser.redundant_parentheses })
}

pub(crate) fn parse_update(source: &str) -> Result<ParsedUpdate<'_>, ExpressionError> {
    let mut parser = Parser::new(source, &["SET", "REMOVE", "ADD", "DELETE"])?;
    let mut sections = Vec::new();
    loop {
        sections.push(parser.section()?);
        if parser.peek() == Token::End {
            return Ok(sections);
        }
    }
}

pub(crate) fn parse_projection(source: &str) -> Result<Vec<RawPath<'_>>, ExpressionError> {
    let mut parser = Parser::new(source, &[])?;
    let paths = parser.list(Parser::path)?;
    parser.expect_end()?;
    Ok(paths)
}

fn join<'a>(mut all: Vec<RawCondition<'a>>, many: fn(Vec<RawCondition<'a>>) -> RawCondition<'a>) -> RawCondition<'a> {
    match all.pop() {
        Some(only) if all.is_empty() => only,
        Some(last) => {
            all.push(last);
            many(all)
        }
        None => many(all),
    }
}

/// What may stand where a condition is wanted: `(a)` is known to be an operand only by what follows.
enum Node<'a> {
    Operand(RawOperand<'a>),
    Condition(RawCondition<'a>),
}

/// Recursive descent over tokens. By hand, because AWS's messages name the token that does not fit and its neighbours.
struct Parser<'a> {
    source: &'a str,
    tokens: Vec<Spanned<'a>>,
    at: usize,
    keywords: &'static [&'static str],
    operators: usize,
    depth: usize,
    redundant_parentheses: bool,
}

type Parsed<T> = Result<T, ExpressionError>;

impl<'a> Parser<'a> {
    fn new(source: &'a str, keywords: &'static [&'static str]) -> Parsed<Parser<'a>> {
        if source.is_empty() {
            return Err(ExpressionError::new("The expression can not be empty;"));
        }
        if source.len() > EXPRESSION_BYTES_MAX {
            let message = "Expression size has exceeded the maximum allowed size; expression size: ";
            return Err(ExpressionError::new(format!("{message}{}", source.len())));
        }
        let tokens = tokens(source);
        Ok(Parser { source, tokens, at: 0, keywords, operators: 0, depth: 0, redundant_parentheses: false })
    }

    fn peek(&self) -> Token<'a> {
        self.tokens[self.at].token
    }

    fn peek_second(&self) -> Token<'a> {
        self.tokens.get(self.at + 1).map_or(Token::End, |t| t.token)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn unexpected<T>(&self) -> Parsed<T> {
        let here = self.tokens[self.at];
        let last = self.tokens.len() - 1;
        let token = if here.token == Token::End { "<EOF>" } else { &self.source[here.start..here.end] };
        let from = self.tokens[self.at.saturating_sub(if self.at == last { 2 } else { 1 })].start;
        let to = self.tokens[(self.at + 1).min(last)].end;
        let near = self.source[from..to.max(from)].trim_end();
        Err(ExpressionError::new(format!("Syntax error; token: \"{token}\", near: \"{near}\"")))
    }

    fn expect(&mut self, symbol: &str) -> Parsed<()> {
        if self.take(symbol) { Ok(()) } else { self.unexpected() }
    }

    fn expect_end(&self) -> Parsed<()> {
        if self.peek() == Token::End { Ok(()) } else { self.unexpected() }
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.peek() == Token::Symbol(symbol);
        if found {
            self.next();
        }
        found
    }

    fn is_keyword(&self, word: &str) -> bool {
        self.keywords.iter().any(|k| k.eq_ignore_ascii_case(word))
    }

    fn at_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.at_keyword(keyword);
        if found {
            self.next();
        }
        found
    }

    fn count_operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            let message = "The expression contains too many operators; operator count: ";
            return Err(ExpressionError::new(format!("{message}{}", self.operators)));
        }
        Ok(())
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Parser<'a>) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(ExpressionError::new("The expression is nested too deeply;"));
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn list<T>(&mut self, element: impl Fn(&mut Parser<'a>) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut list = vec![element(self)?];
        while self.take(",") {
            list.push(element(self)?);
        }
        Ok(list)
    }

    // Conditions. The flag tells whether the node is in parentheses.

    /// Conditions joined by OR, AND and NOT. One function, for each level of recursion costs stack.
    fn expression(&mut self) -> Parsed<(Node<'a>, bool)> {
        let (mut any, mut all) = (Vec::new(), Vec::new());
        loop {
            let mut negations = 0;
            while self.take_keyword("NOT") {
                self.count_operator()?;
                negations += 1;
            }
            let (node, parenthesised) = self.primary()?;
            let joined = self.at_keyword("AND") || self.at_keyword("OR");
            if negations == 0 && any.is_empty() && all.is_empty() && !joined {
                return Ok((node, parenthesised));
            }
            let condition = self.condition(node)?;
            all.push((0..negations).fold(condition, |c, _| RawCondition::Not(Box::new(c))));
            if self.take_keyword("AND") {
                self.count_operator()?;
                continue;
            }
            any.push(join(std::mem::take(&mut all), RawCondition::And));
            if self.take_keyword("OR") {
                self.count_operator()?;
                continue;
            }
            return Ok((Node::Condition(join(any, RawCondition::Or)), false));
        }
    }

    /// A condition stands here, or the current token is the one that does not fit.
    fn condition(&self, node: Node<'a>) -> Parsed<RawCondition<'a>> {
        match node {
            Node::Condition(condition) => Ok(condition),
            Node::Operand(RawOperand::Function(name, arguments)) => Ok(RawCondition::Function(name, arguments)),
            Node::Operand(_) => self.unexpected(),
        }
    }

    fn primary(&mut self) -> Parsed<(Node<'a>, bool)> {
        let (node, parenthesised) = if self.take("(") {
            let (inner, doubled) = self.nested(Parser::expression)?;
            self.expect(")")?;
            self.redundant_parentheses |= doubled;
            (inner, true)
        } else {
            (Node::Operand(self.operand()?), false)
        };
        match node {
            Node::Operand(RawOperand::Path(path)) if parenthesised => {
                let path = self.path_rest(path)?;
                self.comparison(RawOperand::Path(path), parenthesised)
            }
            Node::Operand(operand) => self.comparison(operand, parenthesised),
            Node::Condition(_) => Ok((node, parenthesised)),
        }
    }

    fn comparison(&mut self, left: RawOperand<'a>, parenthesised: bool) -> Parsed<(Node<'a>, bool)> {
        let condition = if let Token::Symbol(symbol @ ("=" | "<>" | "<" | "<=" | ">" | ">=")) = self.peek() {
            self.next();
            self.count_operator()?;
            RawCondition::Compare(symbol, left, self.operand_in_parentheses()?)
        } else if self.take_keyword("BETWEEN") {
            self.count_operator()?;
            let low = self.operand_in_parentheses()?;
            if !self.take_keyword("AND") {
                return self.unexpected();
            }
            RawCondition::Between(left, low, self.operand_in_parentheses()?)
        } else if self.take_keyword("IN") {
            self.count_operator()?;
            self.expect("(")?;
            let list = self.list(Parser::operand_in_parentheses)?;
            self.expect(")")?;
            RawCondition::In(left, list)
        } else {
            return Ok((Node::Operand(left), parenthesised));
        };
        Ok((Node::Condition(condition), false))
    }

    // Operands and paths.

    fn operand_in_parentheses(&mut self) -> Parsed<RawOperand<'a>> {
        if !self.take("(") {
            return self.operand();
        }
        let doubled = self.peek() == Token::Symbol("(");
        let inner = self.nested(Parser::operand_in_parentheses)?;
        self.expect(")")?;
        self.redundant_parentheses |= doubled;
        match inner {
            RawOperand::Path(path) => Ok(RawOperand::Path(self.path_rest(path)?)),
            other => Ok(other),
        }
    }

    fn operand(&mut self) -> Parsed<RawOperand<'a>> {
        match (self.peek(), self.peek_second()) {
            (Token::Value(name), _) => {
                self.next();
                Ok(RawOperand::Value(name))
            }
            (Token::Word(name), Token::Symbol("(")) if !self.is_keyword(name) => {
                self.next();
                self.next();
                let arguments = self.nested(|p| p.list(Parser::operand_in_parentheses))?;
                self.expect(")")?;
                Ok(RawOperand::Function(name, arguments))
            }
            _ => self.path().map(RawOperand::Path),
        }
    }

    fn path(&mut self) -> Parsed<RawPath<'a>> {
        let head = self.path_name()?;
        self.path_rest(vec![head])
    }

    fn path_name(&mut self) -> Parsed<RawStep<'a>> {
        let step = match self.peek() {
            Token::Word(word) if !self.is_keyword(word) => RawStep::Word(word),
            Token::Name(name) => RawStep::Name(name),
            _ => return self.unexpected(),
        };
        self.next();
        Ok(step)
    }

    fn path_rest(&mut self, mut path: RawPath<'a>) -> Parsed<RawPath<'a>> {
        loop {
            if self.take(".") {
                path.push(self.path_name()?);
            } else if self.take("[") {
                let Token::Digits(index) = self.peek() else {
                    return self.unexpected();
                };
                self.next();
                path.push(RawStep::Index(index));
                self.expect("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    // Updates.

    fn section(&mut self) -> Parsed<(&'static str, Vec<RawAction<'a>>)> {
        let Some(keyword) = self.keywords.iter().find(|k| self.at_keyword(k)) else {
            return self.unexpected();
        };
        self.next();
        let actions = match *keyword {
            "SET" => self.list(|p| {
                let path = p.path()?;
                p.expect("=")?;
                Ok(RawAction::Set(path, p.set_value()?))
            }),
            "REMOVE" => self.list(|p| p.path().map(RawAction::Remove)),
            "ADD" => self.list(|p| Ok(RawAction::Add(p.path()?, p.value()?))),
            _ => self.list(|p| Ok(RawAction::Delete(p.path()?, p.value()?))),
        };
        Ok((keyword, actions?))
    }

    fn value(&mut self) -> Parsed<&'a str> {
        let Token::Value(name) = self.peek() else {
            return self.unexpected();
        };
        self.next();
        Ok(name)
    }

    fn set_value(&mut self) -> Parsed<RawValue<'a>> {
        if self.peek() != Token::Symbol("(") {
            let left = self.operand()?;
            return self.sum(left);
        }
        self.next();
        let inner = self.nested(Parser::set_value)?;
        self.expect(")")?;
        match inner {
            RawValue::Operand(left) => self.sum(left),
            sum => Ok(sum),
        }
    }

    fn sum(&mut self, left: RawOperand<'a>) -> Parsed<RawValue<'a>> {
        let Token::Symbol(symbol @ ("+" | "-")) = self.peek() else {
            return Ok(RawValue::Operand(left));
        };
        self.next();
        self.count_operator()?;
        Ok(RawValue::Sum(symbol, left, self.operand_in_parentheses()?))
    }
}
