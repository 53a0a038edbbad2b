//! Templates as text to resolved resources. Pure: no calls, no clock, no chance.

mod check;
mod diagnostic;
mod evaluate;
mod functions;
mod graph;
mod json;
pub mod limits;
mod model;
mod node;
mod parameters;
mod references;
mod sub;
#[cfg(test)]
pub(crate) mod tests;
mod yaml;

pub use check::check;
pub use diagnostic::{Diagnostic, Diagnostics};
pub use evaluate::{Environment, Evaluator, Lookup, Pseudo, conditions};
pub use graph::order;
pub use model::{Output, Policy, Resource, Template};
pub use node::{Entry, Kind, Node, Position};
pub use parameters::{Bound, Given, Parameter, ParameterKind, ParameterValue, bind};
pub use references::{Reference, imports, references};

/// Reads a template's text, JSON or YAML.
pub fn parse(text: &str) -> Result<Node, Diagnostic> {
    if text.len() > limits::TEMPLATE_BYTES_MAX {
        let message = format!(
            "Template format error: the template has {} bytes; at most {} are allowed.",
            text.len(),
            limits::TEMPLATE_BYTES_MAX
        );
        return Err(Diagnostic::new(message, Position::default()));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = text.trim_start();
    let is_json = start.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with(['"', '}']));
    if is_json { json::parse(text) } else { yaml::parse(text) }
}
