//! Code folders of local templates to archives, by SAM's `Metadata.BuildMethod`.

mod archive;
mod cargo;
mod process;
mod python;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::Value;

pub use archive::{UNZIPPED_BYTES_MAX, archive};

/// One function or layer to build.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    pub logical_id: String,
    /// The folder that `CodeUri` or `ContentUri` names.
    pub code_dir: PathBuf,
    pub runtime: String,
    /// `Metadata.BuildMethod`.
    pub method: Option<String>,
    /// `Metadata.BuildProperties`, or null.
    pub properties: Value,
    /// Where builders may keep things between builds.
    pub work_dir: PathBuf,
    pub is_layer: bool,
}

/// Why a build failed, with what its tool said last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(pub String);

/// Where a builder tells what it does, line by line.
pub type Lines<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What a builder made: folders to lay over each other in one archive, later ones winning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// Each a folder or file and where it lies in the archive.
    pub parts: Vec<(PathBuf, String)>,
}

/// One build method.
#[async_trait]
pub trait Builder: Send + Sync {
    async fn build(&self, request: &BuildRequest, lines: Lines<'_>) -> Result<Built, BuildError>;
}

/// The builder for a request: its method, or its runtime's habit.
pub fn builder(request: &BuildRequest) -> Result<&'static dyn Builder, BuildError> {
    let id = &request.logical_id;
    match request.method.as_deref() {
        Some("rust-cargolambda") => Ok(&cargo::CargoLambda),
        Some(method) if method.starts_with("python3") => Ok(&python::Python),
        Some("makefile") => Err(BuildError(format!(
            "{id}: BuildMethod makefile is not supported; build into a folder and name it in CodeUri"
        ))),
        Some(method) if method.starts_with("nodejs") => Ok(&Copied),
        Some(method) => Err(BuildError(format!(
            "{id}: BuildMethod {method} is not supported; supported are rust-cargolambda, python3.x and nodejs"
        ))),
        None if request.runtime.starts_with("python") && !request.is_layer => Ok(&python::Python),
        None => Ok(&Copied),
    }
}

/// The folder as it is.
struct Copied;

#[async_trait]
impl Builder for Copied {
    async fn build(&self, request: &BuildRequest, _: Lines<'_>) -> Result<Built, BuildError> {
        let (id, dir) = (&request.logical_id, &request.code_dir);
        let has = |name: &str| dir.join(name).exists();
        if request.runtime.starts_with("provided") && !request.is_layer && !has("bootstrap") {
            let hint = if has("Cargo.toml") { "; for Rust, set Metadata: {BuildMethod: rust-cargolambda}" } else { "" };
            return Err(BuildError(format!("{id}: {} has no file 'bootstrap'{hint}", dir.display())));
        }
        if request.runtime.starts_with("nodejs") && needs_modules(dir) && !has("node_modules") {
            return Err(BuildError(format!("{id}: run 'npm install' in {} first", dir.display())));
        }
        Ok(Built { parts: vec![(dir.clone(), String::new())] })
    }
}

/// Whether a package.json names dependencies.
fn needs_modules(dir: &Path) -> bool {
    let Ok(text) = std::fs::read(dir.join("package.json")) else { return false };
    let package: Value = serde_json::from_slice(&text).unwrap_or_default();
    package["dependencies"].as_object().is_some_and(|d| !d.is_empty())
}
