use serde::Deserialize;
use service::Fault;

use super::Parameter;

/// `ParameterFilters` of DescribeParameters and GetParametersByPath.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

/// `Filters`, the older form: names by their beginning.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OldFilter {
    key: String,
    values: Vec<String>,
}

impl From<OldFilter> for Filter {
    fn from(old: OldFilter) -> Filter {
        let option = (old.key == "Name").then(|| "BeginsWith".to_owned());
        Filter { key: old.key, option, values: old.values }
    }
}

/// `path` and what lies right below it, or all below it.
pub(super) fn is_below(name: &str, path: &str, recursive: bool) -> bool {
    let path = path.trim_end_matches('/');
    match name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
        Some(rest) => recursive || !rest.contains('/'),
        None => false,
    }
}

impl Filter {
    pub fn check(&self, allowed: &[&str]) -> Result<(), Fault> {
        let key = if self.key.starts_with("tag:") { "tag:" } else { &self.key };
        if !allowed.contains(&key) {
            let message =
                format!("The following filter key is not valid: {}. Valid filter keys include: {allowed:?}.", self.key);
            return Err(Fault::client("InvalidFilterKey", message));
        }
        let options: &[&str] = match key {
            "Name" => &["Equals", "BeginsWith", "Contains"],
            "Path" => &["Recursive", "OneLevel"],
            "Type" | "KeyId" => &["Equals", "BeginsWith"],
            _ => &["Equals"],
        };
        if let Some(option) = &self.option
            && !options.contains(&option.as_str())
        {
            let message =
                format!("The following filter option is not valid: {option}. Valid options include: {options:?}.");
            return Err(Fault::client("InvalidFilterOption", message));
        }
        if self.values.is_empty() && key != "tag:" {
            let message = format!("The following filter values are missing : null for filter key {}", self.key);
            return Err(Fault::client("InvalidFilterValue", message));
        }
        Ok(())
    }

    pub fn matches(&self, parameter: &Parameter) -> bool {
        let option = self.option.as_deref();
        let any = |text: &str| {
            self.values.iter().any(|value| match option {
                Some("BeginsWith") => text.starts_with(value.as_str()),
                Some("Contains") => text.contains(value.as_str()),
                _ => text == value,
            })
        };
        match self.key.as_str() {
            // A name without its leading slash means the same.
            "Name" => any(&parameter.name) || any(parameter.name.trim_start_matches('/')),
            "Path" => {
                let recursive = option == Some("Recursive");
                self.values.iter().any(|path| is_below(&parameter.name, path, recursive))
            }
            "Type" => any(&parameter.kind),
            "KeyId" => parameter.key_id.as_deref().is_some_and(any),
            "Tier" => any(&parameter.tier),
            "DataType" => any(&parameter.data_type),
            key => match key.strip_prefix("tag:").and_then(|tag| parameter.tags.get(tag)) {
                Some(value) => self.values.is_empty() || any(value),
                None => false,
            },
        }
    }
}
