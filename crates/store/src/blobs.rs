use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Length of a blob's id.
pub const BLOB_ID_BYTES: usize = 16;

/// Names one blob. Chosen by chance, so that no key or user text ever becomes a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(pub [u8; BLOB_ID_BYTES]);

impl BlobId {
    /// Of two random numbers.
    pub fn from_random(high: u64, low: u64) -> BlobId {
        BlobId(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }
}

impl std::fmt::Display for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for BlobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobId({self})")
    }
}

impl FromStr for BlobId {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<BlobId, crate::Error> {
        u128::from_str_radix(text, 16)
            .ok()
            .filter(|_| text.len() == 2 * BLOB_ID_BYTES)
            .map(|n| BlobId(n.to_be_bytes()))
            .ok_or_else(|| crate::Error::Corrupt("malformed blob id".to_owned()))
    }
}

/// Large values as files: written under a temporary name, synced, renamed.
///
/// A blob is immutable and belongs to the key that names it: write the blob, then commit the key; delete the key, then
/// the blob. A crash between leaves a blob that nothing names, never a name without its blob. All calls block.
#[derive(Clone, Debug)]
pub struct Blobs {
    dir: PathBuf,
}

impl Blobs {
    /// Uses `dir`, making it if need be, and removes what unfinished writers left there.
    pub fn open(dir: &Path) -> io::Result<Blobs> {
        let tmp = dir.join("tmp");
        if tmp.exists() {
            fs::remove_dir_all(&tmp)?;
        }
        fs::create_dir_all(&tmp)?;
        Ok(Blobs { dir: dir.to_owned() })
    }

    /// Starts a blob; nothing of it can be read before [`BlobWriter::finish`].
    pub fn create(&self, id: BlobId) -> io::Result<BlobWriter> {
        let path = self.dir.join("tmp").join(id.to_string());
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(BlobWriter { file, path: Some(path), target: self.path(id), len: 0 })
    }

    /// Writes a whole blob.
    pub fn put(&self, id: BlobId, content: &[u8]) -> io::Result<()> {
        let mut writer = self.create(id)?;
        writer.write_all(content)?;
        writer.finish().map(|_| ())
    }

    /// Opens a finished blob for reading at any offset.
    pub fn open_blob(&self, id: BlobId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// The whole content of a blob.
    pub fn read(&self, id: BlobId) -> io::Result<Vec<u8>> {
        fs::read(self.path(id))
    }

    /// Removes a blob; one that is gone already is no error.
    pub fn delete(&self, id: BlobId) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Every finished blob's id, for finding those that nothing names.
    pub fn list(&self) -> io::Result<Vec<BlobId>> {
        let mut ids = Vec::new();
        for shard in fs::read_dir(&self.dir)? {
            let shard = shard?;
            if shard.file_name() == "tmp" || !shard.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(shard.path())? {
                if let Some(id) = file?.file_name().to_str().and_then(|n| n.parse().ok()) {
                    ids.push(id);
                }
            }
        }
        ids.sort();
        Ok(ids)
    }

    fn path(&self, id: BlobId) -> PathBuf {
        let name = id.to_string();
        self.dir.join(&name[..2]).join(name)
    }
}

/// An unfinished blob. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    file: File,
    path: Option<PathBuf>,
    target: PathBuf,
    len: u64,
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes the blob durable and readable under its id; returns its length.
    pub fn finish(mut self) -> io::Result<u64> {
        self.file.sync_all()?;
        let dir = self.target.parent().expect("a blob lies in a folder");
        if !dir.exists() {
            fs::create_dir_all(dir)?;
            sync_dir(dir.parent().expect("a shard lies in the blobs' folder"))?;
        }
        if let Some(path) = &self.path {
            fs::rename(path, &self.target)?;
        }
        self.path = None;
        sync_dir(dir)?;
        Ok(self.len)
    }
}

impl io::Write for BlobWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Left-overs are removed at the next start too.
            let _ = fs::remove_file(path);
        }
    }
}

/// Makes a folder's entries durable.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let (a, b) = (BlobId::from_random(1, 2), BlobId::from_random(3, 4));
        blobs.put(a, b"content").unwrap();
        let mut unfinished = blobs.create(b).unwrap();
        unfinished.write_all(b"half").unwrap();
        assert_eq!(blobs.read(a).unwrap(), b"content");
        assert!(blobs.open_blob(b).is_err());
        drop(unfinished);
        assert_eq!(Blobs::open(dir.path()).unwrap().list().unwrap(), [a]);
        assert_eq!(a.to_string().parse::<BlobId>().unwrap(), a);
        blobs.delete(a).unwrap();
        blobs.delete(a).unwrap();
        assert!(blobs.list().unwrap().is_empty());
    }
}
