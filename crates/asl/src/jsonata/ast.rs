//! The tree of an expression as it is evaluated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::function::Builtin;
use super::number::Number;
use super::regex::Regex;
use super::signature::Signature;

/// A whole expression.
#[derive(Debug)]
pub(super) struct Program {
    pub root: Node,
}

/// A node and what follows it: predicates, grouping, bindings.
#[derive(Debug)]
pub(super) struct Node {
    pub kind: Kind,
    pub offset: usize,
    /// `[]` behind it.
    pub keep_array: bool,
    /// An array constructor that is the first or last step of its path.
    pub constructs_array: bool,
    /// Evaluated as a stream of tuples.
    pub tuple: bool,
    pub extra: Option<Box<Extra>>,
}

/// What few nodes have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub predicates: Vec<Node>,
    /// Predicates and index bindings of a step; `Some` once there was one.
    pub stages: Option<Vec<Stage>>,
    pub group: Option<Group>,
    /// `@$name`
    pub focus: Option<Box<str>>,
    /// `#$name`
    pub index: Option<Box<str>>,
    /// What its input is bound to for a `%` that needs it.
    pub ancestor: Option<Label>,
    /// Slots of `%` within it that look for their step further left. Only while the tree is built.
    pub seeking: Vec<usize>,
}

/// The name of a step's input; two `%` that mean the same step come to share one while the tree is built.
#[derive(Debug, Clone, Default)]
pub(super) struct Label(Arc<AtomicUsize>);

impl Label {
    pub fn new(number: usize) -> Label {
        Label(Arc::new(AtomicUsize::new(number)))
    }

    pub fn number(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub fn become_same_as(&self, other: &Label) {
        self.0.store(other.number(), Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) enum Stage {
    Filter(Node),
    Index(Box<str>),
}

#[derive(Debug)]
pub(super) struct Group {
    pub pairs: Vec<(Node, Node)>,
    pub offset: usize,
}

impl Extra {
    fn children<'n>(&'n self, visit: &mut dyn FnMut(&'n Node)) {
        self.predicates.iter().for_each(&mut *visit);
        for stage in self.stages.iter().flatten() {
            if let Stage::Filter(predicate) = stage {
                visit(predicate);
            }
        }
        self.group.iter().for_each(|group| group.children(visit));
    }
}

impl Group {
    fn children<'n>(&'n self, visit: &mut dyn FnMut(&'n Node)) {
        for (key, value) in &self.pairs {
            visit(key);
            visit(value);
        }
    }
}

#[derive(Debug)]
pub(super) struct Lambda {
    pub parameters: Box<[Box<str>]>,
    pub signature: Option<Signature>,
    pub body: Node,
}

#[derive(Debug)]
pub(super) struct Term {
    pub expression: Node,
    pub descending: bool,
}

#[derive(Debug)]
pub(super) struct Transform {
    pub pattern: Node,
    pub update: Node,
    pub delete: Option<Node>,
}

#[derive(Debug)]
pub(super) struct Call {
    pub procedure: Node,
    pub arguments: Vec<Node>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Path {
        steps: Vec<Node>,
        keep_singleton: bool,
    },
    Name(Box<str>),
    Text(Box<str>),
    Number(Number),
    Bool(bool),
    Null,
    Regex(Box<Regex>),
    Wildcard,
    Descendant,
    /// `%`
    Parent(Label),
    /// `$name`; `$` has no name, `$$` is named `$`.
    Variable {
        name: Box<str>,
        builtin: Option<&'static Builtin>,
    },
    Binary {
        operator: Operator,
        left: Box<Node>,
        right: Box<Node>,
    },
    Negate(Box<Node>),
    Array(Vec<Node>),
    Object(Group),
    Block(Vec<Node>),
    Condition {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Option<Box<Node>>,
    },
    /// `a ?: b`
    Elvis {
        left: Box<Node>,
        right: Box<Node>,
    },
    /// `a ?? b`
    Coalesce {
        left: Box<Node>,
        right: Box<Node>,
    },
    Bind {
        name: Box<str>,
        value: Box<Node>,
    },
    Function(Box<Call>),
    /// A call in tail position: evaluated by who called the function it ends.
    TailCall(Box<Call>),
    Partial(Box<Call>),
    /// `?` as an argument.
    Placeholder,
    Lambda(Box<Lambda>),
    Apply {
        left: Box<Node>,
        right: Box<Node>,
    },
    Transform(Box<Transform>),
    Sort(Vec<Term>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Concatenate,
    And,
    Or,
    In,
    Range,
}

impl Operator {
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Concatenate => "&",
            Operator::And => "and",
            Operator::Or => "or",
            Operator::In => "in",
            Operator::Range => "..",
        }
    }

    pub fn from_token(token: &str) -> Option<Operator> {
        Some(match token {
            "+" => Operator::Add,
            "-" => Operator::Subtract,
            "*" => Operator::Multiply,
            "/" => Operator::Divide,
            "%" => Operator::Modulo,
            "=" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            "&" => Operator::Concatenate,
            "and" => Operator::And,
            "or" => Operator::Or,
            "in" => Operator::In,
            _ => return None,
        })
    }
}

impl Node {
    pub fn new(kind: Kind, offset: usize) -> Node {
        Node { kind, offset, keep_array: false, constructs_array: false, tuple: false, extra: None }
    }

    pub fn extra_mut(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub fn predicates(&self) -> &[Node] {
        self.extra.as_ref().map_or(&[], |extra| &extra.predicates)
    }

    pub fn stages(&self) -> &[Stage] {
        self.extra.as_ref().and_then(|extra| extra.stages.as_deref()).unwrap_or_default()
    }

    pub fn group(&self) -> Option<&Group> {
        self.extra.as_ref().and_then(|extra| extra.group.as_ref())
    }

    pub fn focus(&self) -> Option<&str> {
        self.extra.as_ref().and_then(|extra| extra.focus.as_deref())
    }

    pub fn index(&self) -> Option<&str> {
        self.extra.as_ref().and_then(|extra| extra.index.as_deref())
    }

    pub fn ancestor(&self) -> Option<usize> {
        self.extra.as_ref().and_then(|extra| extra.ancestor.as_ref()).map(Label::number)
    }

    /// The nodes directly within it.
    pub fn children<'n>(&'n self, visit: &mut dyn FnMut(&'n Node)) {
        match &self.kind {
            Kind::Path { steps: nodes, .. } | Kind::Array(nodes) | Kind::Block(nodes) => {
                nodes.iter().for_each(&mut *visit)
            }
            Kind::Binary { left, right, .. }
            | Kind::Elvis { left, right }
            | Kind::Coalesce { left, right }
            | Kind::Apply { left, right } => [left, right].into_iter().for_each(|node| visit(node)),
            Kind::Negate(inner) | Kind::Bind { value: inner, .. } => visit(inner),
            Kind::Object(group) => group.children(visit),
            Kind::Condition { condition, then, otherwise } => {
                [condition, then].into_iter().chain(otherwise).for_each(|node| visit(node));
            }
            Kind::Function(call) | Kind::TailCall(call) | Kind::Partial(call) => {
                std::iter::once(&call.procedure).chain(&call.arguments).for_each(&mut *visit);
            }
            Kind::Lambda(lambda) => visit(&lambda.body),
            Kind::Transform(transform) => {
                [&transform.pattern, &transform.update].into_iter().chain(&transform.delete).for_each(&mut *visit);
            }
            Kind::Sort(terms) => terms.iter().for_each(|term| visit(&term.expression)),
            _ => {}
        }
        self.extra.iter().for_each(|extra| extra.children(visit));
    }

    /// What a call of it is said to call.
    pub fn called_name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Variable { name, .. } => Some(name),
            Kind::Path { steps, .. } => match &steps.first()?.kind {
                Kind::Name(name) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}
