use std::borrow::Cow;
use std::cmp::Ordering;

use super::resolve::{Placeholders, Rank, Resolver};
use super::syntax::{ParsedCondition, RawCondition, RawOperand, parse_condition};
use super::{ExpressionError, OPERAND_TYPE, Path};
use crate::{AttributeValue, Item, Kind, Number};

/// How many values `IN` takes.
const IN_OPERANDS_MAX: usize = 100;

// Passes over a condition, in AWS's order; the last is per condition and has passes of its own.
const PARENTHESES: Rank = (0, 0, 0);
const UNKNOWN_FUNCTION: Rank = (1, 0, 0);
const MISUSED_FUNCTION: Rank = (2, 0, 0);
const RESERVED: Rank = (3, 0, 0);
const CONDITIONS: u8 = 4;
const UNDEFINED: u8 = 0;
const OPERAND_COUNT: u8 = 1;
const DISTINCT: u8 = 2;
const OPERAND: u8 = 3;

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparator {
    fn parse(symbol: &str) -> Comparator {
        match symbol {
            "=" => Comparator::Equal,
            "<>" => Comparator::NotEqual,
            "<" => Comparator::Less,
            "<=" => Comparator::LessOrEqual,
            ">" => Comparator::Greater,
            _ => Comparator::GreaterOrEqual,
        }
    }

    /// The comparator that holds for exchanged operands.
    pub(crate) fn mirrored(self) -> Comparator {
        match self {
            Comparator::Less => Comparator::Greater,
            Comparator::LessOrEqual => Comparator::GreaterOrEqual,
            Comparator::Greater => Comparator::Less,
            Comparator::GreaterOrEqual => Comparator::LessOrEqual,
            same => same,
        }
    }

    pub(crate) fn is_equality(self) -> bool {
        matches!(self, Comparator::Equal | Comparator::NotEqual)
    }

    /// An absent value is equal to nothing, not even to another absent one.
    pub(crate) fn holds(self, left: Option<&AttributeValue>, right: Option<&AttributeValue>) -> bool {
        let (Some(left), Some(right)) = (left, right) else {
            return self == Comparator::NotEqual;
        };
        match self {
            Comparator::Equal => left == right,
            Comparator::NotEqual => left != right,
            ordered => left.order(right).is_some_and(|o| match ordered {
                Comparator::Less => o == Ordering::Less,
                Comparator::LessOrEqual => o != Ordering::Greater,
                Comparator::Greater => o == Ordering::Greater,
                _ => o != Ordering::Less,
            }),
        }
    }
}

/// What a condition compares.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    Path(Path),
    Value(AttributeValue),
    Size(Box<Operand>),
}

impl Operand {
    fn kind(&self) -> Option<Kind> {
        match self {
            Operand::Path(_) => None,
            Operand::Value(value) => Some(value.kind()),
            Operand::Size(_) => Some(Kind::N),
        }
    }

    fn literal(&self) -> Option<&AttributeValue> {
        match self {
            Operand::Value(value) => Some(value),
            _ => None,
        }
    }

    fn value<'v>(&'v self, item: &'v Item) -> Option<Cow<'v, AttributeValue>> {
        match self {
            Operand::Path(path) => path.get(item).map(Cow::Borrowed),
            Operand::Value(value) => Some(Cow::Borrowed(value)),
            Operand::Size(inner) => {
                let size = inner.value(item).and_then(|v| size(&v))?;
                Some(Cow::Owned(AttributeValue::N(Number::from(size))))
            }
        }
    }
}

/// What `size` counts: bytes of texts and binaries, elements of everything that has elements.
fn size(value: &AttributeValue) -> Option<u64> {
    let size = match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::L(list) => list.len(),
        AttributeValue::M(map) => map.len(),
        AttributeValue::Ss(set) => set.len(),
        AttributeValue::Ns(set) => set.len(),
        AttributeValue::Bs(set) => set.len(),
        AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null => return None,
    };
    u64::try_from(size).ok()
}

/// A condition or filter, ready to be evaluated.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Compare(Comparator, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    HasType(Operand, Kind),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
}

impl Condition {
    /// Parses a ConditionExpression or FilterExpression.
    pub fn parse(source: &str, placeholders: &mut Placeholders) -> Result<Condition, ExpressionError> {
        let ParsedCondition { condition, redundant_parentheses } = parse_condition(source)?;
        let mut reading = Reading { resolver: Resolver::new(placeholders), condition: 0 };
        if redundant_parentheses {
            reading.resolver.problem(PARENTHESES, || "The expression has redundant parentheses;".to_owned());
        }
        let condition = reading.condition(&condition);
        reading.resolver.finish()?;
        Ok(condition)
    }

    /// Whether `item` meets it. An absent item is an empty one.
    pub fn holds(&self, item: &Item) -> bool {
        match self {
            Condition::Compare(op, left, right) => op.holds(left.value(item).as_deref(), right.value(item).as_deref()),
            Condition::Between(value, low, high) => {
                let value = value.value(item);
                Comparator::GreaterOrEqual.holds(value.as_deref(), low.value(item).as_deref())
                    && Comparator::LessOrEqual.holds(value.as_deref(), high.value(item).as_deref())
            }
            Condition::In(value, list) => {
                let value = value.value(item);
                list.iter().any(|e| Comparator::Equal.holds(value.as_deref(), e.value(item).as_deref()))
            }
            Condition::Exists(path) => path.get(item).is_some(),
            Condition::NotExists(path) => path.get(item).is_none(),
            Condition::HasType(value, kind) => value.value(item).is_some_and(|v| v.kind() == *kind),
            Condition::BeginsWith(value, prefix) => {
                begins_with(value.value(item).as_deref(), prefix.value(item).as_deref())
            }
            Condition::Contains(value, part) => contains(value.value(item).as_deref(), part.value(item).as_deref()),
            Condition::And(all) => all.iter().all(|c| c.holds(item)),
            Condition::Or(any) => any.iter().any(|c| c.holds(item)),
            Condition::Not(inner) => !inner.holds(item),
        }
    }

    /// Shows `visit` every path in it.
    pub fn paths<'c>(&'c self, visit: &mut impl FnMut(&'c Path)) {
        match self {
            Condition::Exists(path) | Condition::NotExists(path) => visit(path),
            Condition::HasType(value, _) => operand_paths(value, visit),
            Condition::Compare(_, a, b) | Condition::BeginsWith(a, b) | Condition::Contains(a, b) => {
                operand_paths(a, visit);
                operand_paths(b, visit);
            }
            Condition::Between(a, b, c) => [a, b, c].into_iter().for_each(|o| operand_paths(o, visit)),
            Condition::In(value, list) => std::iter::once(value).chain(list).for_each(|o| operand_paths(o, visit)),
            Condition::And(all) | Condition::Or(all) => all.iter().for_each(|c| c.paths(visit)),
            Condition::Not(inner) => inner.paths(visit),
        }
    }
}

fn operand_paths<'c>(operand: &'c Operand, visit: &mut impl FnMut(&'c Path)) {
    match operand {
        Operand::Path(path) => visit(path),
        Operand::Size(inner) => operand_paths(inner, visit),
        Operand::Value(_) => {}
    }
}

fn begins_with(value: Option<&AttributeValue>, prefix: Option<&AttributeValue>) -> bool {
    match (value, prefix) {
        (Some(AttributeValue::S(v)), Some(AttributeValue::S(p))) => v.starts_with(p.as_str()),
        (Some(AttributeValue::B(v)), Some(AttributeValue::B(p))) => v.starts_with(p),
        _ => false,
    }
}

fn contains(value: Option<&AttributeValue>, part: Option<&AttributeValue>) -> bool {
    let (Some(value), Some(part)) = (value, part) else {
        return false;
    };
    match (value, part) {
        (AttributeValue::S(v), AttributeValue::S(p)) => v.contains(p.as_str()),
        (AttributeValue::B(v), AttributeValue::B(p)) => p.is_empty() || v.windows(p.len()).any(|w| w == p.as_slice()),
        (AttributeValue::Ss(set), AttributeValue::S(p)) => set.contains(p),
        (AttributeValue::Ns(set), AttributeValue::N(p)) => set.contains(p),
        (AttributeValue::Bs(set), AttributeValue::B(p)) => set.contains(p),
        (AttributeValue::L(list), p) => list.contains(p),
        _ => false,
    }
}

/// The walk that checks and resolves.
struct Reading<'p> {
    resolver: Resolver<'p>,
    /// The number of the condition being read: AWS reports the problems of the first one that has any.
    condition: usize,
}

impl Reading<'_> {
    fn rank(&self, pass: u8) -> Rank {
        (CONDITIONS, self.condition, pass)
    }

    fn condition(&mut self, raw: &RawCondition<'_>) -> Condition {
        match raw {
            RawCondition::And(all) => Condition::And(all.iter().map(|c| self.condition(c)).collect()),
            RawCondition::Or(any) => Condition::Or(any.iter().map(|c| self.condition(c)).collect()),
            RawCondition::Not(inner) => Condition::Not(Box::new(self.condition(inner))),
            leaf => {
                self.condition += 1;
                self.leaf(leaf)
            }
        }
    }

    fn leaf(&mut self, raw: &RawCondition<'_>) -> Condition {
        match raw {
            RawCondition::Compare(symbol, left, right) => {
                let (left, right) = (self.operand(left), self.operand(right));
                self.check_distinct(symbol, &left, &right);
                let op = Comparator::parse(symbol);
                if !op.is_equality() {
                    self.check_ordered(symbol, &[&left, &right]);
                }
                Condition::Compare(op, left, right)
            }
            RawCondition::Between(value, low, high) => {
                let (value, low, high) = (self.operand(value), self.operand(low), self.operand(high));
                self.check_ordered("BETWEEN", &[&value, &low, &high]);
                self.check_bounds(&low, &high);
                Condition::Between(value, low, high)
            }
            RawCondition::In(value, list) => {
                if list.len() > IN_OPERANDS_MAX {
                    self.resolver.wrong_operand_count(self.rank(OPERAND_COUNT), "IN", list.len() + 1);
                }
                Condition::In(self.operand(value), list.iter().map(|o| self.operand(o)).collect())
            }
            RawCondition::Function(name, arguments) => self.function(name, arguments),
            RawCondition::And(_) | RawCondition::Or(_) | RawCondition::Not(_) => self.condition(raw),
        }
    }

    /// An operand of an operator or function: among functions only `size` gives a value.
    fn operand(&mut self, raw: &RawOperand<'_>) -> Operand {
        match raw {
            RawOperand::Path(path) => Operand::Path(self.resolver.path(path, RESERVED, self.rank(UNDEFINED))),
            RawOperand::Value(name) => Operand::Value(self.resolver.value(name, self.rank(UNDEFINED))),
            RawOperand::Function("size", arguments) => self.size(arguments),
            RawOperand::Function(name, arguments) => {
                if is_function(name) {
                    self.misused(name);
                }
                self.function(name, arguments);
                Operand::Value(AttributeValue::Null)
            }
        }
    }

    fn size(&mut self, arguments: &[RawOperand<'_>]) -> Operand {
        let operands: Vec<_> = arguments.iter().map(|a| self.operand(a)).collect();
        self.check_count("size", &operands, 1);
        let inner = operands.into_iter().next().expect("the parser wants one argument at least");
        if let Some(kind @ (Kind::N | Kind::Bool | Kind::Null)) = inner.kind() {
            self.resolver.wrong_operand_type(self.rank(OPERAND), "size", kind);
        }
        Operand::Size(Box::new(inner))
    }

    fn function(&mut self, name: &str, arguments: &[RawOperand<'_>]) -> Condition {
        if name == "size" {
            self.misused(name);
        }
        let operands: Vec<_> = arguments.iter().map(|a| self.operand(a)).collect();
        match name {
            "attribute_exists" | "attribute_not_exists" => self.existence(name, operands),
            "attribute_type" => self.attribute_type(operands),
            "begins_with" => {
                let [value, prefix] = self.two(name, operands);
                for kind in [&value, &prefix].into_iter().filter_map(Operand::kind) {
                    if !matches!(kind, Kind::S | Kind::B) {
                        self.resolver.wrong_operand_type(self.rank(OPERAND), name, kind);
                    }
                }
                Condition::BeginsWith(value, prefix)
            }
            "contains" => {
                let [value, part] = self.two(name, operands);
                Condition::Contains(value, part)
            }
            _ => {
                if name != "size" {
                    self.resolver.problem(UNKNOWN_FUNCTION, || format!("Invalid function name; function: {name}"));
                }
                Condition::And(Vec::new())
            }
        }
    }

    fn existence(&mut self, name: &str, operands: Vec<Operand>) -> Condition {
        self.check_count(name, &operands, 1);
        let Some(Operand::Path(path)) = operands.into_iter().next() else {
            self.resolver.path_required(self.rank(OPERAND), name);
            return Condition::And(Vec::new());
        };
        if name == "attribute_exists" { Condition::Exists(path) } else { Condition::NotExists(path) }
    }

    fn attribute_type(&mut self, operands: Vec<Operand>) -> Condition {
        let [value, wanted] = self.two("attribute_type", operands);
        let rank = self.rank(OPERAND);
        let kind = match &wanted {
            Operand::Value(AttributeValue::S(name)) => Kind::parse(name).or_else(|| {
                self.resolver.problem(rank, || {
                    let valid = "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}";
                    format!("Invalid attribute type name found; type: {name}, valid types: {valid}")
                });
                None
            }),
            other => {
                let found = other.kind().map_or("{NS,SS,L,BS,N,M,B,BOOL,NULL,S}", Kind::name);
                self.resolver.problem(rank, || {
                    format!("{OPERAND_TYPE}operator or function: attribute_type, operand type: {found}")
                });
                None
            }
        };
        Condition::HasType(value, kind.unwrap_or(Kind::Null))
    }

    /// The two operands of a function; stand-ins after a complaint if there are not two.
    fn two(&mut self, name: &str, operands: Vec<Operand>) -> [Operand; 2] {
        self.check_count(name, &operands, 2);
        match <[Operand; 2]>::try_from(operands) {
            Ok([a, b]) => {
                self.check_distinct(name, &a, &b);
                [a, b]
            }
            Err(_) => {
                [Operand::Value(AttributeValue::S(String::new())), Operand::Value(AttributeValue::S(String::new()))]
            }
        }
    }

    fn check_count(&mut self, name: &str, operands: &[Operand], wanted: usize) {
        if operands.len() != wanted {
            self.resolver.wrong_operand_count(self.rank(OPERAND_COUNT), name, operands.len());
        }
    }

    fn misused(&mut self, name: &str) {
        self.resolver.problem(MISUSED_FUNCTION, || {
            format!("The function is not allowed to be used this way in an expression; function: {name}")
        });
    }

    fn check_distinct(&mut self, name: &str, left: &Operand, right: &Operand) {
        if let (Operand::Path(a), Operand::Path(b)) = (left, right)
            && a == b
        {
            self.resolver.problem(self.rank(DISTINCT), || {
                let message =
                    "The first operand must be distinct from the remaining operands for this operator or function";
                format!("{message}; operator: {name}, first operand: {a}")
            });
        }
    }

    fn check_ordered(&mut self, name: &str, operands: &[&Operand]) {
        let wrong = operands.iter().filter_map(|o| o.kind()).find(|k| !k.is_ordered());
        if let Some(kind) = wrong {
            self.resolver.problem(self.rank(OPERAND), || {
                format!("{OPERAND_TYPE}operator: {name}, operand type: {}", kind.name())
            });
        }
    }

    fn check_bounds(&mut self, low: &Operand, high: &Operand) {
        let (Some(low), Some(high)) = (low.literal(), high.literal()) else {
            return;
        };
        let shown = || {
            let (low, high) = (low.shown(), high.shown());
            format!("lower bound operand: AttributeValue: {low}, upper bound operand: AttributeValue: {high}")
        };
        let rank = self.rank(OPERAND);
        if low.kind() != high.kind() {
            self.resolver.problem(rank, || {
                format!("The BETWEEN operator requires same data type for lower and upper bounds; {}", shown())
            });
        } else if low.order(high) == Some(Ordering::Greater) {
            self.resolver.problem(rank, || {
                let message = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound";
                format!("{message}; {}", shown())
            });
        }
    }
}

fn is_function(name: &str) -> bool {
    matches!(name, "attribute_exists" | "attribute_not_exists" | "attribute_type" | "begins_with" | "contains" | "size")
}
