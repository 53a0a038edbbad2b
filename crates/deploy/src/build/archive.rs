//! ZIP archives of folders: the same content is the same bytes.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{BuildError, Built};

/// Lambda's bound on an unpacked package.
pub const UNZIPPED_BYTES_MAX: u64 = 250 * 1024 * 1024;
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 64;

/// What never belongs into a package.
const LEFT_OUT: [&str; 6] = ["__pycache__", ".git", ".venv", ".pytest_cache", ".aws-sam", ".stepwell"];

/// Packs what was built. Blocks.
pub fn archive(built: &Built) -> Result<Vec<u8>, BuildError> {
    let mut files = BTreeMap::new();
    for (path, inside) in &built.parts {
        if path.is_dir() {
            collect(path, inside, 0, &mut files)?;
        } else {
            files.insert(inside.clone(), path.clone());
        }
    }
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut total = 0u64;
    for (name, path) in files {
        let failed = |what: &dyn std::fmt::Display| BuildError(format!("pack {}: {what}", path.display()));
        let content = std::fs::read(&path).map_err(|e| failed(&e))?;
        total += content.len() as u64;
        if total > UNZIPPED_BYTES_MAX {
            return Err(BuildError(format!("Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes")));
        }
        let mode = std::fs::metadata(&path).map_err(|e| failed(&e))?.permissions().mode();
        let options = zip::write::SimpleFileOptions::default()
            .last_modified_time(zip::DateTime::default())
            .compression_level(Some(3))
            .unix_permissions(if mode & 0o111 == 0 { 0o644 } else { 0o755 });
        writer.start_file(name, options).map_err(|e| failed(&e))?;
        writer.write_all(&content).map_err(|e| failed(&e))?;
    }
    writer.finish().map(Cursor::into_inner).map_err(|e| BuildError(format!("pack: {e}")))
}

fn collect(dir: &Path, inside: &str, depth: usize, files: &mut BTreeMap<String, PathBuf>) -> Result<(), BuildError> {
    let failed = |e: std::io::Error| BuildError(format!("read {}: {e}", dir.display()));
    if depth > DEPTH_MAX {
        return Err(BuildError(format!("{} lies deeper than {DEPTH_MAX} folders, or links to itself", dir.display())));
    }
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            return Err(BuildError(format!("a name in {} is not UTF-8", dir.display())));
        };
        if LEFT_OUT.contains(&name.as_str()) || name.ends_with(".pyc") {
            continue;
        }
        let path = entry.path();
        let inside = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        // A link counts as what it names.
        let kind = std::fs::metadata(&path).map_err(failed)?;
        if kind.is_dir() {
            collect(&path, &inside, depth + 1, files)?;
        } else if kind.is_file() {
            files.insert(inside, path);
            if files.len() > FILES_MAX {
                return Err(BuildError(format!("more than {FILES_MAX} files in {}", dir.display())));
            }
        }
    }
    Ok(())
}
