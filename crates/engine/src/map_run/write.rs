//! Puts the results of a Map Run's children together: into the Map state's output, or into files in S3.

use std::sync::Arc;
use std::time::Duration;

use items::results::{self, Assembler, ChildStatus, FILE_BYTES_MAX, FileKind, OutputType, ResultFile, Transformation};
use serde_json::{Value, json};

use super::driver::{Driver, Refused};
use super::objects::wording;
use super::query::{self, ChildResult};
use super::record::End;
use super::{Failure, Input, Run, Written};
use crate::record::EndRecord;

/// Results that are read from the store at once.
const RESULTS_PER_READ: u64 = 128;
/// Bytes that gather before they are uploaded as a part: S3's smallest part is 5 MiB, its largest body here 8 MiB.
const PART_BYTES: usize = 6 * 1024 * 1024;
/// Before the store is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Puts the results of the first `children` children together and tells the Map Run what came of it.
pub(super) async fn run(driver: &Arc<Driver>, run: Arc<Run>, children: u64, end: End) {
    let written = match (run.exports(), end) {
        (true, _) => export(driver, &run, children).await,
        (false, _) => collect(driver, &run, children).await,
    };
    let id = run.id;
    driver.deliver(id, |reply| Input::Written { id, written: written.clone(), reply }).await;
}

/// What the Map state's `WriterConfig` says.
fn format(run: &Run) -> (Transformation, OutputType) {
    let Some(writer) = run.map().and_then(|map| map.writer.as_ref()) else {
        return (Transformation::Compact, OutputType::Json);
    };
    let transformation = match writer.config.transformation {
        asl::Transformation::None => Transformation::None,
        asl::Transformation::Compact => Transformation::Compact,
        asl::Transformation::Flatten => Transformation::Flatten,
    };
    let output_type = match writer.config.output_type {
        asl::OutputType::Json => OutputType::Json,
        asl::OutputType::Jsonl => OutputType::JsonLines,
    };
    (transformation, output_type)
}

/// All results as one array.
async fn collect(driver: &Arc<Driver>, run: &Arc<Run>, children: u64) -> Result<Written, Failure> {
    let bytes_max = driver.dispatcher.options.standard_limits.payload_bytes_max;
    let (transformation, _) = format(run);
    let mut lines = Vec::new();
    let mut from = 0;
    while from < children {
        for child in read(driver, run, from, children).await {
            entry(&mut lines, run, &child, transformation)?;
        }
        from += RESULTS_PER_READ;
        if lines.len() > bytes_max {
            let state = &run.record.state_name;
            let cause = format!(
                "The state/task '{state}' returned a result with a size exceeding the maximum number of bytes service limit."
            );
            return Err(Failure { error: "States.DataLimitExceeded".to_owned(), cause });
        }
    }
    let mut array = Vec::with_capacity(lines.len() + 2);
    array.push(b'[');
    for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        if array.len() > 1 {
            array.push(b',');
        }
        array.extend_from_slice(line);
    }
    array.push(b']');
    let output = String::from_utf8(array).map_err(|_| writer_failed("An output is not UTF-8.".to_owned()))?;
    Ok(Written { output: Some(output), children: 0 })
}

fn entry(lines: &mut Vec<u8>, run: &Run, child: &ChildResult, transformation: Transformation) -> Result<(), Failure> {
    let machine = run.record.machine_arn();
    let status = status(&child.end);
    let reason = match status {
        ChildStatus::Succeeded => Some("Execution is SUCCEEDED and cannot be redriven"),
        _ => None,
    };
    let about = results::Child {
        execution_arn: &child.arn,
        state_machine_arn: &machine,
        name: &child.name,
        status,
        input: Some(&child.input),
        output: child.end.output.as_deref(),
        error: child.end.error.as_deref(),
        cause: child.end.cause.as_deref(),
        start: base::Timestamp::from_millis(child.start_ms),
        stop: Some(base::Timestamp::from_millis(child.end.stop_ms)),
        redrive_count: 0,
        redrive_status: if reason.is_some() { "NOT_REDRIVABLE" } else { "REDRIVABLE_BY_MAP_RUN" },
        redrive_status_reason: reason,
    };
    results::entries(lines, &about, transformation)
        .map_err(|e| Failure { error: e.name().to_owned(), cause: e.cause() })
}

fn status(end: &EndRecord) -> ChildStatus {
    match end.status {
        EndRecord::SUCCEEDED => ChildStatus::Succeeded,
        EndRecord::TIMED_OUT => ChildStatus::TimedOut,
        EndRecord::ABORTED => ChildStatus::Aborted,
        _ => ChildStatus::Failed,
    }
}

/// The next results, from the child `from` on. The store is asked until it answers: no result may be left out.
async fn read(driver: &Arc<Driver>, run: &Arc<Run>, from: u64, children: u64) -> Vec<ChildResult> {
    loop {
        let (driver, run) = (driver.clone(), run.clone());
        let read = tokio::task::spawn_blocking(move || {
            let store = driver.dispatcher.store();
            let until = children.min(from + RESULTS_PER_READ);
            let results = (from..until).map(|index| query::result(store, &run.record, run.id, index));
            results.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
        });
        match read.await {
            Ok(Ok(results)) => return results,
            Ok(Err(error)) => tracing::warn!(%error, "results of a Map Run cannot be read, trying again"),
            Err(error) => tracing::error!(%error, "results of a Map Run cannot be read, trying again"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// The results as files in S3.
async fn export(driver: &Arc<Driver>, run: &Arc<Run>, children: u64) -> Result<Written, Failure> {
    let parameters: Value =
        run.source.writer_parameters.as_deref().and_then(|p| serde_json::from_str(p).ok()).unwrap_or_default();
    let text = |name: &str| parameters.get(name).and_then(Value::as_str);
    let Some(bucket) = text("Bucket").filter(|b| !b.is_empty()) else {
        return Err(writer_failed("The ResultWriter's parameter 'Bucket' is missing.".to_owned()));
    };
    let (_, uuid) = super::record::name_of(&run.record.arn).unwrap_or_default();
    let directory = results::directory(text("Prefix"), uuid, 0);
    let (transformation, output_type) = format(run);
    let files = Files { driver, run, bucket, directory: &directory };
    files.abort_uploads().await?;
    let sink = |kind| Sink {
        assembler: Assembler::new(kind, &directory, output_type, FILE_BYTES_MAX),
        buffer: Vec::new(),
        upload: None,
        used: false,
        done: Vec::new(),
    };
    let (mut succeeded, mut failed) = (sink(FileKind::Succeeded), sink(FileKind::Failed));
    let (mut lines, mut from, mut exported) = (Vec::new(), 0, 0);
    while from < children {
        for child in read(driver, run, from, children).await {
            exported += 1;
            lines.clear();
            entry(&mut lines, run, &child, transformation)?;
            let sink = match status(&child.end).file_kind() {
                FileKind::Succeeded => &mut succeeded,
                FileKind::Failed | FileKind::Pending => &mut failed,
            };
            sink.push(&files, &lines).await?;
        }
        from += RESULTS_PER_READ;
    }
    let mut done = failed.finish(&files).await?;
    done.extend(succeeded.finish(&files).await?);
    let key = results::manifest_key(&directory);
    files.put(&key, results::manifest(bucket, &run.record.arn, &done)).await?;
    let output = results::state_output(&run.record.arn, bucket, &key);
    Ok(Written { output: Some(output), children: exported })
}

fn writer_failed(cause: String) -> Failure {
    Failure { error: "States.ResultWriterFailed".to_owned(), cause }
}

fn refused(refused: Refused) -> Failure {
    writer_failed(wording(&refused))
}

/// Where files go.
struct Files<'a> {
    driver: &'a Driver,
    run: &'a Run,
    bucket: &'a str,
    directory: &'a str,
}

impl Files<'_> {
    async fn call(&self, operation: &str, key: &str, more: Value) -> Result<Value, Failure> {
        let mut input = json!({"Bucket": self.bucket, "Key": key});
        if let (Some(members), Value::Object(more)) = (input.as_object_mut(), more) {
            members.extend(more);
        }
        self.driver.call(self.run, "s3", operation, input).await.map_err(refused)
    }

    async fn put(&self, key: &str, content: String) -> Result<(), Failure> {
        self.call("PutObject", key, json!({"Body": content, "ContentType": "application/json"})).await?;
        Ok(())
    }

    /// Gives up uploads that a crash left behind.
    async fn abort_uploads(&self) -> Result<(), Failure> {
        let input = json!({"Bucket": self.bucket, "Prefix": self.directory});
        let listed = self.driver.call(self.run, "s3", "ListMultipartUploads", input).await.map_err(refused)?;
        for upload in listed.get("Uploads").and_then(Value::as_array).into_iter().flatten() {
            if let (Some(key), Some(id)) = (upload["Key"].as_str(), upload["UploadId"].as_str()) {
                self.call("AbortMultipartUpload", key, json!({"UploadId": id})).await?;
            }
        }
        Ok(())
    }
}

/// The files of one kind.
struct Sink {
    assembler: Assembler,
    /// Bytes of the current file that are not uploaded yet.
    buffer: Vec<u8>,
    upload: Option<Upload>,
    used: bool,
    done: Vec<ResultFile>,
}

/// A file that is too large for one request.
struct Upload {
    id: String,
    parts: Vec<Value>,
}

impl Sink {
    async fn push(&mut self, files: &Files<'_>, mut lines: &[u8]) -> Result<(), Failure> {
        self.used = true;
        while !lines.is_empty() {
            let step = self.assembler.push(lines, &mut self.buffer);
            lines = &lines[step.used..];
            if let Some(file) = step.complete {
                self.complete(files, file).await?;
            }
        }
        if self.buffer.len() >= PART_BYTES {
            let key = self.assembler.key();
            self.part(files, &key).await?;
        }
        Ok(())
    }

    async fn finish(mut self, files: &Files<'_>) -> Result<Vec<ResultFile>, Failure> {
        if self.used {
            let spare = Assembler::new(FileKind::Pending, "", OutputType::Json, FILE_BYTES_MAX);
            let file = std::mem::replace(&mut self.assembler, spare).finish(&mut self.buffer);
            self.complete(files, file).await?;
        }
        Ok(self.done)
    }

    async fn complete(&mut self, files: &Files<'_>, file: ResultFile) -> Result<(), Failure> {
        if self.upload.is_none() {
            let content = text(&mut self.buffer)?;
            files.put(&file.key, content).await?;
        } else {
            if !self.buffer.is_empty() {
                self.part(files, &file.key).await?;
            }
            let Some(Upload { id, parts }) = self.upload.take() else { return Ok(()) };
            let more = json!({"UploadId": id, "MultipartUpload": {"Parts": parts}});
            files.call("CompleteMultipartUpload", &file.key, more).await?;
        }
        self.done.push(file);
        Ok(())
    }

    async fn part(&mut self, files: &Files<'_>, key: &str) -> Result<(), Failure> {
        if self.upload.is_none() {
            let answer = files.call("CreateMultipartUpload", key, json!({"ContentType": "application/json"})).await?;
            let id = answer["UploadId"].as_str().unwrap_or_default().to_owned();
            self.upload = Some(Upload { id, parts: Vec::new() });
        }
        let Some(Upload { id, parts }) = &mut self.upload else { return Ok(()) };
        let number = parts.len() + 1;
        let more = json!({"UploadId": id, "PartNumber": number, "Body": text(&mut self.buffer)?});
        let answer = files.call("UploadPart", key, more).await?;
        parts.push(json!({"PartNumber": number, "ETag": answer["ETag"]}));
        Ok(())
    }
}

/// Takes what has gathered. Lines are whole, so it is never cut within a character.
fn text(buffer: &mut Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(std::mem::take(buffer)).map_err(|_| writer_failed("An output is not UTF-8.".to_owned()))
}
