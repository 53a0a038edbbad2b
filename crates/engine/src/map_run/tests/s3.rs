//! S3 in memory, with the operations that Map Runs call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use service::{Call, Fault, Service};

/// Objects of one bucket by key, and parts of uploads by upload and number.
#[derive(Clone, Default)]
pub struct S3 {
    pub objects: Arc<Mutex<BTreeMap<String, String>>>,
    uploads: Arc<Mutex<BTreeMap<String, BTreeMap<u64, String>>>>,
}

fn text(input: &Value, name: &str) -> String {
    input[name].as_str().unwrap_or_default().to_owned()
}

impl S3 {
    pub fn put(&self, key: &str, content: impl Into<String>) {
        self.objects.lock().unwrap().insert(key.to_owned(), content.into());
    }

    pub fn get(&self, key: &str) -> Option<String> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    pub fn uploads(&self) -> usize {
        self.uploads.lock().unwrap().len()
    }

    /// Begins an upload that nobody goes on with.
    pub fn leave_upload(&self, id: &str) {
        self.uploads.lock().unwrap().insert(id.to_owned(), BTreeMap::new());
    }

    fn find(&self, input: &Value) -> Result<String, Fault> {
        if input["Bucket"] != "b" {
            return Err(Fault::with_status(404, "NoSuchBucket", "The specified bucket does not exist"));
        }
        let missing = || Fault::with_status(404, "NoSuchKey", "The specified key does not exist.");
        self.get(&text(input, "Key")).ok_or_else(missing)
    }

    fn read(&self, input: &Value) -> Result<Value, Fault> {
        let content = self.find(input)?;
        let etag = format!("\"{}\"", content.len());
        if input.get("IfMatch").is_some_and(|wanted| *wanted != etag) {
            return Err(Fault::with_status(412, "PreconditionFailed", "It was replaced."));
        }
        let range = text(input, "Range");
        let (from, to) = range.trim_start_matches("bytes=").split_once('-').unwrap_or(("0", "99999999999"));
        let (from, to) = (from.parse::<usize>().unwrap(), to.parse::<usize>().unwrap());
        let piece = content.get(from..content.len().min(to + 1)).unwrap_or_default();
        Ok(json!({"ETag": etag, "ContentLength": piece.len(), "Body": piece}))
    }

    fn list(&self, input: &Value) -> Value {
        let (prefix, after) = (text(input, "Prefix"), text(input, "StartAfter"));
        let objects = self.objects.lock().unwrap();
        let found = objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let mut found: Vec<Value> = found
            .take(3)
            .map(|(key, content)| {
                json!({"Key": key, "ETag": "\"e\"", "Size": content.len(), "LastModified": "2026-01-01T00:00:00Z"})
            })
            .collect();
        let more = found.len() > 2;
        found.truncate(2);
        json!({"Contents": found, "IsTruncated": more})
    }

    fn complete(&self, input: &Value) -> Result<Value, Fault> {
        let parts = self.uploads.lock().unwrap().remove(&text(input, "UploadId"));
        let parts = parts.ok_or_else(|| Fault::with_status(404, "NoSuchUpload", "The upload does not exist."))?;
        assert_eq!(parts.len(), input["MultipartUpload"]["Parts"].as_array().unwrap().len());
        self.put(&text(input, "Key"), parts.into_values().collect::<String>());
        Ok(json!({}))
    }

    fn upload_part(&self, input: &Value) -> Value {
        let mut uploads = self.uploads.lock().unwrap();
        let parts = uploads.get_mut(&text(input, "UploadId")).expect("it was begun");
        parts.insert(input["PartNumber"].as_u64().unwrap(), text(input, "Body"));
        json!({"ETag": "\"p\""})
    }

    fn list_uploads(&self) -> Value {
        let uploads = self.uploads.lock().unwrap();
        let uploads: Vec<Value> = uploads.keys().map(|id| json!({"Key": "k", "UploadId": id})).collect();
        json!({"Uploads": uploads})
    }

    pub fn service(&self) -> Service {
        let mut service = Service::new("s3");
        let mut add = |name: &'static str, run: fn(&S3, &Value) -> Result<Value, Fault>| {
            let s3 = self.clone();
            service.operation(name, move |_: Call, input: Value| {
                let answer = run(&s3, &input);
                async move { answer }
            });
        };
        add("HeadObject", S3::read);
        add("GetObject", S3::read);
        add("ListObjectsV2", |s3, input| Ok(s3.list(input)));
        add("PutObject", |s3, input| {
            if input["Bucket"] != "b" {
                return Err(Fault::with_status(404, "NoSuchBucket", "The specified bucket does not exist"));
            }
            s3.put(&text(input, "Key"), text(input, "Body"));
            Ok(json!({}))
        });
        add("CreateMultipartUpload", |s3, _| {
            let id = format!("u{}", s3.uploads());
            s3.leave_upload(&id);
            Ok(json!({"UploadId": id}))
        });
        add("UploadPart", |s3, input| Ok(s3.upload_part(input)));
        add("CompleteMultipartUpload", S3::complete);
        add("AbortMultipartUpload", |s3, input| {
            s3.uploads.lock().unwrap().remove(&text(input, "UploadId"));
            Ok(json!({}))
        });
        add("ListMultipartUploads", |s3, _| Ok(s3.list_uploads()));
        service
    }
}
