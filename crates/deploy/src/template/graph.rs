//! In which order resources are made.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::Diagnostic;
use super::model::{Resource, Template};
use super::references::references;

/// The active resources in an order in which each comes after what it needs, with the names of what it needs.
///
/// Among those that are free to go, the order of the template decides.
pub fn order<'t>(
    template: &'t Template,
    conditions: &BTreeMap<String, bool>,
) -> Result<Vec<(&'t Resource, BTreeSet<String>)>, Diagnostic> {
    let active: Vec<&Resource> = template.resources.iter().filter(|r| is_active(r, conditions)).collect();
    let names: BTreeSet<&str> = active.iter().map(|r| r.logical_id.as_str()).collect();
    let needs: Vec<BTreeSet<String>> = active
        .iter()
        .map(|resource| {
            let explicit = resource.depends_on.iter().map(|(name, _)| name.clone());
            let implicit = references(&resource.properties, Some(conditions)).into_iter().map(|r| r.name);
            // A dependency on what a condition leaves out is none; a parameter is none either.
            explicit.chain(implicit).filter(|name| names.contains(name.as_str())).collect()
        })
        .collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut waiting: Vec<usize> = (0..active.len()).collect();
    let mut ordered = Vec::with_capacity(active.len());
    while !waiting.is_empty() {
        let ready = |i: &usize| needs[*i].iter().all(|n| done.contains(n.as_str()));
        let Some(next) = waiting.iter().position(ready) else {
            return Err(cycle(&active, &needs, &waiting));
        };
        let index = waiting.remove(next);
        done.insert(&active[index].logical_id);
        ordered.push((active[index], needs[index].clone()));
    }
    Ok(ordered)
}

fn is_active(resource: &Resource, conditions: &BTreeMap<String, bool>) -> bool {
    resource.condition.as_ref().is_none_or(|(name, _)| conditions.get(name).copied().unwrap_or(false))
}

/// Names the resources of the cycle alone, not those that only wait for it.
fn cycle(active: &[&Resource], needs: &[BTreeSet<String>], waiting: &[usize]) -> Diagnostic {
    let mut left: BTreeSet<usize> = waiting.iter().copied().collect();
    loop {
        let needed: BTreeSet<&str> = left.iter().flat_map(|i| needs[*i].iter().map(String::as_str)).collect();
        let before = left.len();
        left.retain(|i| needed.contains(active[*i].logical_id.as_str()));
        if left.len() == before {
            break;
        }
    }
    let names = left.iter().map(|i| active[*i].logical_id.as_str()).collect::<Vec<_>>().join(", ");
    let at = left.first().map(|i| active[*i].at).unwrap_or_default();
    Diagnostic::new(format!("Circular dependency between resources: [{names}]"), at)
}
