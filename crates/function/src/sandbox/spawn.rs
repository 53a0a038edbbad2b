use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::process::{Child, Command};

use super::deployment::{Deployment, Runtime};
use super::interpreters::{Interpreters, is_executable};
use super::memory::kill_by_environment;
use super::report::{Failure, LogFormat};
use super::worker::Worker;
use crate::package::{Hold, Packages};
use crate::{CredentialSource, Options};

/// What a process may map beyond its function's memory, for stacks and reserves that are never touched. Reaching the
/// limit fails an allocation; memory in use is what [`Worker::check_memory`] watches.
#[cfg(target_os = "linux")]
const DATA_RESERVE_BYTES: u64 = 512 << 20;
/// Descriptors, as on Lambda.
#[cfg(target_os = "linux")]
const DESCRIPTORS_MAX: u64 = 1024;
/// What follows `path_prefix` in the workers' PATH.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Makes worker processes.
pub(crate) struct Launcher {
    pub packages: Arc<Packages>,
    interpreters: Arc<Interpreters>,
    credentials: Arc<dyn CredentialSource>,
    path_prefix: Vec<PathBuf>,
    folders: PathBuf,
    endpoint: RwLock<Arc<str>>,
}

/// A process that runs.
pub(crate) struct Process {
    pub child: Child,
    pub pid: u32,
    /// Its own folder, gone with it.
    pub folder: PathBuf,
    /// Its package.
    pub hold: Hold,
}

/// What is started, beside the environment.
struct Program {
    executable: PathBuf,
    arguments: Vec<OsString>,
}

impl Launcher {
    pub fn new(
        options: &Options,
        packages: Arc<Packages>,
        credentials: Arc<dyn CredentialSource>,
    ) -> std::io::Result<Launcher> {
        let folder = options.data_dir.join("runtime");
        let interpreters = Interpreters::install(&folder, options.python.clone(), options.node.clone())?;
        let folders = options.data_dir.join("workers");
        // What an earlier server left when it was killed: folders, and processes that its guard could not find.
        kill_by_environment(&format!("LAMBDA_RUNTIME_DIR={}", folder.display()), None);
        if folders.exists() {
            std::fs::remove_dir_all(&folders)?;
        }
        std::fs::create_dir_all(&folders)?;
        Ok(Launcher {
            packages,
            interpreters: Arc::new(interpreters),
            credentials,
            path_prefix: options.path_prefix.clone(),
            folders,
            endpoint: RwLock::new(Arc::from("http://127.0.0.1:4566")),
        })
    }

    /// Where workers find our services: their `AWS_ENDPOINT_URL`.
    pub fn set_endpoint(&self, url: &str) {
        *self.endpoint.write().unwrap_or_else(PoisonError::into_inner) = url.into();
    }

    pub fn endpoint(&self) -> Arc<str> {
        self.endpoint.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds out about the interpreter beforehand, so that the first cold start need not.
    pub fn warm_up(&self, runtime: &Runtime) {
        if let Runtime::Python(_, minor) = *runtime {
            let interpreters = self.interpreters.clone();
            tokio::task::spawn_blocking(move || drop(interpreters.python(minor)));
        }
    }

    /// Starts the worker's process, with its package unpacked.
    pub async fn launch(&self, worker: &Arc<Worker>, output: PipeWriter) -> Result<Process, Failure> {
        let deployment = &worker.deployment;
        let failed = |why: std::io::Error| Failure::Entrypoint(format!("unpack the function's code: {why}"));
        let (code, hold) = self.packages.unpacked(&deployment.package).await.map_err(failed)?;
        let opt = match deployment.layers.as_slice() {
            [] => None,
            layers => Some(self.packages.unpacked_layers(layers).await.map_err(failed)?),
        };
        let credentials = self.credentials.credentials(&deployment.scope, &deployment.role);
        let environment = Environment {
            worker,
            code: &code,
            opt: opt.as_deref(),
            runtime_dir: self.interpreters.folder(),
            folder: self.folders.join(worker.id.to_string()),
            endpoint: self.endpoint(),
            credentials,
            path_prefix: &self.path_prefix,
        };
        let variables = environment.variables();
        let (folder, deployment) = (environment.folder, deployment.clone());
        let interpreters = self.interpreters.clone();
        let spawned = tokio::task::spawn_blocking(move || {
            let program = program(&deployment, &interpreters, &code, opt.as_deref())?;
            std::fs::create_dir_all(&folder).map_err(|e| Failure::Entrypoint(format!("worker's folder: {e}")))?;
            spawn(&program, &code, variables, output)
                .map(|(child, pid)| Process { child, pid, folder, hold })
                .map_err(|e| cannot_execute(&program.executable, &code, &e))
        });
        let process = spawned.await.unwrap_or_else(|e| Err(Failure::Entrypoint(format!("start worker: {e}"))))?;
        limit(process.pid, worker.deployment.memory_mb);
        worker.has_process(process.pid);
        Ok(process)
    }
}

fn program(
    deployment: &Deployment,
    interpreters: &Interpreters,
    code: &Path,
    opt: Option<&Path>,
) -> Result<Program, Failure> {
    match deployment.runtime {
        Runtime::Provided(_) => {
            let candidates = [Some(code), opt].into_iter().flatten().map(|p| p.join("bootstrap"));
            match candidates.into_iter().find(|p| p.exists()) {
                Some(found) if !is_executable(&found) => {
                    let why = std::io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
                    Err(cannot_execute(&found, code, &why))
                }
                Some(executable) => Ok(Program { executable, arguments: Vec::new() }),
                None => Err(Failure::Entrypoint(
                    "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]".to_owned(),
                )),
            }
        }
        Runtime::Python(_, minor) => {
            let python = interpreters.python(minor).map_err(Failure::Entrypoint)?;
            let path = std::env::join_paths(&python.path).unwrap_or_default();
            let bootstrap = interpreters.folder().join("bootstrap.py");
            Ok(Program { executable: python.executable, arguments: vec!["-S".into(), bootstrap.into(), path] })
        }
        Runtime::Node(..) => {
            // The heap's bounds as AWS sets them, from the function's memory.
            let memory = deployment.memory_mb;
            let arguments = vec![
                format!("--max-semi-space-size={}", (memory / 20).max(1)).into(),
                format!("--max-old-space-size={}", memory * 9 / 10).into(),
                interpreters.folder().join("bootstrap.cjs").into(),
            ];
            Ok(Program { executable: interpreters.node().map_err(Failure::Entrypoint)?, arguments })
        }
    }
}

fn spawn(
    program: &Program,
    code: &Path,
    variables: BTreeMap<String, OsString>,
    output: PipeWriter,
) -> std::io::Result<(Child, u32)> {
    let errors: OwnedFd = output.try_clone()?.into();
    let output: OwnedFd = output.into();
    // No `pre_exec`: the process is made by posix_spawn, which does not copy our page tables.
    let child = Command::new(&program.executable)
        .args(&program.arguments)
        .env_clear()
        .envs(variables)
        .current_dir(code)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()?;
    let pid = child.id().expect("a child that was not waited for has an id");
    Ok((child, pid))
}

/// In the words of AWS's platform, with the path as it is on Lambda.
fn cannot_execute(executable: &Path, code: &Path, error: &std::io::Error) -> Failure {
    let shown = match executable.strip_prefix(code) {
        Ok(inside) => Path::new("/var/task").join(inside),
        Err(_) if executable.ends_with("bootstrap") => PathBuf::from("/opt/bootstrap"),
        Err(_) => executable.to_owned(),
    };
    let why = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOEXEC) => "exec format error".to_owned(),
        Some(rustix::io::Errno::ACCESS) => "permission denied".to_owned(),
        Some(rustix::io::Errno::NOENT) => "no such file or directory".to_owned(),
        _ => error.to_string(),
    };
    Failure::Entrypoint(format!("fork/exec {}: {why}", shown.display()))
}

/// Bounds the process from outside, while it is still loading. One that has ended meanwhile needs no bounds.
#[cfg(target_os = "linux")]
fn limit(pid: u32, memory_mb: u32) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let data = (u64::from(memory_mb) << 20) + DATA_RESERVE_BYTES;
    for (resource, most) in [(Resource::Data, data), (Resource::Nofile, DESCRIPTORS_MAX), (Resource::Core, 0)] {
        let _ = prlimit(Some(pid), resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
}

#[cfg(not(target_os = "linux"))]
fn limit(_pid: u32, _memory_mb: u32) {}

/// What a worker's environment is made of.
struct Environment<'a> {
    worker: &'a Worker,
    code: &'a Path,
    opt: Option<&'a Path>,
    runtime_dir: &'a Path,
    folder: PathBuf,
    endpoint: Arc<str>,
    credentials: crate::Credentials,
    path_prefix: &'a [PathBuf],
}

impl Environment<'_> {
    /// AWS's documented variables, then the function's own. Nothing of the server's environment.
    fn variables(&self) -> BTreeMap<String, OsString> {
        let deployment = &*self.worker.deployment;
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            variables.insert(name.to_owned(), value.as_ref().to_owned());
        };
        set("_HANDLER", &deployment.handler);
        set("AWS_REGION", &deployment.scope.region());
        set("AWS_DEFAULT_REGION", &deployment.scope.region());
        set("AWS_ACCESS_KEY_ID", &self.credentials.access_key_id);
        set("AWS_SECRET_ACCESS_KEY", &self.credentials.secret_access_key);
        if let Some(token) = &self.credentials.session_token {
            set("AWS_SESSION_TOKEN", token);
        }
        set("AWS_ENDPOINT_URL", &&*self.endpoint);
        set("AWS_LAMBDA_FUNCTION_NAME", &deployment.name);
        set("AWS_LAMBDA_FUNCTION_VERSION", &deployment.version);
        set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &deployment.memory_mb.to_string());
        set("AWS_LAMBDA_INITIALIZATION_TYPE", &"on-demand");
        set("AWS_LAMBDA_LOG_GROUP_NAME", &deployment.log_group);
        set("AWS_LAMBDA_LOG_STREAM_NAME", &self.worker.log_stream);
        set("AWS_LAMBDA_RUNTIME_API", &self.worker.address.to_string());
        if deployment.log_format == LogFormat::Json {
            set("AWS_LAMBDA_LOG_FORMAT", &"JSON");
        }
        if let Some(level) = &deployment.log_level {
            set("AWS_LAMBDA_LOG_LEVEL", level);
        }
        if !matches!(deployment.runtime, Runtime::Provided(_)) {
            set("AWS_EXECUTION_ENV", &format!("AWS_Lambda_{}", deployment.runtime));
        }
        set("LAMBDA_TASK_ROOT", &self.code);
        set("LAMBDA_RUNTIME_DIR", &self.runtime_dir);
        set("LANG", &"en_US.UTF-8");
        set("TZ", &":UTC");
        // So that nothing of the user's own configuration (~/.aws) gets in, and workers do not share their files.
        set("HOME", &self.folder);
        set("TMPDIR", &self.folder);
        set("PATH", &self.path());
        set("LD_LIBRARY_PATH", &self.library_path());
        if let Some(opt) = self.opt {
            if let Runtime::Node(_, major) = deployment.runtime {
                let node = opt.join("nodejs");
                let own = node.join(format!("node{major}/node_modules"));
                set("NODE_PATH", &joined([own, node.join("node_modules")]));
            }
            if !matches!(deployment.runtime, Runtime::Provided(_)) {
                set("STEPWELL_OPT_ROOT", &opt);
            }
        }
        for (name, value) in &deployment.environment {
            set(name, value);
        }
        variables
    }

    fn path(&self) -> OsString {
        let bin = self.opt.map(|o| o.join("bin"));
        joined(self.path_prefix.iter().cloned().chain(std::env::split_paths(PATH)).chain(bin))
    }

    fn library_path(&self) -> OsString {
        let opt = self.opt.map(|o| o.join("lib"));
        joined([self.code.to_owned(), self.code.join("lib")].into_iter().chain(opt))
    }
}

fn joined(paths: impl IntoIterator<Item = PathBuf>) -> OsString {
    std::env::join_paths(paths.into_iter().filter(|p| !p.as_os_str().as_encoded_bytes().contains(&b':')))
        .unwrap_or_default()
}
