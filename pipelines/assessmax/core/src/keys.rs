//! Where things lie in the three buckets.

use sha2::{Digest as _, Sha256};

/// The first 16 hexadecimal digits of a SHA-256: enough to tell the contents of one job apart.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// The whole normalized transcript, in the normalized bucket.
pub fn normalized(class_id: &str, date: &str, job_id: &str) -> String {
    format!("normalized/{class_id}/{date}/{job_id}/transcript.json")
}

/// One student's part, in the normalized bucket. The name holds the content's digest.
pub fn chunk(class_id: &str, date: &str, job_id: &str, digest: &str) -> String {
    format!("normalized/{class_id}/{date}/{job_id}/students/{digest}.json")
}

/// One student's scores, in the outputs bucket. They hang on the chunk's content and the rubric, so that a score is
/// made once for each, however often it is asked for.
pub fn score(class_id: &str, date: &str, job_id: &str, digest: &str, rubric: &str) -> String {
    format!("scores/{class_id}/{date}/{job_id}/{digest}-{rubric}.json")
}

/// What one job found, in the outputs bucket.
pub fn session(class_id: &str, date: &str, job_id: &str) -> String {
    format!("results/{class_id}/{date}/{job_id}.json")
}

/// A class's report as data, in the outputs bucket.
pub fn report_json(class_id: &str) -> String {
    format!("reports/{class_id}.json")
}

/// A class's report to read, in the outputs bucket.
pub fn report_text(class_id: &str) -> String {
    format!("reports/{class_id}.txt")
}
