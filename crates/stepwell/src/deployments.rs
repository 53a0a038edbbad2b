//! Deployments of templates that lie on this machine: the service `stepwell`, which AWS does not have.
//!
//! A template with local code needs the server to read and build it, so these operations exist only while the server
//! listens on loopback. Through the CloudFormation API code comes from S3, as on AWS.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use deploy::{DeployError, Deployer, LocalRequest, Progress};
use serde::{Deserialize, Serialize};
use service::{Call, Fault, Service};
use tokio::sync::Notify;

/// Deployments whose outcome can still be asked for.
const KEPT_MAX: usize = 32;
/// Lines of one deployment that are kept; a build that says more loses its first ones.
const LINES_MAX: usize = 10_000;
/// How long a caller waits for something new.
const WAIT: std::time::Duration = std::time::Duration::from_secs(10);

pub const TARGET: &str = "Stepwell";

#[derive(Clone)]
pub struct Deployments {
    deployer: Deployer,
    work_dir: PathBuf,
    known: Arc<Mutex<VecDeque<Arc<Deployment>>>>,
}

struct Deployment {
    id: String,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    /// How many lines were dropped before the first that is kept.
    dropped: usize,
    outcome: Option<Outcome>,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct Outcome {
    pub outputs: BTreeMap<String, String>,
    pub changed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the error is the template's or its code's, not the server's.
    #[serde(default)]
    pub users: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartInput {
    /// Absolute.
    pub template_path: PathBuf,
    pub stack_name: String,
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartOutput {
    pub deployment_id: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WatchInput {
    pub deployment_id: String,
    /// How many lines the caller has seen.
    #[serde(default)]
    pub lines_seen: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct WatchOutput {
    pub lines: Vec<String>,
    pub lines_seen: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl Deployments {
    pub fn new(deployer: Deployer, work_dir: PathBuf) -> Deployments {
        Deployments { deployer, work_dir, known: Arc::default() }
    }

    pub fn service(&self) -> Service {
        let mut service = Service::new("stepwell");
        let this = self.clone();
        service.operation("StartDeployment", move |call, input| start(this.clone(), call, input));
        let this = self.clone();
        service.operation("WatchDeployment", move |call, input| watch(this.clone(), call, input));
        service
    }

    /// Deploys and waits for the end.
    pub async fn deploy(
        &self,
        call: &Call,
        template: &Path,
        stack_name: &str,
        parameters: &BTreeMap<String, String>,
        on_line: impl Fn(String) + Send + Sync,
    ) -> Result<Outcome, DeployError> {
        let request = LocalRequest {
            template: template.to_owned(),
            stack_name: stack_name.to_owned(),
            parameters: parameters.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            // Whoever can call this can do all of it by hand.
            capabilities: ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
                .map(str::to_owned)
                .into(),
            tags: Vec::new(),
            scope: call.scope.clone(),
            endpoint: call.endpoint.to_string(),
            principal: call.principal.to_string(),
            work_dir: self.work_dir.clone(),
        };
        let deployed = self.deployer.deploy_local(&request, |progress| on_line(line(&progress))).await?;
        Ok(Outcome { outputs: deployed.outputs, changed: deployed.changed, error: None, users: false })
    }
}

/// What a person reads of one step.
fn line(progress: &Progress) -> String {
    match progress {
        Progress::Notice(notice) => format!("notice: {notice}"),
        Progress::Build { logical_id, line } => format!("build {logical_id}: {line}"),
        Progress::Packaged { logical_id, bytes } => format!("packaged {logical_id} ({} KiB)", bytes / 1024),
        Progress::Event(event) => {
            let reason = event.resource_status_reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
            format!("{} {} {}{reason}", event.resource_status, event.resource_type, event.logical_resource_id)
        }
    }
}

/// Whether a failed deployment is the caller's to mend.
pub fn is_users(error: &DeployError) -> bool {
    !matches!(error, DeployError::Store(_))
}

async fn start(this: Deployments, call: Call, input: StartInput) -> Result<StartOutput, Fault> {
    if !input.template_path.is_absolute() {
        return Err(Fault::validation("TemplatePath must be absolute"));
    }
    let id = call.request_id.to_string();
    let deployment = Arc::new(Deployment { id: id.clone(), state: Mutex::default(), changed: Notify::new() });
    {
        let mut known = lock(&this.known);
        known.push_back(deployment.clone());
        if known.len() > KEPT_MAX {
            known.pop_front();
        }
    }
    tokio::spawn(async move {
        let on_line = |line: String| {
            let mut state = lock(&deployment.state);
            state.lines.push_back(line);
            if state.lines.len() > LINES_MAX {
                state.lines.pop_front();
                state.dropped += 1;
            }
            deployment.changed.notify_waiters();
        };
        let result = this.deploy(&call, &input.template_path, &input.stack_name, &input.parameters, on_line).await;
        let outcome = result.unwrap_or_else(|error| Outcome {
            outputs: BTreeMap::new(),
            changed: false,
            users: is_users(&error),
            error: Some(error.to_string()),
        });
        lock(&deployment.state).outcome = Some(outcome);
        deployment.changed.notify_waiters();
    });
    Ok(StartOutput { deployment_id: id })
}

async fn watch(this: Deployments, _: Call, input: WatchInput) -> Result<WatchOutput, Fault> {
    let found = lock(&this.known).iter().find(|d| d.id == input.deployment_id).cloned();
    let Some(deployment) = found else {
        return Err(Fault::client("ResourceNotFoundException", "there is no such deployment"));
    };
    let deadline = tokio::time::Instant::now() + WAIT;
    loop {
        let changed = deployment.changed.notified();
        tokio::pin!(changed);
        // From here on no change is missed, though it comes before the wait.
        changed.as_mut().enable();
        {
            let state = lock(&deployment.state);
            let seen = state.dropped + state.lines.len();
            if seen > input.lines_seen || state.outcome.is_some() || tokio::time::Instant::now() >= deadline {
                let skip = input.lines_seen.saturating_sub(state.dropped);
                let lines = state.lines.iter().skip(skip).cloned().collect();
                return Ok(WatchOutput { lines, lines_seen: seen, outcome: state.outcome.clone() });
            }
        }
        let _ = tokio::time::timeout_at(deadline, changed).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
