//! The server: every service on one store, behind one port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use base::{Clock, Entropy, Scope, SystemClock};
use bucket::Buckets;
use bytes::Bytes;
use deploy::Deployer;
use engine::{Engine, Mappings};
use events::Events;
use function::{Functions, OpenCredentials, Ports};
use gateway::{Credential, Gateway, GatewayOptions};
use identity::Identity;
use logs::Logs;
use queue::Queues;
use serde_json::Value;
use service::{Call, Fault, Registry};
use sql::{Sql, SqlOptions};
use store::Store;
use store_embedded::EmbeddedStore;
use table::{TableOptions, Tables};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::deployments::{Deployments, is_users};
use crate::progress::Progress;
use crate::wiring::{
    ConfiguredKeys, EngineInvoker, GatewayInvoker, LogGroups, MappedQueues, S3, S3Secrets, Sessions, StoredPackages,
};

/// A mistake of the user's: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A running server.
pub struct Server {
    address: SocketAddr,
    registry: Registry,
    entropy: Arc<Entropy>,
    engine: Engine,
    functions: Arc<Functions>,
    buckets: Buckets,
    deployments: Deployments,
    logs: Logs,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), gateway::GatewayError>>,
}

impl Server {
    /// Opens the store, takes everything up again where it was, and listens.
    pub async fn start(config: Config) -> Result<Server> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy = Arc::new(Entropy::from_os());
        let store = open_store(&config.data)?;
        let gateway_options = GatewayOptions {
            listen: config.listen,
            credentials: config
                .credentials
                .iter()
                .map(|c| Credential::root(&c.access_key_id, &c.secret_access_key, &c.account))
                .collect(),
            ..GatewayOptions::default()
        };
        // Bound before anything that may call it runs; calls wait until it is served.
        let listener =
            TcpListener::bind(config.listen).await.map_err(|e| Usage(format!("listen on {}: {e}", config.listen)))?;
        let address = listener.local_addr().context("read the address")?;
        let endpoint = format!("http://{address}");
        let mut registry = Registry::new();
        let queues = Queues::start(store.clone(), clock.clone(), entropy.clone(), queue::Options::default()).await?;
        registry.add(queues.service());
        let tables = Tables::start(store.clone(), clock.clone(), entropy.clone(), TableOptions::default()).await?;
        registry.add(tables.service());
        let logs = Logs::start(store.clone(), clock.clone(), logs::Options::default()).await?;
        registry.add(logs.service());
        let log_groups = LogGroups(logs.clone());
        let blobs = config.data.join("objects");
        let options = bucket::Options::default();
        let buckets = Buckets::start(store.clone(), &blobs, clock.clone(), entropy.clone(), options).await?;
        registry.add(buckets.service());
        let ports = Ports {
            store: store.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            logs: Arc::new(log_groups.clone()),
            packages: Arc::new(StoredPackages(buckets.clone())),
            credentials: worker_credentials(&config),
        };
        let functions = Functions::start(function_options(&config), ports).await?;
        functions.set_endpoint(&endpoint);
        let invoker = Arc::new(EngineInvoker(functions.clone()));
        let engine =
            Engine::new(store.clone(), clock.clone(), entropy.clone(), invoker.clone(), engine_options(&config))
                .await?;
        if let Some(path) = &config.mock_config {
            let text = std::fs::read_to_string(path).map_err(|e| Usage(format!("read {}: {e}", path.display())))?;
            let mocks = engine::MockConfig::parse(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
            engine.mock(mocks);
        }
        registry.add(engine.service());
        engine.call_http_with(Arc::new(http_client(&config)?));
        engine.log_to(Box::new(move |scope, group, stream, lines| log_groups.write(scope, group, stream, lines)));
        let sources = Arc::new(MappedQueues(queues.clone()));
        let mappings = Mappings::start(store.clone(), clock.clone(), entropy.clone(), sources, invoker).await?;
        let mut lambda = functions.service();
        mappings.register(&mut lambda);
        registry.add(lambda);
        let identity = Identity::start(store.clone(), clock.clone(), entropy.clone()).await?;
        identity.services().into_iter().for_each(|service| registry.add(service));
        let events = Events::start(store.clone(), clock.clone(), entropy.clone()).await?;
        registry.add(events.service());
        let mut options = SqlOptions::new(&config.data);
        options.postgres_url.clone_from(&config.sql.postgres_url);
        let sql = Sql::start(store.clone(), clock.clone(), entropy.clone(), secrets_of(&registry), options).await?;
        sql.services().into_iter().for_each(|service| registry.add(service));
        let s3 = buckets.s3_service(bucket::HttpOptions {
            secrets: s3_secrets(&config, &identity),
            virtual_bucket: gateway::virtual_bucket,
        });
        let deployer = Deployer::new(deploy::Options::default(), store.clone(), clock.clone(), entropy.clone());
        registry.add(deployer.service());
        let deployments = Deployments::new(deployer.clone(), config.data.join("builds"));
        if config.listen.ip().is_loopback() {
            registry.add(deployments.service());
        }

        let gateway = Gateway::new(registry.clone(), clock, entropy.clone(), gateway_options)
            .map_err(|e| Usage(e.to_string()))?
            .mount_invoke(Arc::new(GatewayInvoker(functions.clone())))
            .mount_s3(Arc::new(S3(s3)))
            .with_identities(Arc::new(Sessions(identity)));
        functions.set_registry(registry.clone());
        events.set_registry(registry.clone());
        engine.run(registry.clone(), &endpoint).await?;
        deployer.start(registry.clone())?;
        let (shutdown, stopped) = oneshot::channel();
        let serving = tokio::spawn(gateway.serve(listener, async move {
            // A sender that is gone means the same.
            let _ = stopped.await;
        }));
        Ok(Server { address, registry, entropy, engine, functions, buckets, deployments, logs, shutdown, serving })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls an operation in the default account and region.
    pub async fn call(&self, service: &str, operation: &str, input: Value) -> Result<Value, Fault> {
        self.registry.call_value(service, operation, self.as_root(), input).await
    }

    /// Writes an object in the default account.
    pub async fn upload(&self, bucket: &str, key: &str, content: Bytes) -> Result<(), Fault> {
        self.buckets.write_object(&self.as_root(), bucket, key, content, None).await
    }

    fn as_root(&self) -> Call {
        let mut call = Call::internal(Scope::default(), self.entropy.uuid(), "arn:aws:iam::000000000000:root");
        call.endpoint = self.endpoint().into();
        call
    }

    /// Deploys a template of this machine; returns the stack's outputs.
    pub async fn deploy(
        &self,
        template: &Path,
        stack: &str,
        parameters: &BTreeMap<String, String>,
        progress: &mut Progress,
    ) -> Result<BTreeMap<String, String>> {
        let progress = std::sync::Mutex::new(progress);
        let on_line = |line: String| {
            let mut progress = progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // Failures stay on the screen, the rest is how far things are.
            if line.contains("_FAILED ") || line.starts_with("notice") {
                progress.line(&line);
            } else {
                progress.status(&line);
            }
        };
        match self.deployments.deploy(&self.as_root(), template, stack, parameters, on_line).await {
            Ok(outcome) => Ok(outcome.outputs),
            Err(error) if is_users(&error) => Err(Usage(error.to_string()).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets running calls end, stops workers, and returns. What executions were doing goes on at the next start.
    pub async fn stop(self) {
        let _ = self.shutdown.send(());
        if let Ok(Err(error)) = self.serving.await {
            tracing::error!(%error, "serving ended");
        }
        // From here on what becomes of workers says nothing about tasks: they run again at the next start.
        self.engine.stop();
        self.functions.shut_down().await;
        self.logs.flush().await;
    }
}

fn open_store(data: &Path) -> Result<Arc<dyn Store>> {
    std::fs::create_dir_all(data).with_context(|| format!("make the data folder {}", data.display()))?;
    // Secrets and payloads of all callers lie here.
    std::fs::set_permissions(data, std::fs::Permissions::from_mode(0o700))
        .with_context(|| format!("protect the data folder {}", data.display()))?;
    Ok(Arc::new(EmbeddedStore::open(data.join("store"), store_embedded::Options::default())?))
}

/// Secrets Manager as the RDS Data API calls it.
fn secrets_of(registry: &Registry) -> sql::SecretsCaller {
    let registry = registry.clone();
    Arc::new(move |call, operation, input| registry.call_value("secretsmanager", operation, call, input))
}

/// What S3 verifies signatures with; nothing while no credentials are configured.
fn s3_secrets(config: &Config, identity: &Identity) -> Option<Arc<dyn bucket::Secrets>> {
    let configured = config.credentials.clone();
    let secrets =
        || Arc::new(S3Secrets { configured, sessions: Sessions(identity.clone()) }) as Arc<dyn bucket::Secrets>;
    (!config.credentials.is_empty()).then(secrets)
}

/// What functions sign their calls with.
fn worker_credentials(config: &Config) -> Arc<dyn function::CredentialSource> {
    if config.credentials.is_empty() {
        Arc::new(OpenCredentials)
    } else {
        Arc::new(ConfiguredKeys(config.credentials.clone()))
    }
}

/// What `http:invoke` calls the outside with.
fn http_client(config: &Config) -> Result<outbound::Client> {
    let config = &config.http_invoke;
    if let Some(path) = &config.certificate_authorities {
        std::fs::File::open(path)
            .map_err(|e| Usage(format!("http_invoke: certificate_authorities: read {}: {e}", path.display())))?;
    }
    Ok(outbound::Client::new(outbound::Options {
        allow_loopback: config.allow_loopback,
        allow_link_local: config.allow_link_local,
        allow_plain_http: config.allow_plain_http,
        certificate_authorities: config.certificate_authorities.clone(),
        ..outbound::Options::default()
    }))
}

fn engine_options(config: &Config) -> engine::Options {
    let mut options = engine::Options::default();
    if let Some(bytes) = config.limits.payload_bytes {
        options.standard_limits.payload_bytes_max = bytes;
        options.express_limits.payload_bytes_max = bytes;
    }
    if let Some(events) = config.limits.history_events {
        options.standard_limits.history_events_max = events;
    }
    options
}

fn function_options(config: &Config) -> function::Options {
    let mut options = function::Options::new(config.data.join("functions"));
    if let Some(workers) = config.functions.workers {
        options.workers_max = workers;
    }
    if let Some(bytes) = config.limits.package_bytes {
        options.unzipped_bytes_max = bytes;
    }
    options
}
