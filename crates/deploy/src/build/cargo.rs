use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::Value;
use tokio::process::Command;

use super::{BuildError, BuildRequest, Builder, Built, Lines, process};

/// `rust-cargolambda`: the release binary of a cargo package, as `bootstrap`.
///
/// Plain cargo on the machine it will run on: what SAM's cargo-lambda does beside that is cross-compiling.
pub(super) struct CargoLambda;

#[async_trait]
impl Builder for CargoLambda {
    async fn build(&self, request: &BuildRequest, lines: Lines<'_>) -> Result<Built, BuildError> {
        let id = &request.logical_id;
        let dir = &request.code_dir;
        if !dir.join("Cargo.toml").exists() {
            return Err(BuildError(format!("{id}: {} has no Cargo.toml", dir.display())));
        }
        let wanted = request.properties.get("Binary").and_then(Value::as_str);
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(dir).args(["build", "--release", "--message-format=json-render-diagnostics"]);
        match wanted {
            Some(binary) => command.args(["--bin", binary]),
            None => command.arg("--bins"),
        };
        let mut executables: Vec<(String, PathBuf)> = Vec::new();
        process::run(command, "cargo build", lines, |line| {
            let message: Value = serde_json::from_str(line).unwrap_or_default();
            if message["reason"] == "compiler-artifact"
                && let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
            {
                executables.push((name.to_owned(), path.into()));
            }
        })
        .await
        .map_err(|e| BuildError(format!("{id}: {e}")))?;
        executables.retain(|(name, _)| wanted.is_none_or(|w| w == name));
        match executables.as_slice() {
            [(_, path)] => Ok(Built { parts: vec![(path.clone(), "bootstrap".to_owned())] }),
            [] => Err(BuildError(format!("{id}: {} has no binary", dir.display()))),
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| name.as_str()).collect();
                Err(BuildError(format!(
                    "{id}: several binaries ({}); choose one in Metadata: {{BuildProperties: {{Binary: ...}}}}",
                    names.join(", ")
                )))
            }
        }
    }
}
