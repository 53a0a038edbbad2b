use std::fmt;

use crate::limits::DIAGNOSTICS_MAX;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    /// As ValidateStateMachineDefinition writes it: `ERROR`, `WARNING`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Warning => "WARNING",
        }
    }
}

/// Where in the text: bytes, and line and column (both from 1, the column in characters) of the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    pub line: usize,
    pub column: usize,
}

/// One finding about a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// AWS's code: `SCHEMA_VALIDATION_FAILED`, `MISSING_TRANSITION_TARGET`, ...
    pub code: &'static str,
    /// AWS's wording where it is known.
    pub message: String,
    /// AWS's location: `/States/Foo/Next`. None where AWS gives none.
    pub location: Option<String>,
    pub span: Span,
    /// What to do: `did you mean 'Resource'?`.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// One line for people: `error at 3:5: message (/States/Foo); did you mean 'Bar'?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, "{severity} at {}:{}: {}", self.span.line, self.span.column, self.message)?;
        if let Some(location) = &self.location {
            write!(f, " ({location})")?;
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// All findings about a definition: those of fields in the order of the text, then those of the graphs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.items.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the definition is refused.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.severity == Severity::Error)
    }

    /// The message of CreateStateMachine's `InvalidDefinition`: `Invalid State Machine Definition: 'CODE: ... at /X'`.
    pub fn aws_message(&self) -> String {
        let errors = self.items.iter().filter(|d| d.severity == Severity::Error).map(|d| match &d.location {
            Some(location) => format!("{}: {} at {location}", d.code, d.message),
            None => format!("{}: {}", d.code, d.message),
        });
        format!("Invalid State Machine Definition: '{}'", errors.collect::<Vec<_>>().join(", "))
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.items.len() < DIAGNOSTICS_MAX {
            self.items.push(diagnostic);
        }
    }

    /// Puts the findings in order and fills in lines and columns, in one pass over the text.
    pub(crate) fn locate(mut self, text: &str) -> Diagnostics {
        let graph = |d: &Diagnostic| matches!(d.code, "MISSING_TRANSITION_TARGET" | "MISSING_END_STATE");
        self.items.sort_by_key(|d| if graph(d) { (true, 0) } else { (false, d.span.start) });
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by_key(|i| self.items[*i].span.start);
        let (mut at, mut line, mut column) = (0, 1, 1);
        for i in order {
            let span = &mut self.items[i].span;
            for c in text[at..span.start.max(at)].chars() {
                (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
            }
            at = span.start.max(at);
            (span.line, span.column) = (line, column);
        }
        self
    }
}

impl<'d> IntoIterator for &'d Diagnostics {
    type Item = &'d Diagnostic;
    type IntoIter = std::slice::Iter<'d, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.aws_message())
    }
}

impl std::error::Error for Diagnostics {}
