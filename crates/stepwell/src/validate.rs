//! `stepwell validate`: what is wrong with a definition, and where.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use crate::server::Usage;

/// Checks state machine definitions; `${Name}` stands for what a template puts there
#[derive(clap::Args)]
pub struct Arguments {
    /// Definitions (JSON); `-` reads standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Returns the exit code: 2 if any definition is refused.
pub fn run(arguments: &Arguments, as_json: bool) -> Result<i32> {
    let mut refused = false;
    let mut output = Vec::new();
    for file in &arguments.files {
        let text = if file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin()).context("read standard input")?
        } else {
            std::fs::read_to_string(file).map_err(|e| Usage(format!("{}: {e}", file.display())))?
        };
        let diagnostics = asl::validate_template(&text);
        refused |= diagnostics.has_errors();
        let name = file.display().to_string();
        if as_json {
            output.push(describe(&name, &diagnostics));
            continue;
        }
        for diagnostic in &diagnostics {
            eprint!("{}", render(&name, &text, diagnostic));
        }
        let (errors, warnings) = count(&diagnostics);
        match (errors, warnings) {
            (0, 0) => println!("{name}: ok"),
            (0, _) => println!("{name}: ok, {}", plural(warnings, "warning")),
            _ => println!("{name}: {}, {}", plural(errors, "error"), plural(warnings, "warning")),
        }
    }
    if as_json {
        println!("{}", serde_json::to_string_pretty(&output)?);
    }
    Ok(if refused { 2 } else { 0 })
}

fn count(diagnostics: &asl::Diagnostics) -> (usize, usize) {
    let errors = diagnostics.iter().filter(|d| d.severity == asl::Severity::Error).count();
    (errors, diagnostics.len() - errors)
}

fn plural(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

fn describe(name: &str, diagnostics: &asl::Diagnostics) -> serde_json::Value {
    let items = diagnostics.iter().map(|d| {
        json!({"severity": d.severity.as_str(), "code": d.code, "message": d.message, "location": d.location,
            "line": d.span.line, "column": d.span.column, "help": d.help})
    });
    json!({"file": name, "result": if diagnostics.has_errors() { "FAIL" } else { "OK" },
        "diagnostics": items.collect::<Vec<_>>()})
}

/// The finding with the line of the text that it is about.
fn render(name: &str, text: &str, d: &asl::Diagnostic) -> String {
    let severity = if d.severity == asl::Severity::Error { "error" } else { "warning" };
    let mut out = format!("{severity}[{}]: {}\n", d.code, d.message);
    let place = d.location.as_deref().map(|l| format!("  ({l})")).unwrap_or_default();
    let _ = writeln!(out, "  --> {name}:{}:{}{place}", d.span.line, d.span.column);
    if let Some(line) = text.lines().nth(d.span.line.saturating_sub(1)) {
        // Minified definitions have lines of any length: show what is around the column.
        let skip = d.span.column.saturating_sub(60);
        let shown: String = line.chars().skip(skip).take(110).collect();
        let wide = text.get(d.span.start..d.span.end).map_or(1, |s| s.lines().next().unwrap_or("").chars().count());
        let before = d.span.column.saturating_sub(1).saturating_sub(skip);
        let marks = wide.clamp(1, shown.chars().count().saturating_sub(before).max(1));
        let number = d.span.line.to_string();
        let pad = " ".repeat(number.len());
        let _ = writeln!(out, "{pad} |\n{number} | {shown}\n{pad} | {}{}", " ".repeat(before), "^".repeat(marks));
    }
    if let Some(help) = &d.help {
        let _ = writeln!(out, "  = help: {help}");
    }
    out.push('\n');
    out
}
