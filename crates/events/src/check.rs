//! Constraints of the service's model, all that are broken in one fault.

use service::Fault;

/// What is wrong with an input, as it is found.
#[derive(Default)]
pub(crate) struct Checks {
    broken: Vec<String>,
}

impl Checks {
    fn fail(&mut self, value: Option<&str>, member: &str, constraint: &str) {
        let value = match value {
            Some(value) => format!("Value '{}'", value.chars().take(256).collect::<String>()),
            None => "Value".to_owned(),
        };
        self.broken.push(format!("{value} at '{member}' failed to satisfy constraint: {constraint}"));
    }

    /// Length in characters. A secret's value is not shown.
    pub fn length(&mut self, value: &str, member: &str, min: usize, max: usize, secret: bool) {
        let count = value.chars().count();
        let shown = (!secret).then_some(value);
        if count < min {
            self.fail(shown, member, &format!("Member must have length greater than or equal to {min}"));
        } else if count > max {
            self.fail(shown, member, &format!("Member must have length less than or equal to {max}"));
        }
    }

    pub fn pattern(&mut self, value: &str, member: &str, pattern: &str, secret: bool, fits: impl Fn(&str) -> bool) {
        if !fits(value) {
            let constraint = format!("Member must satisfy regular expression pattern: {pattern}");
            self.fail((!secret).then_some(value), member, &constraint);
        }
    }

    pub fn one_of(&mut self, value: &str, member: &str, words: &[&str]) {
        if !words.contains(&value) {
            let constraint = format!("Member must satisfy enum value set: [{}]", words.join(", "));
            self.fail(Some(value), member, &constraint);
        }
    }

    pub fn count(&mut self, count: usize, member: &str, max: usize) {
        if count > max {
            self.fail(None, member, &format!("Member must have length less than or equal to {max}"));
        }
    }

    pub fn required<T>(&mut self, value: Option<&T>, member: &str) {
        if value.is_none() {
            let constraint = "failed to satisfy constraint: Member must not be null";
            self.broken.push(format!("Value null at '{member}' {constraint}"));
        }
    }

    pub fn name(&mut self, name: &str) {
        self.length(name, "name", 1, 64, false);
        self.pattern(name, "name", "[\\.\\-_A-Za-z0-9]+", false, |name| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c))
        });
    }

    pub fn done(self) -> Result<(), Fault> {
        let count = self.broken.len();
        match count {
            0 => Ok(()),
            1 => Err(Fault::validation(format!("1 validation error detected: {}", self.broken[0]))),
            _ => Err(Fault::validation(format!("{count} validation errors detected: {}", self.broken.join("; ")))),
        }
    }
}
