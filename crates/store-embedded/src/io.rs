use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The file operations that the log is built on, so that tests and the simulator can cut the power between any two.
pub trait Io: Send + Sync + 'static {
    /// Names and sizes of the plain files in a folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;
    /// Makes an empty file, over one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Opens a file for writing at any offset.
    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// The first `bytes_max` bytes of a file, or all there are.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes what was created, renamed and removed in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// One open file of the log.
pub trait LogFile: Send {
    /// Writes all of `bytes` at `offset`; after an error any part of them may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written durable. After an error nothing written since the last success may be relied on.
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskIo;

impl Io for DiskIo {
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(DiskFile(File::options().read(true).write(true).create(true).truncate(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(DiskFile(File::options().read(true).write(true).open(path)?)))
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let mut content = Vec::with_capacity(file.metadata()?.len().min(bytes_max) as usize);
        file.take(bytes_max).read_to_end(&mut content)?;
        Ok(content)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

struct DiskFile(File);

impl LogFile for DiskFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        // Also flushes the length where it changed, and nothing else of the metadata.
        self.0.sync_data()
    }
}
