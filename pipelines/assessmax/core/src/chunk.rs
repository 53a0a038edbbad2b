//! One student's part of a transcript: what a message to the scoring queue is about.

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::language;
use crate::transcript::{Role, Transcript};

/// One student's utterances, and what scoring needs to know of the room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub version: u32,
    pub job_id: String,
    pub class_id: String,
    pub date: String,
    pub source_key: String,
    pub student: String,
    /// The other students, in the order in which they first speak.
    pub peers: Vec<String>,
    /// Everybody who speaks, teachers and unknown voices too.
    pub speakers: usize,
    /// How much of the whole transcript is common English words.
    pub english_share: Option<f64>,
    pub utterances: Vec<Utterance>,
}

/// What a student said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Utterance {
    pub line: usize,
    pub start_ms: Option<u64>,
    /// Whether another student spoke just before.
    pub after_peer: bool,
    pub text: String,
}

impl Chunk {
    /// One chunk for each student, in the order in which they first speak.
    pub fn split(job: &Job, transcript: &Transcript) -> Vec<Chunk> {
        let english_share = language::english_share(transcript.segments.iter().map(|s| s.text.as_str()));
        let mut chunks: Vec<(usize, Chunk)> = transcript
            .students()
            .map(|(place, student)| {
                let peers = transcript.students().filter(|(p, _)| *p != place).map(|(_, s)| s.name.clone()).collect();
                let chunk = Chunk {
                    version: 1,
                    job_id: job.job_id.clone(),
                    class_id: job.class_id.clone(),
                    date: job.date.clone(),
                    source_key: job.input_key.clone(),
                    student: student.name.clone(),
                    peers,
                    speakers: transcript.speakers.len(),
                    english_share,
                    utterances: Vec::with_capacity(student.utterances),
                };
                (place, chunk)
            })
            .collect();
        let mut before: Option<usize> = None;
        for segment in &transcript.segments {
            let after_peer =
                before.is_some_and(|b| b != segment.speaker && transcript.speakers[b].role == Role::Student);
            before = Some(segment.speaker);
            if let Some((_, chunk)) = chunks.iter_mut().find(|(place, _)| *place == segment.speaker) {
                chunk.utterances.push(Utterance {
                    line: segment.line,
                    start_ms: segment.start_ms,
                    after_peer,
                    text: segment.text.clone(),
                });
            }
        }
        chunks.into_iter().map(|(_, chunk)| chunk).collect()
    }

    pub fn words(&self) -> usize {
        self.utterances.iter().map(|u| language::words(&u.text).count()).sum()
    }
}
