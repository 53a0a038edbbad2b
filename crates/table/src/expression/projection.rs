use std::collections::BTreeMap;

use super::path::Relation;
use super::resolve::{Placeholders, Rank, Resolver};
use super::syntax::parse_projection;
use super::{ExpressionError, Path, Step};
use crate::{AttributeValue, Item};

const RESERVED: Rank = (0, 0, 0);
const UNDEFINED: Rank = (1, 0, 0);
const OVERLAP: Rank = (2, 0, 0);
const CONFLICT: Rank = (3, 0, 0);

/// Which parts of an item are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Projection {
    names: BTreeMap<String, Node>,
}

/// A wanted value: whole, or some of its parts.
#[derive(Clone, Debug, Default, PartialEq)]
struct Node {
    whole: bool,
    parts: BTreeMap<Step, Node>,
}

impl Projection {
    /// Parses a ProjectionExpression.
    pub fn parse(source: &str, placeholders: &mut Placeholders) -> Result<Projection, ExpressionError> {
        let raw = parse_projection(source)?;
        let mut resolver = Resolver::new(placeholders);
        let mut paths: Vec<Path> = Vec::with_capacity(raw.len());
        for path in &raw {
            let path = resolver.path(path, RESERVED, UNDEFINED);
            check_path(&mut resolver, &paths, &path, OVERLAP, CONFLICT);
            paths.push(path);
        }
        resolver.finish()?;
        Ok(Projection::of_paths(&paths))
    }

    /// Wants the values at `paths`.
    pub fn of_paths<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Projection {
        let mut projection = Projection::default();
        for path in paths {
            let mut node = projection.names.entry(path.name().to_owned()).or_default();
            for step in path.steps() {
                node = node.parts.entry(step.clone()).or_default();
            }
            node.whole = true;
        }
        projection
    }

    /// Wants whole attributes.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Projection {
        let whole = || Node { whole: true, parts: BTreeMap::new() };
        Projection { names: names.into_iter().map(|n| (n.to_owned(), whole())).collect() }
    }

    /// The attributes that it begins with.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// What is wanted of `item`. Elements of lists close up; what is not there is left out.
    pub fn apply(&self, item: &Item) -> Item {
        self.names
            .iter()
            .filter_map(|(name, node)| Some((name.clone(), item.get(name).and_then(|value| node.apply(value))?)))
            .collect()
    }
}

impl Node {
    fn apply(&self, value: &AttributeValue) -> Option<AttributeValue> {
        if self.whole {
            return Some(value.clone());
        }
        match value {
            AttributeValue::M(map) => {
                let parts = self.parts.iter().filter_map(|(step, node)| match step {
                    Step::Name(name) => Some((name.clone(), map.get(name).and_then(|v| node.apply(v))?)),
                    Step::Index(_) => None,
                });
                let parts: Item = parts.collect();
                (!parts.is_empty()).then_some(AttributeValue::M(parts))
            }
            AttributeValue::L(list) => {
                let parts = self.parts.iter().filter_map(|(step, node)| match step {
                    Step::Index(index) => list.get(*index).and_then(|v| node.apply(v)),
                    Step::Name(_) => None,
                });
                let parts: Vec<_> = parts.collect();
                (!parts.is_empty()).then_some(AttributeValue::L(parts))
            }
            _ => None,
        }
    }
}

/// Complains if `path` and one before it cannot both be meant.
pub(super) fn check_path(resolver: &mut Resolver<'_>, before: &[Path], path: &Path, overlap: Rank, conflict: Rank) {
    for earlier in before {
        let (rank, how) = match earlier.relation(path) {
            Relation::Apart => continue,
            Relation::Overlap => (overlap, "overlap"),
            Relation::Conflict => (conflict, "conflict"),
        };
        resolver.problem(rank, || {
            let message =
                format!("Two document paths {how} with each other; must remove or rewrite one of these paths");
            format!("{message}; path one: {earlier}, path two: {path}")
        });
    }
}
