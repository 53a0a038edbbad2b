//! One student's scores, each with the lines it rests on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::chunk::{Chunk, Utterance};
use crate::cue;
use crate::language;
use crate::rubric::{Indicator, Rubric, Skill};

/// The scale is 0.0 to this.
pub const SCORE_MAX: f64 = 4.0;
/// Who says less is not scored.
pub const WORDS_MIN: usize = 40;
pub const UTTERANCES_MIN: usize = 3;
/// Evidence that is written down for one skill; all of it counts.
pub const EVIDENCE_MAX: usize = 40;
const QUOTE_CHARS_MAX: usize = 160;

/// What one student's words show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudentScore {
    pub version: u32,
    pub rubric: String,
    pub job_id: String,
    pub student: String,
    pub utterances: usize,
    pub words: usize,
    /// One for each skill of the rubric, in its order.
    pub skills: Vec<SkillScore>,
}

/// One skill: a score with evidence, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkillScore {
    pub skill: String,
    pub score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub evidence: Vec<Evidence>,
}

/// A line that shows a behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// In the raw transcript.
    pub line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<u64>,
    pub indicator: String,
    pub says: String,
    /// The words that show it.
    pub cue: String,
    pub quote: String,
    /// Whether it speaks against the skill.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counter: bool,
}

/// Scores one student by the current rubric.
pub fn score(chunk: &Chunk) -> StudentScore {
    let rubric = Rubric::current();
    let words = chunk.words();
    let withheld = withheld(chunk, words);
    let peers = cue::first_names(chunk.peers.iter().map(String::as_str));
    let read: Vec<Read<'_>> = chunk.utterances.iter().map(|u| Read::new(u, &peers)).collect();
    let skills = rubric
        .skills
        .iter()
        .map(|skill| match &withheld {
            Some(reason) => none(skill, reason),
            None => skill_score(skill, &read, words, &peers),
        })
        .collect();
    StudentScore {
        version: 1,
        rubric: rubric.id.clone(),
        job_id: chunk.job_id.clone(),
        student: chunk.student.clone(),
        utterances: chunk.utterances.len(),
        words,
        skills,
    }
}

/// Why a student is not scored at all.
fn withheld(chunk: &Chunk, words: usize) -> Option<String> {
    if chunk.speakers < 2 {
        return Some("only one person speaks in the transcript, and these skills show between people".to_owned());
    }
    let own = language::english_share(chunk.utterances.iter().map(|u| u.text.as_str()));
    let share = own.or(chunk.english_share);
    if let Some(share) = share.filter(|s| *s < language::ENGLISH_SHARE_MIN) {
        let percent = (share * 100.0).round();
        return Some(format!("the words are not English ({percent}% common English words), the rubric's cues are"));
    }
    let turns = chunk.utterances.len();
    (words < WORDS_MIN || turns < UTTERANCES_MIN).then(|| {
        format!("too little speech: {words} words in {turns} turns, at least {WORDS_MIN} in {UTTERANCES_MIN} needed")
    })
}

fn none(skill: &Skill, reason: &str) -> SkillScore {
    SkillScore {
        skill: skill.id.clone(),
        score: None,
        band: None,
        confidence: None,
        reason: Some(reason.to_owned()),
        evidence: Vec::new(),
    }
}

/// An utterance made ready for cues.
struct Read<'a> {
    utterance: &'a Utterance,
    sentences: Vec<cue::Sentence>,
    words: usize,
    to_peer: bool,
}

impl<'a> Read<'a> {
    fn new(utterance: &'a Utterance, peers: &BTreeSet<String>) -> Read<'a> {
        let names_peer = language::words(&utterance.text).any(|w| {
            let word = w.to_lowercase().replace('’', "'");
            peers.contains(word.strip_suffix("'s").unwrap_or(&word))
        });
        Read {
            utterance,
            sentences: cue::sentences(&utterance.text),
            words: language::words(&utterance.text).count(),
            to_peer: utterance.after_peer || names_peer,
        }
    }
}

/// Adds up behaviours: each counts half when seen once, three quarters when seen twice, and never fully, so that many
/// different behaviours weigh more than one that comes often.
fn skill_score(skill: &Skill, read: &[Read<'_>], words: usize, peers: &BTreeSet<String>) -> SkillScore {
    let mut points = 0.0;
    let mut evidence = Vec::new();
    for indicator in &skill.indicators {
        let shown: Vec<Evidence> = read.iter().filter_map(|r| shows(indicator, r, peers)).collect();
        if shown.is_empty() {
            continue;
        }
        let times = i32::try_from(shown.len()).unwrap_or(i32::MAX);
        let worth = indicator.weight * (1.0 - 0.5_f64.powi(times));
        points += if indicator.counter { -worth } else { worth };
        evidence.extend(shown);
    }
    if evidence.is_empty() {
        return none(skill, "not observed: nothing in the words shows it, for or against");
    }
    let score = (points.clamp(0.0, SCORE_MAX) * 10.0).round() / 10.0;
    let confidence = confidence(evidence.len(), words);
    evidence.sort_by(|a, b| (a.line, &a.indicator).cmp(&(b.line, &b.indicator)));
    evidence.truncate(EVIDENCE_MAX);
    SkillScore {
        skill: skill.id.clone(),
        score: Some(score),
        band: Some(band(score).to_owned()),
        confidence: Some(confidence.to_owned()),
        reason: None,
        evidence,
    }
}

/// The words for a score.
pub fn band(score: f64) -> &'static str {
    match score {
        s if s < 1.0 => "emerging",
        s if s < 2.0 => "developing",
        s if s < 3.0 => "proficient",
        _ => "strong",
    }
}

/// How much a score rests on.
fn confidence(lines: usize, words: usize) -> &'static str {
    match (lines, words) {
        (0..3, _) | (_, 0..120) => "low",
        (6.., 250..) => "high",
        _ => "medium",
    }
}

fn shows(indicator: &Indicator, read: &Read<'_>, peers: &BTreeSet<String>) -> Option<Evidence> {
    if read.words < indicator.words_min || indicator.to_peer && !read.to_peer {
        return None;
    }
    let (start, end) = indicator.cues.iter().find_map(|c| c.find(&read.sentences, peers))?;
    if indicator.unless.iter().any(|c| c.find(&read.sentences, peers).is_some()) {
        return None;
    }
    let text = &read.utterance.text;
    Some(Evidence {
        line: read.utterance.line,
        start_ms: read.utterance.start_ms,
        indicator: indicator.id.clone(),
        says: indicator.says.clone(),
        cue: text[start..end].to_owned(),
        quote: quote(text, start),
        counter: indicator.counter,
    })
}

/// The utterance, or the part of a long one around the cue.
fn quote(text: &str, cue: usize) -> String {
    let count = text.chars().count();
    if count <= QUOTE_CHARS_MAX {
        return text.to_owned();
    }
    let place = text[..cue].chars().count();
    let first = place.saturating_sub(QUOTE_CHARS_MAX / 3).min(count - QUOTE_CHARS_MAX);
    let part: String = text.chars().skip(first).take(QUOTE_CHARS_MAX).collect();
    let (before, after) = (first > 0, first + QUOTE_CHARS_MAX < count);
    format!("{}{}{}", if before { "…" } else { "" }, part.trim(), if after { "…" } else { "" })
}
