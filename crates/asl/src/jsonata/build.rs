//! The raw tree to the one that is evaluated: paths, stages, tail calls, and which steps a `%` needs.

#![expect(clippy::boxed_local, reason = "a raw node is large, and one is passed on at every level")]

use super::ast::{Call, Group, Kind, Label, Lambda, Node, Operator, Program, Stage, Term, Transform};
use super::error::{Failure, Result};
use super::functions;
use super::number::Number;
use super::parse::{Raw, RawKind, RawTerm};
use super::signature::Signature;

pub(super) fn build(raw: Raw) -> Result<Program> {
    let mut builder = Builder { slots: Vec::new() };
    let root = builder.node(raw)?;
    if !seeking(&root).is_empty() {
        return Err(Failure::new("S0217").at(root.offset));
    }
    Ok(Program { root })
}

/// A `%` on its way to the step whose input it means.
struct Slot {
    label: Label,
    /// How many steps are still to go.
    level: i32,
}

struct Builder {
    slots: Vec<Slot>,
}

impl Builder {
    fn node(&mut self, raw: Raw) -> Result<Node> {
        let Raw { kind, offset, keep_array, .. } = raw;
        let mut node = self.kind(kind, offset, keep_array)?;
        node.keep_array |= keep_array;
        Ok(node)
    }

    fn boxed(&mut self, raw: Box<Raw>) -> Result<Box<Node>> {
        self.node(*raw).map(Box::new)
    }

    // Every kind has a function of its own: the frame of this one lies on the stack once a level.
    fn kind(&mut self, kind: RawKind, offset: usize, keep_array: bool) -> Result<Node> {
        match kind {
            RawKind::Name(name) => Ok(name_path(name, offset, keep_array)),
            RawKind::Word(word) => Ok(name_path(word.to_owned(), offset, keep_array)),
            RawKind::Parent => Ok(self.parent(offset)),
            RawKind::Dot(left, right) => self.dot(left, right, offset),
            RawKind::Filter(left, predicate) => self.filter(left, predicate, offset),
            RawKind::Group(left, pairs) => self.group(left, pairs, offset),
            RawKind::Sort(left, terms) => self.sort(left, terms, offset),
            RawKind::Focus(left, name) => self.focus(left, name, offset, keep_array),
            RawKind::Index(left, name) => self.index(left, name),
            RawKind::Binary(operator, left, right) => self.binary(operator, left, right, offset),
            RawKind::Elvis(left, right) => self.elvis(left, right, offset),
            RawKind::Coalesce(left, right) => self.coalesce(left, right, offset),
            RawKind::Apply(left, right) => self.apply(left, right, offset),
            RawKind::Negate(inner) => self.negate(inner, offset),
            RawKind::Array(items) => self.nodes(items, offset, Kind::Array),
            RawKind::Object(pairs) => self.object(pairs, offset),
            RawKind::Block(expressions) => self.block(expressions, offset),
            RawKind::Bind(name, value) => self.bind(name, value, offset),
            RawKind::Condition(condition, then, otherwise) => self.condition(condition, then, otherwise, offset),
            RawKind::Call { procedure, arguments, partial } => self.call(procedure, arguments, partial, offset),
            RawKind::Lambda { parameters, signature, body } => self.lambda(parameters, signature, body, offset),
            RawKind::Transform(pattern, update, delete) => self.transform(pattern, update, delete, offset),
            leaf => Ok(Node::new(leaf_kind(leaf), offset)),
        }
    }

    fn bind(&mut self, name: String, value: Box<Raw>, offset: usize) -> Result<Node> {
        let value = self.boxed(value)?;
        let inherited = seeking(&value).to_vec();
        Ok(inherit(Node::new(Kind::Bind { name: name.into(), value }, offset), inherited))
    }

    fn condition(
        &mut self,
        condition: Box<Raw>,
        then: Box<Raw>,
        otherwise: Option<Box<Raw>>,
        offset: usize,
    ) -> Result<Node> {
        let (condition, then) = (self.boxed(condition)?, self.boxed(then)?);
        let otherwise = otherwise.map(|otherwise| self.boxed(otherwise)).transpose()?;
        let parts = [Some(&condition), Some(&then), otherwise.as_ref()];
        let inherited = parts.iter().flatten().flat_map(|part| seeking(part).to_vec()).collect();
        Ok(inherit(Node::new(Kind::Condition { condition, then, otherwise }, offset), inherited))
    }

    fn lambda(
        &mut self,
        parameters: Vec<String>,
        signature: Option<Signature>,
        body: Box<Raw>,
        offset: usize,
    ) -> Result<Node> {
        let body = tail_call(self.node(*body)?);
        let parameters = parameters.into_iter().map(Into::into).collect();
        Ok(Node::new(Kind::Lambda(Box::new(Lambda { parameters, signature, body })), offset))
    }

    fn transform(
        &mut self,
        pattern: Box<Raw>,
        update: Box<Raw>,
        delete: Option<Box<Raw>>,
        offset: usize,
    ) -> Result<Node> {
        let (pattern, update) = (self.node(*pattern)?, self.node(*update)?);
        let delete = delete.map(|delete| self.node(*delete)).transpose()?;
        Ok(Node::new(Kind::Transform(Box::new(Transform { pattern, update, delete })), offset))
    }

    fn binary(&mut self, operator: Operator, left: Box<Raw>, right: Box<Raw>, offset: usize) -> Result<Node> {
        self.pair(left, right, offset, |left, right| Kind::Binary { operator, left, right })
    }

    fn elvis(&mut self, left: Box<Raw>, right: Box<Raw>, offset: usize) -> Result<Node> {
        self.pair(left, right, offset, |left, right| Kind::Elvis { left, right })
    }

    fn coalesce(&mut self, left: Box<Raw>, right: Box<Raw>, offset: usize) -> Result<Node> {
        self.pair(left, right, offset, |left, right| Kind::Coalesce { left, right })
    }

    fn parent(&mut self, offset: usize) -> Node {
        let label = Label::new(self.slots.len());
        self.slots.push(Slot { label: label.clone(), level: 1 });
        inherit(Node::new(Kind::Parent(label), offset), vec![self.slots.len() - 1])
    }

    fn pair(
        &mut self,
        left: Box<Raw>,
        right: Box<Raw>,
        offset: usize,
        kind: impl FnOnce(Box<Node>, Box<Node>) -> Kind,
    ) -> Result<Node> {
        let (left, right) = (self.boxed(left)?, self.boxed(right)?);
        let inherited = [seeking(&left), seeking(&right)].concat();
        Ok(inherit(Node::new(kind(left, right), offset), inherited))
    }

    fn nodes(&mut self, raws: Vec<Raw>, offset: usize, kind: impl FnOnce(Vec<Node>) -> Kind) -> Result<Node> {
        let nodes = raws.into_iter().map(|raw| self.node(raw)).collect::<Result<Vec<_>>>()?;
        let inherited = nodes.iter().flat_map(|node| seeking(node).to_vec()).collect();
        Ok(inherit(Node::new(kind(nodes), offset), inherited))
    }

    fn pairs(&mut self, pairs: Vec<(Raw, Raw)>) -> Result<Vec<(Node, Node)>> {
        pairs.into_iter().map(|(key, value)| Ok((self.node(key)?, self.node(value)?))).collect()
    }

    fn object(&mut self, pairs: Vec<(Raw, Raw)>, offset: usize) -> Result<Node> {
        let pairs = self.pairs(pairs)?;
        let inherited = pairs.iter().flat_map(|(key, value)| [seeking(key), seeking(value)].concat()).collect();
        Ok(inherit(Node::new(Kind::Object(Group { pairs, offset }), offset), inherited))
    }

    fn block(&mut self, expressions: Vec<Raw>, offset: usize) -> Result<Node> {
        let mut node = self.nodes(expressions, offset, Kind::Block)?;
        if let Kind::Block(expressions) = &node.kind {
            node.constructs_array = expressions.iter().any(|expression| match &expression.kind {
                Kind::Path { steps, .. } => steps[0].constructs_array,
                _ => expression.constructs_array,
            });
        }
        Ok(node)
    }

    fn negate(&mut self, inner: Box<Raw>, offset: usize) -> Result<Node> {
        let mut inner = self.node(*inner)?;
        if let Kind::Number(number) = &mut inner.kind {
            *number = match *number {
                Number::Int(int) => int.checked_neg().map_or(Number::from(-(int as f64)), Number::Int),
                Number::Float(float) => Number::from(-float),
            };
            return Ok(inner);
        }
        let inherited = seeking(&inner).to_vec();
        Ok(inherit(Node::new(Kind::Negate(Box::new(inner)), offset), inherited))
    }

    fn apply(&mut self, left: Box<Raw>, right: Box<Raw>, offset: usize) -> Result<Node> {
        let (left, right) = (self.boxed(left)?, self.boxed(right)?);
        let keep_array = left.keep_array || right.keep_array;
        Ok(Node { keep_array, ..Node::new(Kind::Apply { left, right }, offset) })
    }

    fn call(&mut self, procedure: Box<Raw>, arguments: Vec<Raw>, partial: bool, offset: usize) -> Result<Node> {
        let arguments = arguments.into_iter().map(|raw| self.node(raw)).collect::<Result<Vec<_>>>()?;
        let procedure = self.node(*procedure)?;
        let inherited = arguments.iter().flat_map(|argument| seeking(argument).to_vec()).collect();
        let call = Box::new(Call { procedure, arguments });
        let kind = if partial { Kind::Partial(call) } else { Kind::Function(call) };
        Ok(inherit(Node::new(kind, offset), inherited))
    }

    fn dot(&mut self, left: Box<Raw>, right: Box<Raw>, offset: usize) -> Result<Node> {
        let left = self.node(*left)?;
        let mut path = match left.kind {
            Kind::Path { .. } => left,
            _ => {
                let inherited = if matches!(left.kind, Kind::Parent(_)) { seeking(&left).to_vec() } else { Vec::new() };
                inherit(path_of(left, offset), inherited)
            }
        };
        let mut right = self.node(*right)?;
        let Kind::Path { steps, keep_singleton } = &mut path.kind else { return Ok(path) };
        match right.kind {
            Kind::Path { steps: more, .. } => steps.extend(more),
            _ => {
                if let Some(extra) = &mut right.extra
                    && !extra.predicates.is_empty()
                {
                    let filters = std::mem::take(&mut extra.predicates).into_iter().map(Stage::Filter);
                    extra.stages.get_or_insert_default().extend(filters);
                }
                steps.push(right);
            }
        }
        finish_steps(steps, keep_singleton)?;
        self.resolve(&mut path)?;
        Ok(path)
    }

    fn filter(&mut self, left: Box<Raw>, predicate: Box<Raw>, offset: usize) -> Result<Node> {
        let mut node = self.node(*left)?;
        let predicate = self.node(*predicate)?;
        let is_path = matches!(node.kind, Kind::Path { .. });
        // A path's grouping is no matter: its predicates go to its last step, as in the reference.
        let step = last_step(&mut node);
        if step.group().is_some() {
            return Err(Failure::new("S0209").at(offset));
        }
        let slots = seeking(&predicate).to_vec();
        for slot in &slots {
            match self.slots[*slot].level {
                1 => self.seek(step, *slot)?,
                _ => self.slots[*slot].level -= 1,
            }
        }
        if !slots.is_empty() {
            step.extra_mut().seeking.extend(slots);
        }
        match is_path {
            true => step.extra_mut().stages.get_or_insert_default().push(Stage::Filter(predicate)),
            false => step.extra_mut().predicates.push(predicate),
        }
        Ok(node)
    }

    fn group(&mut self, left: Box<Raw>, pairs: Vec<(Raw, Raw)>, offset: usize) -> Result<Node> {
        let mut node = self.node(*left)?;
        if node.group().is_some() {
            return Err(Failure::new("S0210").at(offset));
        }
        let pairs = self.pairs(pairs)?;
        node.extra_mut().group = Some(Group { pairs, offset });
        Ok(node)
    }

    fn sort(&mut self, left: Box<Raw>, terms: Vec<RawTerm>, offset: usize) -> Result<Node> {
        let left = self.node(*left)?;
        let mut path = if matches!(left.kind, Kind::Path { .. }) { left } else { path_of(left, offset) };
        let mut inherited = Vec::new();
        let mut sorted = Vec::with_capacity(terms.len());
        for term in terms {
            let expression = self.node(term.expression)?;
            inherited.extend_from_slice(seeking(&expression));
            sorted.push(Term { expression, descending: term.descending });
        }
        if let Kind::Path { steps, .. } = &mut path.kind {
            steps.push(inherit(Node::new(Kind::Sort(sorted), offset), inherited));
        }
        self.resolve(&mut path)?;
        Ok(path)
    }

    fn focus(&mut self, left: Box<Raw>, name: String, offset: usize, keep_array: bool) -> Result<Node> {
        let mut node = self.node(*left)?;
        let step = last_step(&mut node);
        if !step.predicates().is_empty() || step.extra.as_ref().is_some_and(|extra| extra.stages.is_some()) {
            return Err(Failure::new("S0215").at(offset));
        }
        if matches!(step.kind, Kind::Sort(_)) {
            return Err(Failure::new("S0216").at(offset));
        }
        step.keep_array |= keep_array;
        step.extra_mut().focus = Some(name.into());
        step.tuple = true;
        Ok(node)
    }

    fn index(&mut self, left: Box<Raw>, name: String) -> Result<Node> {
        let mut node = self.node(*left)?;
        if !matches!(node.kind, Kind::Path { .. }) {
            if let Some(extra) = &mut node.extra
                && !extra.predicates.is_empty()
            {
                let filters = std::mem::take(&mut extra.predicates).into_iter().map(Stage::Filter);
                extra.stages = Some(filters.collect());
            }
            let offset = node.offset;
            node = path_of(node, offset);
        }
        let step = last_step(&mut node);
        step.tuple = true;
        let extra = step.extra_mut();
        match &mut extra.stages {
            Some(stages) => stages.push(Stage::Index(name.into())),
            None => extra.index = Some(name.into()),
        }
        Ok(node)
    }

    /// Finds the steps that the last step's `%` mean.
    fn resolve(&mut self, path: &mut Node) -> Result<()> {
        let Kind::Path { steps, .. } = &mut path.kind else { return Ok(()) };
        let Some((last, before)) = steps.split_last_mut() else { return Ok(()) };
        let mut unresolved = Vec::new();
        for slot in seeking(last).to_vec() {
            let mut index = before.len();
            while self.slots[slot].level > 0 {
                if index == 0 {
                    unresolved.push(slot);
                    break;
                }
                index -= 1;
                // Of steps that bind a focus one after the other all have the same input.
                while index > 0 && before[index].focus().is_some() && before[index - 1].focus().is_some() {
                    index -= 1;
                }
                self.seek(&mut before[index], slot)?;
            }
        }
        if !unresolved.is_empty() {
            path.extra_mut().seeking.extend(unresolved);
        }
        Ok(())
    }

    /// One step further left for a `%`.
    fn seek(&mut self, node: &mut Node, slot: usize) -> Result<()> {
        match &mut node.kind {
            Kind::Name(_) | Kind::Wildcard => {
                self.slots[slot].level -= 1;
                if self.slots[slot].level == 0 {
                    let label = &self.slots[slot].label;
                    let extra = node.extra.get_or_insert_default();
                    match &extra.ancestor {
                        Some(known) => label.become_same_as(known),
                        None => extra.ancestor = Some(label.clone()),
                    }
                    node.tuple = true;
                }
            }
            Kind::Parent(_) => self.slots[slot].level += 1,
            Kind::Block(expressions) => {
                if let Some(last) = expressions.last_mut() {
                    node.tuple = true;
                    self.seek(last, slot)?;
                }
            }
            Kind::Path { steps, .. } => {
                node.tuple = true;
                for step in steps.iter_mut().rev() {
                    self.seek(step, slot)?;
                    if self.slots[slot].level <= 0 {
                        break;
                    }
                }
            }
            _ => return Err(Failure::new("S0217").at(node.offset)),
        }
        Ok(())
    }
}

/// What has nothing within it.
fn leaf_kind(kind: RawKind) -> Kind {
    match kind {
        RawKind::Variable(name) => Kind::Variable { builtin: functions::find(&name), name: name.into() },
        RawKind::Text(text) => Kind::Text(text.into()),
        RawKind::Number(number) => Kind::Number(number),
        RawKind::Bool(value) => Kind::Bool(value),
        RawKind::Regex(regex) => Kind::Regex(regex),
        RawKind::Placeholder => Kind::Placeholder,
        RawKind::Wildcard => Kind::Wildcard,
        RawKind::Descendant => Kind::Descendant,
        _ => Kind::Null,
    }
}

fn name_path(name: String, offset: usize, keep_array: bool) -> Node {
    let step = Node { keep_array, ..Node::new(Kind::Name(name.into()), offset) };
    Node::new(Kind::Path { steps: vec![step], keep_singleton: keep_array }, offset)
}

fn path_of(step: Node, offset: usize) -> Node {
    Node::new(Kind::Path { steps: vec![step], keep_singleton: false }, offset)
}

/// Texts are names here, other literals are no steps; what the path keeps as an array.
fn finish_steps(steps: &mut [Node], keep_singleton: &mut bool) -> Result<()> {
    for step in steps.iter_mut() {
        let value = match &step.kind {
            Kind::Number(number) => number.to_text(),
            Kind::Bool(value) => value.to_string(),
            Kind::Null => "null".to_owned(),
            Kind::Text(text) => {
                step.kind = Kind::Name(text.clone());
                continue;
            }
            _ => continue,
        };
        let mut failure = Failure::new("S0213").at(step.offset);
        failure.value = Some(value);
        return Err(failure);
    }
    *keep_singleton |= steps.iter().any(|step| step.keep_array);
    let last = steps.len() - 1;
    for index in [0, last] {
        if matches!(steps[index].kind, Kind::Array(_)) {
            steps[index].constructs_array = true;
        }
    }
    Ok(())
}

fn last_step(node: &mut Node) -> &mut Node {
    let is_path = matches!(&node.kind, Kind::Path { steps, .. } if !steps.is_empty());
    if !is_path {
        return node;
    }
    let Kind::Path { steps, .. } = &mut node.kind else { unreachable!("a path, as was seen") };
    let last = steps.len() - 1;
    &mut steps[last]
}

fn seeking(node: &Node) -> &[usize] {
    node.extra.as_ref().map_or(&[], |extra| &extra.seeking)
}

fn inherit(mut node: Node, slots: Vec<usize>) -> Node {
    if !slots.is_empty() {
        node.extra_mut().seeking.extend(slots);
    }
    node
}

/// A call that ends a function is left to whoever called the function.
fn tail_call(mut node: Node) -> Node {
    node.kind = match node.kind {
        Kind::Function(call)
            if node.extra.as_ref().is_none_or(|extra| extra.predicates.is_empty() && extra.group.is_none()) =>
        {
            Kind::TailCall(call)
        }
        Kind::Condition { condition, then, otherwise } => Kind::Condition {
            condition,
            then: Box::new(tail_call(*then)),
            otherwise: otherwise.map(|otherwise| Box::new(tail_call(*otherwise))),
        },
        Kind::Block(mut expressions) => {
            let last = expressions.pop().map(tail_call);
            expressions.extend(last);
            Kind::Block(expressions)
        }
        kind => kind,
    };
    node
}
