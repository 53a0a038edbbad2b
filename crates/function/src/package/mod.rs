//! Packages: archives as blobs under their SHA-256, unpacked once into a folder that can be lost.

mod archive;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use store::{BlobId, Blobs};
use tokio::sync::{Mutex, RwLock, RwLockReadGuard};

pub(crate) use archive::{ArchiveError, Bounds};

/// The SHA-256 of a package.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PackageId(pub [u8; 32]);

impl PackageId {
    pub fn of(content: &[u8]) -> PackageId {
        PackageId(Sha256::digest(content).into())
    }

    /// As `CodeSha256` has it.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    pub fn to_hex(self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }

    pub fn from_hex(text: &str) -> Option<PackageId> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut id = [0; 32];
        for (i, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(PackageId(id))
    }

    fn blob(self) -> BlobId {
        BlobId(self.0[..16].try_into().expect("sixteen bytes"))
    }
}

impl std::fmt::Debug for PackageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// A package that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub id: PackageId,
    pub zipped_bytes: u64,
    pub unzipped_bytes: u64,
}

/// All packages of the server, and the folders they are unpacked into.
///
/// **Invariants**: a package that a function names is stored. An unpacked folder is whole or not there: it is made
/// under another name, and counts only while a marker beside it holds the machine's boot id, for after a power cut
/// its files may be empty.
#[derive(Debug)]
pub(crate) struct Packages {
    inner: Arc<Inner>,
    /// Held while a package that nothing names yet is stored and named; taken whole by the one who clears up.
    naming: RwLock<()>,
    /// One unpacks at a time; the others mostly want the same.
    unpacking: Mutex<()>,
    held: Arc<Held>,
}

/// Packages that must stay though nothing may name them.
#[derive(Debug, Default)]
struct Held {
    /// Imported, and to be named by a call to come.
    imported: StdMutex<BTreeSet<PackageId>>,
    /// Run by workers, some of which belong to an older version.
    used: StdMutex<BTreeMap<PackageId, usize>>,
}

/// Keeps a package's folder where it is while a worker runs in it.
#[derive(Debug)]
pub(crate) struct Hold {
    held: Arc<Held>,
    id: PackageId,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut used = self.held.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = used.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.id);
            }
        }
    }
}

#[derive(Debug)]
struct Inner {
    blobs: Blobs,
    code: PathBuf,
    opt: PathBuf,
    bounds: Bounds,
    boot_id: String,
}

impl Packages {
    pub fn open(folder: &Path, bounds: Bounds) -> io::Result<Packages> {
        let blobs = Blobs::open(&folder.join("packages"))?;
        let (code, opt) = (folder.join("code"), folder.join("opt"));
        fs::create_dir_all(&code)?;
        fs::create_dir_all(&opt)?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let inner = Arc::new(Inner { blobs, code, opt, bounds, boot_id });
        Ok(Packages { inner, naming: RwLock::new(()), unpacking: Mutex::new(()), held: Arc::default() })
    }

    /// While this is held no package is cleared away: take it before [`Packages::store`], keep it until the
    /// package's name is durable.
    pub async fn name(&self) -> RwLockReadGuard<'_, ()> {
        self.naming.read().await
    }

    /// Checks an archive and makes it durable.
    pub async fn store(&self, content: Bytes) -> Result<Package, ArchiveError> {
        let _one = self.unpacking.lock().await;
        let inner = self.inner.clone();
        blocking(move || inner.store(&content)).await
    }

    /// Packs a folder and stores that; it is kept, named or not, until the server starts anew.
    pub async fn store_folder(&self, folder: PathBuf) -> Result<Package, ArchiveError> {
        let bounds = self.inner.bounds;
        let content = blocking(move || archive::pack(&folder, bounds)).await?;
        let _naming = self.naming.read().await;
        let package = self.store(content.into()).await?;
        self.held.imported.lock().unwrap_or_else(PoisonError::into_inner).insert(package.id);
        Ok(package)
    }

    /// A stored package's own words about itself, if there is one.
    pub async fn find(&self, id: PackageId) -> Result<Option<Package>, ArchiveError> {
        match self.read(id).await {
            Ok(content) => self.store(content).await.map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The archive.
    pub async fn read(&self, id: PackageId) -> io::Result<Bytes> {
        let inner = self.inner.clone();
        blocking(move || inner.read(id)).await
    }

    /// The folder of an unpacked package; unpacks it if need be. It stays at least as long as the [`Hold`].
    pub async fn unpacked(&self, id: &PackageId) -> io::Result<(PathBuf, Hold)> {
        let hold = Hold { held: self.held.clone(), id: *id };
        *self.held.used.lock().unwrap_or_else(PoisonError::into_inner).entry(*id).or_default() += 1;
        let folder = self.inner.code.join(id.to_hex());
        Ok((self.unpacked_into(folder, vec![*id]).await?, hold))
    }

    /// The folder of layers unpacked over each other, in order.
    pub async fn unpacked_layers(&self, layers: &[PackageId]) -> io::Result<PathBuf> {
        let mut name = Sha256::new();
        layers.iter().for_each(|l| name.update(l.0));
        let folder = self.inner.opt.join(PackageId(name.finalize().into()).to_hex());
        self.unpacked_into(folder, layers.to_vec()).await
    }

    async fn unpacked_into(&self, folder: PathBuf, ids: Vec<PackageId>) -> io::Result<PathBuf> {
        if self.inner.is_whole(&folder) {
            return Ok(folder);
        }
        let _one = self.unpacking.lock().await;
        let inner = self.inner.clone();
        blocking(move || {
            if !inner.is_whole(&folder) {
                let archives = ids.iter().map(|id| inner.read(*id)).collect::<io::Result<Vec<_>>>()?;
                inner.unpack(&archives, &folder).map_err(|e| match e {
                    ArchiveError::Io(error) => error,
                    other => io::Error::new(io::ErrorKind::InvalidData, other),
                })?;
            }
            Ok(folder)
        })
        .await
    }

    /// Removes every package and folder that `named` does not have. `named` is asked while nothing can be named anew.
    pub async fn clear_up(&self, named: impl FnOnce() -> BTreeSet<PackageId>) -> io::Result<()> {
        let _whole = self.naming.write().await;
        let _one = self.unpacking.lock().await;
        let mut kept = named();
        kept.extend(self.held.imported.lock().unwrap_or_else(PoisonError::into_inner).iter());
        kept.extend(self.held.used.lock().unwrap_or_else(PoisonError::into_inner).keys());
        let inner = self.inner.clone();
        blocking(move || inner.clear_up(&kept)).await
    }
}

async fn blocking<T: Send + 'static, E: From<io::Error> + Send + 'static>(
    run: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let done = tokio::task::spawn_blocking(run).await;
    done.unwrap_or_else(|e| Err(io::Error::other(format!("package: {e}")).into()))
}

impl Inner {
    fn store(&self, content: &[u8]) -> Result<Package, ArchiveError> {
        let id = PackageId::of(content);
        let folder = self.code.join(id.to_hex());
        // Unpacking is the check, and the first worker needs it anyway.
        let unzipped_bytes =
            if self.is_whole(&folder) { folder_bytes(&folder)? } else { self.unpack(&[content], &folder)? };
        if self.blobs.open_blob(id.blob()).is_err() {
            self.blobs.put(id.blob(), content)?;
        }
        Ok(Package { id, zipped_bytes: content.len() as u64, unzipped_bytes })
    }

    fn read(&self, id: PackageId) -> io::Result<Bytes> {
        let content = self.blobs.read(id.blob())?;
        if PackageId::of(&content) != id {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("package {id:?} is damaged")));
        }
        Ok(content.into())
    }

    fn unpack(&self, archives: &[impl AsRef<[u8]>], folder: &Path) -> Result<u64, ArchiveError> {
        let new = folder.with_extension("new");
        for leftover in [&new, folder] {
            if leftover.exists() {
                fs::remove_dir_all(leftover)?;
            }
        }
        fs::create_dir(&new)?;
        let mut bounds = self.bounds;
        let mut unpack = || {
            let mut sum = 0;
            for archive in archives {
                let bytes = archive::unpack(archive.as_ref(), &new, bounds)?;
                bounds.unzipped_bytes_max -= bytes;
                sum += bytes;
            }
            Ok(sum)
        };
        match unpack() {
            Ok(sum) => {
                fs::rename(&new, folder)?;
                fs::write(marker(folder), &self.boot_id)?;
                Ok(sum)
            }
            Err(error) => {
                fs::remove_dir_all(&new)?;
                Err(error)
            }
        }
    }

    fn is_whole(&self, folder: &Path) -> bool {
        folder.is_dir() && fs::read_to_string(marker(folder)).is_ok_and(|id| id == self.boot_id)
    }

    fn clear_up(&self, named: &BTreeSet<PackageId>) -> io::Result<()> {
        let blobs: BTreeMap<BlobId, ()> = named.iter().map(|id| (id.blob(), ())).collect();
        for blob in self.blobs.list()? {
            if !blobs.contains_key(&blob) {
                self.blobs.delete(blob)?;
            }
        }
        for entry in fs::read_dir(&self.code)? {
            let path = entry?.path();
            let id = path.file_stem().and_then(|n| n.to_str()).and_then(PackageId::from_hex);
            if id.is_some_and(|id| named.contains(&id)) {
                continue;
            }
            if path.is_dir() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
        }
        Ok(())
    }
}

/// Beside the folder, for the folder is the package's own.
fn marker(folder: &Path) -> PathBuf {
    folder.with_extension("whole")
}

fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}
