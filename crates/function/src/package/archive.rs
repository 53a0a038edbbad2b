use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The longest target of a symbolic link.
const LINK_BYTES_MAX: u64 = 4096;

/// What a package may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub entries_max: usize,
    pub unzipped_bytes_max: u64,
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// It is not an archive, or one that reaches out of its folder.
    #[error("{0}")]
    Malformed(String),
    #[error("unzipped size is larger than {0} bytes")]
    TooLarge(u64),
    #[error("more than {0} entries")]
    TooMany(usize),
    #[error("unpack: {0}")]
    Io(#[from] io::Error),
}

impl From<zip::result::ZipError> for ArchiveError {
    fn from(error: zip::result::ZipError) -> ArchiveError {
        ArchiveError::Malformed(error.to_string())
    }
}

/// Unpacks a ZIP archive into `folder`, which exists; returns the number of bytes written.
///
/// Files are written first and links made last, so that no file is written through a link of the archive. Every
/// path is checked; sizes are counted as they come, whatever the archive claims.
pub(crate) fn unpack(archive: &[u8], folder: &Path, bounds: Bounds) -> Result<u64, ArchiveError> {
    let mut archive = ZipArchive::new(Cursor::new(archive))?;
    if archive.len() > bounds.entries_max {
        return Err(ArchiveError::TooMany(bounds.entries_max));
    }
    let mut links = BTreeMap::new();
    let mut written = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.enclosed_name().ok_or_else(|| ArchiveError::Malformed("a path leads outside".to_owned()))?;
        if name.as_os_str().is_empty() {
            continue;
        }
        let target = folder.join(&name);
        let mode = entry.unix_mode();
        if entry.is_dir() {
            fs::create_dir_all(&target)?;
        } else if entry.is_symlink() {
            let mut link = String::new();
            (&mut entry).take(LINK_BYTES_MAX).read_to_string(&mut link)?;
            links.insert(name, checked_link(&target, folder, &link)?);
        } else {
            let left = bounds.unzipped_bytes_max - written;
            written += write_file(&mut entry, &target, mode.unwrap_or(0o644), left)?
                .ok_or(ArchiveError::TooLarge(bounds.unzipped_bytes_max))?;
        }
    }
    for (name, link) in links {
        let target = folder.join(name);
        make_parent(&target)?;
        symlink(link, &target)?;
    }
    Ok(written)
}

/// Writes one file; `None` when it is larger than `bytes_max`.
fn write_file(content: &mut impl Read, target: &Path, mode: u32, bytes_max: u64) -> Result<Option<u64>, ArchiveError> {
    make_parent(target)?;
    let mode = mode & 0o777;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode | 0o200).open(target)?;
    let copied = match io::copy(&mut content.take(bytes_max.saturating_add(1)), &mut file) {
        Ok(copied) => copied,
        // A broken stream is the archive's fault, not ours.
        Err(error) if error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(ArchiveError::Malformed(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    // The mode above passed the umask.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    Ok((copied <= bytes_max).then_some(copied))
}

fn make_parent(target: &Path) -> io::Result<()> {
    match target.parent() {
        Some(parent) => fs::create_dir_all(parent),
        None => Ok(()),
    }
}

/// A link's target, which must stay in the package.
fn checked_link(link: &Path, folder: &Path, to: &str) -> Result<PathBuf, ArchiveError> {
    let outside = || ArchiveError::Malformed("a link leads outside".to_owned());
    let inside = link.strip_prefix(folder).map_err(|_| outside())?;
    let mut depth = inside.components().count() - 1;
    for component in Path::new(to).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(outside)?,
            Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    Ok(PathBuf::from(to))
}

/// Packs a folder: the same bytes for the same content, wherever and whenever.
pub(crate) fn pack(folder: &Path, bounds: Bounds) -> Result<Vec<u8>, ArchiveError> {
    let mut files = Vec::new();
    list(folder, Path::new(""), bounds.entries_max, &mut files)?;
    files.sort();
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // Not compressed: it is read again at once, and from the same disk.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    let mut left = bounds.unzipped_bytes_max;
    for name in files {
        let path = folder.join(&name);
        let text = name.to_str().ok_or_else(|| ArchiveError::Malformed("a file's name is not UTF-8".to_owned()))?;
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_symlink() {
            let to = fs::read_link(&path)?;
            let to = checked_link(&path, folder, &to.to_string_lossy())?;
            archive.add_symlink(text, to.to_string_lossy(), options)?;
            continue;
        }
        archive.start_file(text, options.unix_permissions(metadata.permissions().mode() & 0o777))?;
        let copied = io::copy(&mut File::open(&path)?.take(left + 1), &mut archive)?;
        left = left.checked_sub(copied).ok_or(ArchiveError::TooLarge(bounds.unzipped_bytes_max))?;
    }
    let mut done = archive.finish()?;
    done.flush()?;
    Ok(done.into_inner())
}

fn list(root: &Path, inside: &Path, entries_max: usize, files: &mut Vec<PathBuf>) -> Result<(), ArchiveError> {
    for entry in fs::read_dir(root.join(inside))? {
        let entry = entry?;
        let name = inside.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(root, &name, entries_max, files)?;
        } else {
            files.push(name);
        }
        if files.len() > entries_max {
            return Err(ArchiveError::TooMany(entries_max));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { entries_max: 10, unzipped_bytes_max: 1000 };

    fn archive(fill: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        fill(&mut writer);
        writer.finish().unwrap().into_inner()
    }

    fn unpacked(archive: &[u8]) -> (tempfile::TempDir, Result<u64, ArchiveError>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("in");
        fs::create_dir(&folder).unwrap();
        let result = unpack(archive, &folder, BOUNDS);
        (dir, result)
    }

    #[test]
    fn modes_links_and_folders_are_kept() {
        let bytes = archive(|z| {
            z.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
            z.write_all(b"#!/bin/sh\n").unwrap();
            z.start_file("lib/data.txt", SimpleFileOptions::default().unix_permissions(0o640)).unwrap();
            z.write_all(b"x").unwrap();
            z.add_symlink("lib/start", "../bootstrap", SimpleFileOptions::default()).unwrap();
            z.add_directory("empty", SimpleFileOptions::default()).unwrap();
        });
        let (dir, result) = unpacked(&bytes);
        assert_eq!(result.unwrap(), 11);
        let folder = dir.path().join("in");
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bootstrap"), mode("lib/data.txt")), (0o755, 0o640));
        assert_eq!(fs::read(folder.join("lib/start")).unwrap(), b"#!/bin/sh\n");
        assert!(folder.join("empty").is_dir());
        let again = pack(&folder, BOUNDS).unwrap();
        assert_eq!(again, pack(&folder, BOUNDS).unwrap());
        let (copy, result) = unpacked(&again);
        assert_eq!(result.unwrap(), 11);
        assert!(is_link(&copy.path().join("in/lib/start")));
    }

    fn is_link(path: &Path) -> bool {
        fs::symlink_metadata(path).unwrap().is_symlink()
    }

    #[test]
    fn nothing_gets_out() {
        let options = SimpleFileOptions::default();
        let slip = archive(|z| {
            z.start_file("../evil", options).unwrap();
            z.write_all(b"x").unwrap();
        });
        let (dir, result) = unpacked(&slip);
        assert!(matches!(result, Err(ArchiveError::Malformed(_))), "{result:?}");
        assert!(!dir.path().join("evil").exists());
        for target in ["/etc/passwd", "../../x", "a/../../x"] {
            let link = archive(|z| z.add_symlink("link", target, options).unwrap());
            assert!(matches!(unpacked(&link).1, Err(ArchiveError::Malformed(_))), "{target}");
        }
        // A file through a link of the same archive: the link finds the folder in its place.
        let through = archive(|z| {
            z.add_symlink("here", ".", options).unwrap();
            z.add_symlink("up", "here/..", options).unwrap();
            z.start_file("up/evil", options).unwrap();
            z.write_all(b"x").unwrap();
        });
        let (dir, result) = unpacked(&through);
        assert!(result.is_err());
        assert!(!dir.path().join("evil").exists());
    }

    #[test]
    fn bombs_are_refused() {
        let options = SimpleFileOptions::default();
        let large = archive(|z| {
            z.start_file("zeros", options).unwrap();
            z.write_all(&vec![0; 2000]).unwrap();
        });
        assert!(matches!(unpacked(&large).1, Err(ArchiveError::TooLarge(1000))));
        let many = archive(|z| (0..11).for_each(|n| z.start_file(n.to_string(), options).unwrap()));
        assert!(matches!(unpacked(&many).1, Err(ArchiveError::TooMany(10))));
        assert!(matches!(unpacked(b"not a zip").1, Err(ArchiveError::Malformed(_))));
        let mut broken = large;
        broken[40] ^= 0xff;
        assert!(unpacked(&broken).1.is_err());
    }
}
