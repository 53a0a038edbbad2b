//! Scores transcripts without any service: `cargo run -p assessmax-core --example score -- data/sample`.

use std::collections::BTreeMap;
use std::path::Path;

use assessmax_core::chunk::Chunk;
use assessmax_core::job::Job;
use assessmax_core::report::ClassReport;
use assessmax_core::session::{self, Session};
use assessmax_core::transcript::Transcript;
use assessmax_core::{keys, score};

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "data/sample".to_owned());
    if let Err(error) = run(Path::new(&folder)) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let jobs: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(folder.join("jobs.json"))?)?;
    let mut reports: BTreeMap<String, (ClassReport, BTreeMap<String, Session>)> = BTreeMap::new();
    for input in &jobs {
        let job = Job::parse(input)?;
        let transcript = Transcript::parse(&job, &std::fs::read(folder.join(&job.input_key))?)?;
        let scores = Chunk::split(&job, &transcript).iter().map(score::score).collect();
        let session = session::aggregate(&job, &transcript, scores);
        let (report, sessions) =
            reports.entry(job.class_id.clone()).or_insert_with(|| (ClassReport::new(&job.class_id), BTreeMap::new()));
        report.put(&session, &keys::session(&job.class_id, &job.date, &job.job_id));
        sessions.insert(job.job_id, session);
    }
    for (report, sessions) in reports.values() {
        if let Some(latest) = report.latest().and_then(|(job, _)| sessions.get(job)) {
            println!("{}", report.text(latest));
        }
    }
    Ok(())
}
