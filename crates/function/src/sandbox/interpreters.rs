use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::warn;

const PYTHON: &str = include_str!("../runtimes/python.py");
const PYTHON_MAIN: &str = include_str!("../runtimes/python_main.py");
const NODE: &str = include_str!("../runtimes/node.cjs");
/// Prints the interpreter's own path, its minor version, whether boto3 is there, and where it looks for modules.
const PYTHON_PROBE: &str = "import sys, importlib.util as u
print(sys.executable)
print(sys.version_info[1] if sys.version_info[0] == 3 else 0)
print(int(u.find_spec('boto3') is not None))
for p in sys.path[1:]: print(p)";

/// The machine's Python and Node.js, and the small programs of ours that make them runtimes.
#[derive(Debug)]
pub(crate) struct Interpreters {
    folder: PathBuf,
    python: Option<PathBuf>,
    node: Option<PathBuf>,
    /// By minor version; what was found by asking once.
    pythons: Mutex<BTreeMap<u32, Result<Python, String>>>,
    found_node: OnceLock<Result<PathBuf, String>>,
}

/// A Python that was asked about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Python {
    pub executable: PathBuf,
    pub minor: u32,
    has_boto3: bool,
    /// Where installed modules are: workers start without `site`, which would find it out again.
    pub path: Vec<String>,
}

impl Interpreters {
    /// Writes our programs below `folder`.
    pub fn install(folder: &Path, python: Option<PathBuf>, node: Option<PathBuf>) -> io::Result<Interpreters> {
        let programs = [("stepwell_runtime.py", PYTHON), ("bootstrap.py", PYTHON_MAIN), ("bootstrap.cjs", NODE)];
        std::fs::create_dir_all(folder)?;
        for (name, content) in programs {
            let path = folder.join(name);
            if std::fs::read(&path).is_ok_and(|old| old == content.as_bytes()) {
                continue;
            }
            // By way of a rename: a worker of another server on this folder may be reading it.
            let new = folder.join(format!("{name}.new"));
            std::fs::write(&new, content)?;
            std::fs::rename(&new, &path)?;
        }
        let folder = folder.to_owned();
        Ok(Interpreters { folder, python, node, pythons: Mutex::default(), found_node: OnceLock::new() })
    }

    /// `LAMBDA_RUNTIME_DIR`: where our programs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The Python for runtime `python3.<minor>`. The first call asks the interpreters, which takes a moment.
    pub fn python(&self, minor: u32) -> Result<Python, String> {
        // Held while asking: others want the same answer.
        let mut known = self.pythons.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(minor).or_insert_with(|| self.find_python(minor)).clone()
    }

    fn find_python(&self, minor: u32) -> Result<Python, String> {
        let name = self.python.clone().unwrap_or_else(|| PathBuf::from("python3"));
        let default = probe(&name).filter(|p| p.minor > 0);
        if let Some(default) = default.as_ref().filter(|p| p.minor == minor || self.python.is_some()) {
            return Ok(default.clone());
        }
        let exact = probe(Path::new(&format!("python3.{minor}"))).filter(|p| p.minor == minor);
        match (exact, default) {
            // The right version, unless it lacks the SDK that handlers expect and the default one has it.
            (Some(exact), Some(default)) if exact.has_boto3 || !default.has_boto3 => Ok(exact),
            (_, Some(default)) => {
                warn!(wanted = minor, found = default.minor, "functions run on another minor version of Python");
                Ok(default)
            }
            (Some(exact), None) => Ok(exact),
            (None, None) => Err(format!("no Python 3: {} does not run", name.display())),
        }
    }

    pub fn node(&self) -> Result<PathBuf, String> {
        let found = self.found_node.get_or_init(|| match &self.node {
            Some(path) => Ok(path.clone()),
            None => search_path("node").ok_or_else(|| "no Node.js: node is not on PATH".to_owned()),
        });
        found.clone()
    }
}

fn probe(name: &Path) -> Option<Python> {
    let output = Command::new(name).args(["-c", PYTHON_PROBE]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = String::from_utf8(output.ok().filter(|o| o.status.success())?.stdout).ok()?;
    let mut lines = text.lines();
    let executable = PathBuf::from(lines.next().filter(|l| !l.is_empty())?);
    let minor = lines.next()?.parse().ok()?;
    let has_boto3 = lines.next()? == "1";
    Some(Python { executable, minor, has_boto3, path: lines.map(str::to_owned).collect() })
}

fn search_path(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|p| p.join(name)).find(|p| is_executable(p))
}

pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
