use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{BuildError, BuildRequest, Builder, Built, Lines, process};

/// Python sources with what their requirements.txt names.
pub(super) struct Python;

#[async_trait]
impl Builder for Python {
    async fn build(&self, request: &BuildRequest, lines: Lines<'_>) -> Result<Built, BuildError> {
        // A layer's modules lie below `python/`.
        let inside = if request.is_layer { "python" } else { "" };
        let mut parts = Vec::new();
        let requirements = request.code_dir.join("requirements.txt");
        if let Ok(text) = std::fs::read_to_string(&requirements)
            && has_entries(&text)
        {
            parts.push((self.install(request, &requirements, &text, lines).await?, inside.to_owned()));
        }
        parts.push((request.code_dir.clone(), inside.to_owned()));
        Ok(Built { parts })
    }
}

impl Python {
    /// Installs once for the same requirements and runtime.
    async fn install(
        &self,
        request: &BuildRequest,
        requirements: &Path,
        text: &str,
        lines: Lines<'_>,
    ) -> Result<PathBuf, BuildError> {
        let id = &request.logical_id;
        let failed = |e: std::io::Error| BuildError(format!("{id}: make {}: {e}", request.work_dir.display()));
        let hash = hex::encode(&Sha256::digest(format!("{}\0{text}", request.runtime))[..16]);
        let target = request.work_dir.join(format!("python-{hash}"));
        if target.exists() {
            return Ok(target);
        }
        // Installed aside and renamed, so that half an installation is never taken for a whole one.
        let aside = request.work_dir.join(format!("python-{hash}.partial-{id}"));
        if aside.exists() {
            std::fs::remove_dir_all(&aside).map_err(failed)?;
        }
        std::fs::create_dir_all(&aside).map_err(failed)?;
        lines(&format!("installing {}", requirements.display()));
        let mut command = Command::new(interpreter(&request.runtime));
        command
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", "-r"])
            .arg(requirements)
            .arg("-t")
            .arg(&aside);
        process::run(command, "pip install", lines, |_| {}).await.map_err(|e| BuildError(format!("{id}: {e}")))?;
        match std::fs::rename(&aside, &target) {
            // Another build of the same requirements was first.
            Err(_) if target.exists() => drop(std::fs::remove_dir_all(&aside)),
            other => other.map_err(failed)?,
        }
        Ok(target)
    }
}

/// The runtime's own interpreter if the machine has it, any Python 3 otherwise.
fn interpreter(runtime: &str) -> String {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(runtime).is_file()));
    if found && runtime.starts_with("python3.") { runtime.to_owned() } else { "python3".to_owned() }
}

/// Whether a requirements.txt names anything.
fn has_entries(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}
