use std::fmt;

use super::node::Position;

/// What is wrong with a template, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// AWS's wording where AWS has one.
    pub message: String,
    pub at: Position,
    /// The resource, parameter or output that it is about.
    pub logical_id: Option<String>,
}

impl Diagnostic {
    pub fn new(message: impl Into<String>, at: Position) -> Diagnostic {
        Diagnostic { message: message.into(), at, logical_id: None }
    }

    /// Names the resource, unless a more precise name is there.
    pub fn of(mut self, logical_id: &str) -> Diagnostic {
        self.logical_id.get_or_insert_with(|| logical_id.to_owned());
        self
    }

    /// Gives a place, unless a more precise one is there.
    pub fn at_or(mut self, at: Position) -> Diagnostic {
        if self.at == Position::default() {
            self.at = at;
        }
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (&self.logical_id, self.at.line) {
            (None, 0) => Ok(()),
            (Some(id), 0) => write!(f, " ({id})"),
            (None, line) => write!(f, " (line {line}, column {})", self.at.column),
            (Some(id), line) => write!(f, " ({id}, line {line}, column {})", self.at.column),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// All that is wrong with a template: never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// In the order of the text.
    pub found: Vec<Diagnostic>,
    /// A transform answers with all it found in one message that begins so.
    preface: Option<String>,
}

impl Diagnostics {
    /// The one that matters most: the first in the text.
    pub fn first(&self) -> &Diagnostic {
        &self.found[0]
    }

    /// What an API call answers: one message.
    pub fn message(&self) -> String {
        let Some(preface) = &self.preface else { return self.first().to_string() };
        let mut message = preface.clone();
        for one in &self.found {
            match &one.logical_id {
                Some(id) => message.push_str(&format!(" Resource with id [{id}] is invalid. {}", one.message)),
                None => message.push_str(&format!(" {}", one.message)),
            }
            message.push_str(&format!(" (line {}, column {})", one.at.line, one.at.column));
        }
        message
    }

    /// `Ok` when nothing was found.
    pub(crate) fn unless_empty(found: Vec<Diagnostic>) -> Result<(), Diagnostics> {
        Diagnostics::prefaced(found, None)
    }

    pub(crate) fn prefaced(mut found: Vec<Diagnostic>, preface: Option<String>) -> Result<(), Diagnostics> {
        if found.is_empty() {
            return Ok(());
        }
        found.sort_by_key(|d| d.at);
        found.dedup();
        Err(Diagnostics { found, preface })
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Diagnostics {
        Diagnostics { found: vec![one], preface: None }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, one) in self.found.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{one}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
