//! What one job found: the scores of its students and of the class.

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::rubric::Rubric;
use crate::score::{SkillScore, StudentScore};
use crate::transcript::{Role, Transcript};

/// A job's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub version: u32,
    pub rubric: String,
    pub job_id: String,
    pub class_id: String,
    pub date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub source_key: String,
    pub duration_ms: Option<u64>,
    pub utterances: usize,
    pub speakers: usize,
    /// In the order of their names.
    pub students: Vec<Student>,
    /// One for each skill of the rubric, in its order.
    pub class: Vec<ClassSkill>,
    /// What a reader must know: that nobody spoke, that nobody is named.
    pub notes: Vec<String>,
}

/// One student in one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Student {
    pub name: String,
    pub utterances: usize,
    pub words: usize,
    /// Of all that students said, in per cent.
    pub talk_share: u32,
    pub skills: Vec<SkillScore>,
}

/// A skill over the students who have a score in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassSkill {
    pub skill: String,
    pub mean: Option<f64>,
    pub scored: usize,
    pub students: usize,
}

/// Brings the scores of a job's students together; the order in which they come does not matter.
pub fn aggregate(job: &Job, transcript: &Transcript, mut scores: Vec<StudentScore>) -> Session {
    scores.sort_by(|a, b| a.student.cmp(&b.student));
    let spoken: usize = scores.iter().map(|s| s.words).sum();
    let students: Vec<Student> = scores
        .into_iter()
        .map(|score| Student {
            talk_share: percent(score.words, spoken),
            name: score.student,
            utterances: score.utterances,
            words: score.words,
            skills: score.skills,
        })
        .collect();
    let rubric = Rubric::current();
    let class = rubric.skills.iter().map(|skill| class_skill(&skill.id, &students)).collect();
    Session {
        version: 1,
        rubric: rubric.id.clone(),
        job_id: job.job_id.clone(),
        class_id: job.class_id.clone(),
        date: job.date.clone(),
        title: job.title().map(str::to_owned),
        source_key: job.input_key.clone(),
        duration_ms: transcript.duration_ms,
        utterances: transcript.segments.len(),
        speakers: transcript.speakers.len(),
        notes: notes(transcript, &students),
        students,
        class,
    }
}

fn class_skill(skill: &str, students: &[Student]) -> ClassSkill {
    let found: Vec<f64> =
        students.iter().flat_map(|s| &s.skills).filter(|s| s.skill == skill).filter_map(|s| s.score).collect();
    ClassSkill { skill: skill.to_owned(), mean: mean(&found), scored: found.len(), students: students.len() }
}

/// The mean with one digit after the point; none of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    // Counts of students and sessions are far below 2^52: exact.
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| (sum / values.len() as f64 * 10.0).round() / 10.0)
}

fn percent(part: usize, whole: usize) -> u32 {
    let rounded = (part * 100 + whole / 2).checked_div(whole).unwrap_or(0);
    u32::try_from(rounded).unwrap_or(100)
}

fn notes(transcript: &Transcript, students: &[Student]) -> Vec<String> {
    let mut notes = Vec::new();
    if transcript.segments.is_empty() {
        notes.push("the transcript is empty: nobody speaks in it".to_owned());
    } else if students.is_empty() {
        notes.push("no student speaks in the transcript".to_owned());
    } else if transcript.speakers.len() == 1 {
        notes.push("only one person speaks in the transcript".to_owned());
    }
    let unknown: usize = transcript.speakers.iter().filter(|s| s.role == Role::Unknown).map(|s| s.utterances).sum();
    if unknown > 0 {
        notes.push(format!("{unknown} utterances have no known speaker and are not scored"));
    }
    if !transcript.segments.is_empty() && !transcript.speakers.iter().any(|s| s.role == Role::Teacher) {
        notes.push("no teacher is recognised: every named speaker is scored as a student".to_owned());
    }
    notes
}
