//! What an expression reads of its surroundings, told without running it.

use std::collections::BTreeSet;

use super::ast::{Kind, Node, Program, Stage};
use super::{TopLevelReference, VariableUse};

/// The variables it does not bind itself, and the names it reads where there is no context item, in order of
/// appearance.
pub(super) fn scan(program: &Program) -> (Vec<VariableUse>, Vec<TopLevelReference>) {
    let mut scan = Scan { scopes: Vec::new(), lambda: 0, variables: Vec::new(), references: Vec::new() };
    scan.within([&program.root].into_iter(), |scan| scan.node(&program.root, true));
    scan.variables.sort_by_key(|variable| variable.offset);
    scan.variables.dedup();
    scan.references.sort_by_key(|reference| reference.offset);
    scan.references.dedup();
    (scan.variables, scan.references)
}

struct Scan<'p> {
    /// From the outside in.
    scopes: Vec<Scope<'p>>,
    /// How many scopes lie around the function that is looked at.
    lambda: usize,
    variables: Vec<VariableUse>,
    references: Vec<TopLevelReference>,
}

#[derive(Default)]
struct Scope<'p> {
    /// Names bound so far.
    bound: BTreeSet<&'p str>,
    /// Names bound at its end: what a function defined in it may see by the time it is called.
    all: BTreeSet<&'p str>,
}

impl<'p> Scan<'p> {
    /// `top`: there is no context item but the (absent) document.
    fn node(&mut self, node: &'p Node, top: bool) {
        match &node.kind {
            Kind::Path { steps, .. } => self.path(steps, top),
            Kind::Name(name) => self.reference(name, node.offset, top),
            Kind::Wildcard => self.reference("*", node.offset, top),
            Kind::Descendant => self.reference("**", node.offset, top),
            Kind::Variable { name, builtin } => self.variable(name, builtin.is_some(), None, node.offset, top),
            Kind::Binary { left, right, .. }
            | Kind::Elvis { left, right }
            | Kind::Coalesce { left, right }
            | Kind::Apply { left, right } => {
                self.node(left, top);
                self.node(right, top);
            }
            Kind::Negate(inner) => self.node(inner, top),
            Kind::Array(items) => items.iter().for_each(|item| self.node(item, top)),
            Kind::Object(group) => group.pairs.iter().for_each(|(key, value)| {
                self.node(key, top);
                self.node(value, top);
            }),
            Kind::Block(expressions) => {
                self.within(expressions.iter(), |scan| expressions.iter().for_each(|inner| scan.node(inner, top)));
            }
            Kind::Condition { condition, then, otherwise } => {
                self.node(condition, top);
                self.node(then, top);
                otherwise.iter().for_each(|otherwise| self.node(otherwise, top));
            }
            Kind::Bind { name, value } => {
                self.node(value, top);
                self.bind(name);
            }
            Kind::Function(call) | Kind::TailCall(call) | Kind::Partial(call) => {
                self.node(&call.procedure, top);
                call.arguments.iter().for_each(|argument| self.node(argument, top));
            }
            Kind::Lambda(lambda) => {
                let around = std::mem::replace(&mut self.lambda, self.scopes.len());
                self.within([&lambda.body].into_iter(), |scan| {
                    lambda.parameters.iter().for_each(|name| scan.bind(name));
                    scan.node(&lambda.body, top);
                });
                self.lambda = around;
            }
            Kind::Transform(transform) => {
                self.node(&transform.pattern, false);
                self.node(&transform.update, false);
                transform.delete.iter().for_each(|delete| self.node(delete, false));
            }
            Kind::Sort(terms) => terms.iter().for_each(|term| self.node(&term.expression, false)),
            Kind::Text(_)
            | Kind::Number(_)
            | Kind::Bool(_)
            | Kind::Null
            | Kind::Regex(_)
            | Kind::Parent(_)
            | Kind::Placeholder => {}
        }
        self.extra(node);
    }

    /// Predicates and grouping see the items of what they follow.
    fn extra(&mut self, node: &'p Node) {
        let Some(extra) = &node.extra else { return };
        for name in [&extra.focus, &extra.index].into_iter().flatten() {
            self.bind(name);
        }
        extra.predicates.iter().for_each(|predicate| self.node(predicate, false));
        for stage in extra.stages.iter().flatten() {
            match stage {
                Stage::Filter(predicate) => self.node(predicate, false),
                Stage::Index(name) => self.bind(name),
            }
        }
        for (key, value) in extra.group.iter().flat_map(|group| &group.pairs) {
            self.node(key, false);
            self.node(value, false);
        }
    }

    fn path(&mut self, steps: &'p [Node], top: bool) {
        for (index, step) in steps.iter().enumerate() {
            let member = match steps.get(index + 1).map(|next| &next.kind) {
                Some(Kind::Name(member)) => Some(&**member),
                _ => None,
            };
            match &step.kind {
                Kind::Variable { name, builtin } => {
                    self.variable(name, builtin.is_some(), member, step.offset, top && index == 0);
                    self.extra(step);
                }
                _ => self.node(step, top && index == 0),
            }
        }
    }

    fn variable(&mut self, name: &'p str, is_function: bool, member: Option<&str>, offset: usize, top: bool) {
        match name {
            "" => self.reference("$", offset, top),
            "$" => self.reference("$$", offset, true),
            _ if is_function || self.is_bound(name) => {}
            _ => {
                let member = member.filter(|_| name == "states").map(Into::into);
                self.variables.push(VariableUse { name: name.into(), member, offset });
            }
        }
    }

    fn reference(&mut self, name: &str, offset: usize, top: bool) {
        if top {
            self.references.push(TopLevelReference { name: name.into(), offset });
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        let bound = |(index, scope): (usize, &Scope<'_>)| {
            scope.bound.contains(name) || index < self.lambda && scope.all.contains(name)
        };
        self.scopes.iter().enumerate().any(bound)
    }

    fn bind(&mut self, name: &'p str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.bound.insert(name);
        }
    }

    fn within(&mut self, nodes: impl Iterator<Item = &'p Node>, run: impl FnOnce(&mut Self)) {
        let mut scope = Scope::default();
        nodes.for_each(|node| collect(node, &mut scope.all));
        self.scopes.push(scope);
        run(self);
        self.scopes.pop();
    }
}

/// The names bound in this scope, not in those within it.
fn collect<'p>(node: &'p Node, names: &mut BTreeSet<&'p str>) {
    match &node.kind {
        Kind::Block(_) | Kind::Lambda(_) => return,
        Kind::Bind { name, .. } => {
            names.insert(name);
        }
        _ => {}
    }
    node.children(&mut |child| collect(child, names));
}
