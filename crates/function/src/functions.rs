use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base::{Arn, Clock, Entropy};
use bytes::Bytes;
use service::{Fault, Registry, Service};

use crate::catalogue::{Catalogue, Function};
use crate::events::Events;
use crate::fault::{refused_archive, service_exception};
use crate::name::{FunctionKey, LATEST};
use crate::package::{Bounds, PackageId, Packages};
use crate::sandbox::{Concurrency, Deployment, Fleet, Launcher, LogFormat, Runtime};
use crate::{Options, PackageSource, Ports, api};

/// Why the crate could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("open functions in {path}: {error}")]
    Folder { path: String, error: std::io::Error },
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// All functions of the server: their API, their packages, their workers.
pub struct Functions {
    pub(crate) options: Options,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<Entropy>,
    pub(crate) sources: Arc<dyn PackageSource>,
    pub(crate) catalogue: Catalogue,
    pub(crate) packages: Arc<Packages>,
    pub(crate) concurrency: Arc<Concurrency>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) events: Events,
    pub(crate) registry: OnceLock<Registry>,
    generations: AtomicU64,
}

impl Functions {
    /// Reads what is stored and goes on with the asynchronous invocations that are not done.
    pub async fn start(mut options: Options, ports: Ports) -> Result<Arc<Functions>, StartError> {
        let path = options.data_dir.display().to_string();
        let opened = |error| StartError::Folder { path: path.clone(), error };
        std::fs::create_dir_all(&options.data_dir).map_err(opened)?;
        // Workers run in other folders, and find themselves under this one's real name.
        options.data_dir = options.data_dir.canonicalize().map_err(opened)?;
        let bounds =
            Bounds { entries_max: options.package_entries_max, unzipped_bytes_max: options.unzipped_bytes_max };
        let packages = Arc::new(Packages::open(&options.data_dir, bounds).map_err(opened)?);
        let launcher = Launcher::new(&options, packages.clone(), ports.credentials.clone()).map_err(opened)?;
        let catalogue = Catalogue::open(ports.store.clone(), ports.clock.clone()).await?;
        let events = Events::open(ports.store.clone(), ports.clock.clone(), &options).await?;
        let fleet =
            Fleet::new(options.clone(), launcher, ports.clock.clone(), ports.entropy.clone(), ports.logs.clone());
        let functions = Arc::new(Functions {
            concurrency: Concurrency::new(options.concurrency_max),
            options,
            clock: ports.clock,
            entropy: ports.entropy,
            sources: ports.packages,
            catalogue,
            packages,
            fleet: Arc::new(fleet),
            events,
            registry: OnceLock::new(),
            generations: AtomicU64::new(0),
        });
        functions.clear_up().await;
        functions.warm_up();
        functions.events.run(&functions);
        Ok(functions)
    }

    /// Where workers reach our services (`http://127.0.0.1:4566`); for workers that start from now on.
    pub fn set_endpoint(&self, url: &str) {
        self.fleet.launcher.set_endpoint(url);
    }

    /// All services, for the destinations of asynchronous invocations. To be called once, when they are complete.
    pub fn set_registry(&self, registry: Registry) {
        // A second registry would be the same one.
        let _ = self.registry.set(registry);
    }

    /// The operations, under AWS's names, as the service `lambda`.
    pub fn service(self: &Arc<Self>) -> Service {
        api::service(self)
    }

    /// Packs and stores a folder; the text it returns is what `Code.PackageSha256` takes, beside AWS's members.
    pub async fn import_directory(&self, folder: &Path) -> Result<String, Fault> {
        let stored = self.packages.store_folder(folder.to_owned()).await;
        let package = stored.map_err(|e| refused_archive(&e))?;
        Ok(package.id.to_hex())
    }

    /// The archive that the `Location` of GetFunction and GetLayerVersion ends with: what the gateway serves there.
    pub async fn package_zip(&self, sha256_hex: &str) -> Result<Bytes, Fault> {
        let missing = || Fault::with_status(404, "NoSuchKey", "there is no such package");
        let id = PackageId::from_hex(sha256_hex).ok_or_else(missing)?;
        if !self.catalogue.packages().contains(&id) {
            return Err(missing());
        }
        self.packages.read(id).await.map_err(|e| service_exception(format!("read the package: {e}")))
    }

    /// Workers that exist, are being made, or are being cleared away.
    pub fn worker_count(&self) -> usize {
        self.fleet.worker_count()
    }

    /// Stops all workers and waits until they are gone. What they were doing is not answered.
    pub async fn shut_down(&self) {
        self.events.stop();
        self.fleet.shut_down().await;
    }

    /// Removes packages that nothing names, and says so in the log if it cannot.
    pub(crate) async fn clear_up(&self) {
        if let Err(error) = self.packages.clear_up(|| self.catalogue.packages()).await {
            tracing::warn!(%error, "packages not cleared up");
        }
    }

    pub(crate) fn clear_up_later(self: &Arc<Self>) {
        let functions = self.clone();
        tokio::spawn(async move { functions.clear_up().await });
    }

    /// Asks the interpreters about themselves before the first cold start does.
    fn warm_up(&self) {
        let names: std::collections::BTreeSet<String> =
            self.catalogue.read(|shelf| shelf.functions.values().map(|f| f.record.latest.runtime.clone()).collect());
        for runtime in names.iter().filter_map(|n| Runtime::parse(n)) {
            self.fleet.launcher.warm_up(&runtime);
        }
    }

    /// What workers run of a version, if there is such a version.
    pub(crate) fn deployment(&self, key: &FunctionKey, function: &Function, version: &str) -> Option<Arc<Deployment>> {
        function.deployment(version, |version| Deployment {
            function_arn: key.arn().as_str().into(),
            version_arn: key.qualified_arn(&version.version).as_str().into(),
            generation: self.generations.fetch_add(1, Ordering::Relaxed) + 1,
            scope: key.scope.clone(),
            name: key.name.clone(),
            version: version.version.clone(),
            role: version.role.clone(),
            // Checked when it was stored; a runtime of a later version fails to start and says so.
            runtime: Runtime::parse(&version.runtime).unwrap_or(Runtime::Provided("provided")),
            handler: version.handler.clone(),
            memory_mb: version.memory_mb,
            timeout: Duration::from_secs(u64::from(version.timeout_s)),
            environment: version.environment.clone().unwrap_or_default().into_iter().collect(),
            package: version.package_id().unwrap_or(PackageId([0; 32])),
            layers: version.layers.iter().filter_map(|l| PackageId::from_hex(&l.package)).collect(),
            log_group: version.logging.group.clone(),
            log_format: if version.logging.format == "JSON" { LogFormat::Json } else { LogFormat::Text },
            log_level: version.logging.application_level.clone(),
        })
    }

    /// Stops the workers of versions that are gone.
    pub(crate) fn retire(&self, key: &FunctionKey, function: &Function) {
        let numbers = function.versions.values().map(|v| v.version.as_str());
        for version in numbers.chain([LATEST]) {
            self.fleet.remove(&Arc::from(key.qualified_arn(version).as_str()));
        }
    }

    /// Where a package can be downloaded.
    pub(crate) fn location(endpoint: &str, package: &str) -> String {
        format!("{endpoint}/_stepwell/packages/{package}.zip")
    }

    pub(crate) fn revision_id(&self) -> String {
        self.entropy.uuid()
    }
}

/// `function:name` of an ARN of this service, for destinations.
pub(crate) fn resource_name(arn: &Arn) -> &str {
    arn.resource().rsplit(':').next().unwrap_or_default()
}
