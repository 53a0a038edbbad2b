//! What no other tool checks: layers, file sizes, links between documents.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Lines of one source file; tests and data do not count.
const FILE_LINES_MAX: usize = 800;

pub fn check(root: &Path) -> Result<()> {
    let mut findings = layers(root)?;
    findings.extend(sizes(root)?);
    findings.extend(links(root)?);
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings", findings.len());
    }
    Ok(())
}

/// A crate depends only on crates of a smaller layer number (STYLE: layers); development dependencies too.
fn layers(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let packages = metadata["packages"].as_array().context("packages in cargo metadata")?;
    let layer = |p: &Value| p["metadata"]["layer"].as_u64();
    let by_name: BTreeMap<&str, Option<u64>> =
        packages.iter().filter_map(|p| Some((p["name"].as_str()?, layer(p)))).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(own) = layer(package) else {
            findings.push(format!("{name}: no [package.metadata] layer"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            if let Some(Some(other)) = by_name.get(on)
                && *other >= own
            {
                findings.push(format!("{name} (layer {own}) depends on {on} (layer {other})"));
            }
        }
    }
    Ok(findings)
}

fn tracked(root: &Path, pattern: &str) -> Result<Vec<String>> {
    let output = Command::new("git").args(["ls-files", pattern]).current_dir(root).output().context("run git")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn sizes(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in tracked(root, "*.rs")? {
        if file.contains("/tests") || file.ends_with("tests.rs") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else { continue };
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{file}: {lines} lines, split it (at most {FILE_LINES_MAX})"));
        }
    }
    Ok(findings)
}

/// Relative links of Markdown files must lead somewhere.
fn links(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in tracked(root, "*.md")? {
        let Ok(text) = std::fs::read_to_string(root.join(&file)) else { continue };
        let folder = root.join(&file).parent().map(Path::to_owned).unwrap_or_default();
        for part in text.split("](").skip(1) {
            let Some(target) = part.split(')').next() else { continue };
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || target.contains("://") || target.starts_with("mailto:") || path.contains(' ') {
                continue;
            }
            if !folder.join(path).exists() {
                findings.push(format!("{file}: link to {path} leads nowhere"));
            }
        }
    }
    Ok(findings)
}
