//! `stepwell run`: a pipeline in one process, from its template to its report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Config, ServerFlags};
use crate::deploy_command::parse_parameters;
use crate::progress::Progress;
use crate::server::{Server, Usage};

/// How often executions are looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Largest input file that is uploaded in one call.
const UPLOAD_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Deploys a pipeline in this process, runs it on its sample data and prints what it reports
#[derive(clap::Args)]
pub struct Arguments {
    /// The pipeline's folder, with a run.toml
    dir: PathBuf,
    /// Folder with the input to run on, instead of the pipeline's sample
    #[arg(long, value_name = "DIR")]
    input: Option<PathBuf>,
    /// Template parameter, instead of run.toml's
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    #[command(flatten)]
    server: ServerFlags,
}

/// `run.toml`: what a pipeline's run is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    template: PathBuf,
    stack: String,
    /// Default folder of the input.
    input: PathBuf,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    upload: Option<Upload>,
    executions: Executions,
    report: Option<Report>,
}

/// Every file of the input but the jobs goes to this bucket under its relative path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    bucket: String,
}

/// One execution for each element of a JSON list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Executions {
    state_machine: String,
    /// The list's file, in the input's folder.
    jobs: PathBuf,
    /// The member of an element that names its execution.
    name: String,
}

/// What is printed at the end: `s3://bucket/key`, or all `.txt` objects below `s3://bucket/prefix/`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    objects: Vec<String>,
}

/// One execution and how it ended.
struct Job {
    name: String,
    arn: String,
    end: Option<Value>,
}

pub async fn run(arguments: Arguments, as_json: bool) -> Result<i32> {
    let manifest = read_manifest(&arguments.dir)?;
    let input = arguments.input.clone().unwrap_or_else(|| arguments.dir.join(&manifest.input));
    let jobs = read_jobs(&input, &manifest.executions)?;
    let mut parameters = manifest.parameters.clone();
    parameters.extend(parse_parameters(&arguments.parameters)?);
    let mut progress = Progress::new(as_json);
    // Without --data nothing is left behind.
    let temporary = tempfile::tempdir().context("make a temporary folder")?;
    let config = Config::load(&arguments.server, "127.0.0.1:0", temporary.path())?;
    let server = Server::start(config).await?;
    let run = Run { server: &server, manifest: &manifest, dir: &arguments.dir, input: &input };
    let result = run.everything(jobs, parameters, &mut progress, as_json).await;
    progress.wipe();
    server.stop().await;
    result
}

fn read_manifest(dir: &Path) -> Result<Manifest> {
    let path = dir.join("run.toml");
    let text = std::fs::read_to_string(&path)
        .map_err(|e| Usage(format!("{}: {e}; a pipeline's folder has a run.toml", path.display())))?;
    Ok(toml::from_str(&text).map_err(|e| Usage(format!("{}: {e}", path.display())))?)
}

fn read_jobs(input: &Path, executions: &Executions) -> Result<Vec<(String, Value)>> {
    let path = input.join(&executions.jobs);
    let text = std::fs::read_to_string(&path).map_err(|e| Usage(format!("{}: {e}", path.display())))?;
    let list: Vec<Value> = serde_json::from_str(&text)
        .map_err(|e| Usage(format!("{}: expected a JSON list of executions' inputs: {e}", path.display())))?;
    let named = list.into_iter().enumerate().map(|(n, job)| match job[&executions.name].as_str() {
        Some(name) => Ok((name.to_owned(), job)),
        None => Err(Usage(format!("{}: element {n} has no text '{}'", path.display(), executions.name)).into()),
    });
    named.collect()
}

struct Run<'a> {
    server: &'a Server,
    manifest: &'a Manifest,
    dir: &'a Path,
    input: &'a Path,
}

impl Run<'_> {
    async fn everything(
        &self,
        jobs: Vec<(String, Value)>,
        parameters: BTreeMap<String, String>,
        progress: &mut Progress,
        as_json: bool,
    ) -> Result<i32> {
        let begun = Instant::now();
        progress.line(&format!("AWS APIs at {} while this runs", self.server.endpoint()));
        let template = self.dir.join(&self.manifest.template);
        let outputs = self.server.deploy(&template, &self.manifest.stack, &parameters, progress).await?;
        progress.line(&format!("deployed stack {} in {:.1} s", self.manifest.stack, begun.elapsed().as_secs_f64()));
        if let Some(upload) = &self.manifest.upload {
            let bucket = fill(&upload.bucket, &outputs)?;
            let count = self.upload(&bucket, progress).await?;
            progress.line(&format!("uploaded {count} files to s3://{bucket}"));
        }
        let begun = Instant::now();
        let machine = fill(&self.manifest.executions.state_machine, &outputs)?;
        let mut running = Vec::new();
        for (name, job) in jobs {
            running.push(self.start(&machine, name, &job).await?);
        }
        self.wait(&mut running, progress).await?;
        let failed = running.iter().filter(|j| status(j) != "SUCCEEDED").count();
        let seconds = begun.elapsed().as_secs_f64();
        progress.line(&format!(
            "{} of {} executions succeeded in {seconds:.1} s",
            running.len() - failed,
            running.len()
        ));
        let report = self.report(&outputs).await?;
        if as_json {
            let executions: Vec<&Value> = running.iter().filter_map(|j| j.end.as_ref()).collect();
            let summary = json!({"executions": executions, "outputs": outputs, "report": report});
            println!("{}", serde_json::to_string_pretty(&summary)?);
        } else {
            for (_, text) in &report {
                println!("{}", text.trim_end());
                println!();
            }
        }
        Ok(i32::from(failed > 0))
    }

    async fn upload(&self, bucket: &str, progress: &mut Progress) -> Result<usize> {
        let mut files = Vec::new();
        collect(self.input, self.input, &mut files)?;
        files.retain(|f| *f != self.manifest.executions.jobs);
        files.sort();
        for file in &files {
            let path = self.input.join(file);
            if path.metadata()?.len() > UPLOAD_BYTES_MAX {
                bail!(Usage(format!(
                    "{}: larger than {UPLOAD_BYTES_MAX} bytes, upload it through the S3 API",
                    path.display()
                )));
            }
            let content = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let key = file.to_string_lossy().replace('\\', "/");
            progress.status(&format!("uploading {key}"));
            self.server.upload(bucket, &key, content.into()).await.with_context(|| format!("upload {key}"))?;
        }
        Ok(files.len())
    }

    async fn start(&self, machine: &str, name: String, job: &Value) -> Result<Job> {
        let input = json!({"stateMachineArn": machine, "name": name, "input": job.to_string()});
        match self.server.call("states", "StartExecution", input).await {
            Ok(started) => {
                let arn =
                    started["executionArn"].as_str().ok_or_else(|| anyhow!("StartExecution gave no ARN"))?.to_owned();
                Ok(Job { name, arn, end: None })
            }
            // The same job in the same store: its run, not a second one.
            Err(fault) if fault.code == "ExecutionAlreadyExists" => {
                let arn = format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1));
                Ok(Job { name, arn, end: None })
            }
            Err(fault) => Err(fault).with_context(|| format!("start {name}")),
        }
    }

    async fn wait(&self, jobs: &mut [Job], progress: &mut Progress) -> Result<()> {
        loop {
            for job in jobs.iter_mut().filter(|j| j.end.is_none()) {
                let description =
                    self.server.call("states", "DescribeExecution", json!({"executionArn": job.arn})).await?;
                if description["status"] == "RUNNING" {
                    continue;
                }
                progress.line(&ending(&job.name, &description));
                job.end = Some(description);
            }
            let ended = jobs.iter().filter(|j| j.end.is_some()).count();
            if ended == jobs.len() {
                return Ok(());
            }
            let failed = jobs.iter().filter(|j| j.end.is_some() && status(j) != "SUCCEEDED").count();
            progress.status(&format!("{} {ended} of {} ended, {failed} failed", bar(ended, jobs.len()), jobs.len()));
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    async fn report(&self, outputs: &BTreeMap<String, String>) -> Result<Vec<(String, String)>> {
        let mut texts = Vec::new();
        for object in self.manifest.report.iter().flat_map(|r| &r.objects) {
            let location = fill(object, outputs)?;
            let (bucket, key) = location
                .strip_prefix("s3://")
                .and_then(|l| l.split_once('/'))
                .ok_or_else(|| Usage(format!("run.toml: report {location}: expected s3://bucket/key")))?;
            let mut keys = vec![key.to_owned()];
            if key.ends_with('/') || key.is_empty() {
                let listed = self.server.call("s3", "ListObjectsV2", json!({"Bucket": bucket, "Prefix": key})).await?;
                let contents = listed["Contents"].as_array().into_iter().flatten();
                keys = contents
                    .filter_map(|o| o["Key"].as_str())
                    .filter(|k| k.ends_with(".txt"))
                    .map(str::to_owned)
                    .collect();
            }
            for key in keys {
                let object = self.server.call("s3", "GetObject", json!({"Bucket": bucket, "Key": key})).await?;
                let text = object["Body"].as_str().unwrap_or_default().to_owned();
                texts.push((format!("s3://{bucket}/{key}"), text));
            }
        }
        Ok(texts)
    }
}

fn status(job: &Job) -> &str {
    job.end.as_ref().and_then(|e| e["status"].as_str()).unwrap_or("RUNNING")
}

/// One line about an execution that has ended, with the reason if it failed.
fn ending(name: &str, description: &Value) -> String {
    let seconds = description["stopDate"].as_f64().unwrap_or(0.0) - description["startDate"].as_f64().unwrap_or(0.0);
    let status = description["status"].as_str().unwrap_or_default();
    let mut line = format!("{name}: {status} after {seconds:.1} s");
    if status != "SUCCEEDED" {
        let error = description["error"].as_str().unwrap_or("no error name");
        let cause = description["cause"].as_str().unwrap_or_default();
        line = format!("{line}\n  {error}: {}", message(cause));
    }
    line
}

/// What a cause says: the message of a function's error, or the text itself.
fn message(cause: &str) -> String {
    let parsed: Option<Value> = serde_json::from_str(cause).ok();
    let inner = parsed.as_ref().and_then(|p| p["errorMessage"].as_str());
    inner.unwrap_or(cause).to_owned()
}

fn bar(done: usize, all: usize) -> String {
    const WIDTH: usize = 24;
    let full = (done * WIDTH).checked_div(all).unwrap_or(WIDTH);
    format!("[{}{}]", "#".repeat(full), "-".repeat(WIDTH - full))
}

/// Puts stack outputs in for `{Name}`.
fn fill(text: &str, outputs: &BTreeMap<String, String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('{') {
        let (name, after) =
            tail.split_once('}').ok_or_else(|| Usage(format!("run.toml: '{text}': a {{ without }}")))?;
        let value = outputs.get(name).ok_or_else(|| {
            let known: Vec<&str> = outputs.keys().map(String::as_str).collect();
            Usage(format!("run.toml: the stack has no output '{name}'; it has {}", known.join(", ")))
        })?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Every file below `dir`, by its path from `root`.
fn collect(root: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            files.push(relative.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_filled_in() {
        let outputs = BTreeMap::from([("Bucket".to_owned(), "b-1".to_owned())]);
        assert_eq!(fill("s3://{Bucket}/reports/", &outputs).unwrap(), "s3://b-1/reports/");
        assert!(fill("{Buckt}", &outputs).unwrap_err().to_string().contains("it has Bucket"));
        assert!(fill("{Bucket", &outputs).is_err());
    }

    #[test]
    fn causes_of_functions_are_unwrapped() {
        assert_eq!(message(r#"{"errorMessage":"line 3","errorType":"E"}"#), "line 3");
        assert_eq!(message("plain"), "plain");
        let description = json!({"status": "FAILED", "error": "E", "cause": "c", "startDate": 1.0, "stopDate": 2.5});
        assert_eq!(ending("j", &description), "j: FAILED after 1.5 s\n  E: c");
    }
}
