//! The report of a class over all its jobs so far.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::rubric::Rubric;
use crate::score::{Evidence, SkillScore};
use crate::session::{Session, mean};

/// Lines of evidence that the text shows for a skill of a student.
const EVIDENCE_SHOWN: usize = 2;
/// Sessions that the text lists one by one.
const SESSIONS_SHOWN: usize = 20;
const QUOTE_SHOWN_CHARS: usize = 100;

/// A class's sessions in short, by job. Putting a session in twice changes nothing, and the order does not matter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    pub version: u32,
    pub class_id: String,
    pub rubric: String,
    pub sessions: BTreeMap<String, Brief>,
    /// Derived from the sessions: the mean of each student's and the class's scores.
    pub students: BTreeMap<String, Vec<Option<f64>>>,
    pub class: Vec<Option<f64>>,
    pub skills: Vec<String>,
}

/// A session in a class's report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    pub date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub source_key: String,
    pub result_key: String,
    pub utterances: usize,
    pub duration_ms: Option<u64>,
    pub students: BTreeMap<String, Vec<Option<f64>>>,
    /// Why students have no score at all.
    pub withheld: BTreeMap<String, String>,
    pub notes: Vec<String>,
}

impl ClassReport {
    pub fn new(class_id: &str) -> ClassReport {
        let rubric = Rubric::current();
        ClassReport {
            version: 1,
            class_id: class_id.to_owned(),
            rubric: rubric.id.clone(),
            skills: rubric.skills.iter().map(|s| s.id.clone()).collect(),
            ..ClassReport::default()
        }
    }

    /// Puts a session in, in place of an earlier one of the same job.
    pub fn put(&mut self, session: &Session, result_key: &str) {
        self.sessions.insert(session.job_id.clone(), Brief::new(session, result_key));
        self.derive();
    }

    fn derive(&mut self) {
        let mut scores: BTreeMap<&str, Vec<Vec<f64>>> = BTreeMap::new();
        let mut class: Vec<Vec<f64>> = vec![Vec::new(); self.skills.len()];
        for (student, skills) in self.sessions.values().flat_map(|s| &s.students) {
            let of_student = scores.entry(student).or_insert_with(|| vec![Vec::new(); self.skills.len()]);
            for (place, score) in skills.iter().enumerate().filter_map(|(p, s)| Some((p, (*s)?))) {
                if let (Some(own), Some(all)) = (of_student.get_mut(place), class.get_mut(place)) {
                    own.push(score);
                    all.push(score);
                }
            }
        }
        self.students = scores
            .into_iter()
            .map(|(student, skills)| (student.to_owned(), skills.iter().map(|s| mean(s)).collect()))
            .collect();
        self.class = class.iter().map(|s| mean(s)).collect();
    }

    /// The latest session: its evidence is in the text.
    pub fn latest(&self) -> Option<(&str, &Brief)> {
        self.sessions.iter().map(|(job, brief)| (job.as_str(), brief)).max_by_key(|(job, brief)| (&brief.date, *job))
    }

    /// The report to read; `latest` is the session of [`ClassReport::latest`].
    pub fn text(&self, latest: &Session) -> String {
        let mut text = String::new();
        self.head(&mut text);
        self.table(&mut text);
        evidence(&mut text, latest);
        self.not_scored(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        let mut sessions: Vec<(&String, &Brief)> = self.sessions.iter().collect();
        sessions.sort_by_key(|(job, brief)| (&brief.date, *job));
        line(text, &format!("AssessMax report: {}", self.class_id));
        line(text, &"=".repeat(18 + self.class_id.chars().count()));
        line(text, "");
        let hidden = sessions.len().saturating_sub(SESSIONS_SHOWN);
        let from = if hidden > 0 { format!(", the latest {SESSIONS_SHOWN} of which are") } else { String::new() };
        line(text, &format!("{}{from}:", counted(sessions.len(), "session")));
        for (job, brief) in sessions.iter().skip(hidden) {
            let minutes = brief.duration_ms.map_or(String::new(), |ms| format!(", {} min", (ms + 30_000) / 60_000));
            let title = brief.title.as_deref().map_or(String::new(), |t| format!("  {t}"));
            line(text, &format!("  {}  {job}{title} ({} utterances{minutes})", brief.date, brief.utterances));
            for note in &brief.notes {
                line(text, &format!("              note: {note}"));
            }
        }
        line(text, "");
    }

    fn table(&self, text: &mut String) {
        let names: Vec<&str> = Rubric::current().skills.iter().map(|s| s.name.as_str()).collect();
        let width = self.students.keys().map(|s| s.chars().count()).max().unwrap_or(0).max("Class mean".len());
        let mut header = format!("{:<width$}  Sessions", "Student");
        for name in &names {
            let _ = write!(header, "  {name}");
        }
        line(text, &header);
        line(text, &"-".repeat(header.chars().count()));
        for (student, scores) in &self.students {
            let attended = self.sessions.values().filter(|s| s.students.contains_key(student)).count();
            line(text, &row(student, width, &attended.to_string(), scores, &names));
        }
        line(text, &row("Class mean", width, "", &self.class, &names));
        line(text, "");
        line(text, "Scores are 0.0 to 4.0, the mean over the sessions: below 1 emerging, below 2 developing, below 3");
        line(text, "proficient, else strong. \"-\" is no score: nothing was observed, or see \"Not scored\" below.");
        line(text, "");
    }

    fn not_scored(&self, text: &mut String) {
        let mut found: Vec<(&str, &str, &str)> = Vec::new();
        for brief in self.sessions.values() {
            found.extend(brief.withheld.iter().map(|(s, reason)| (s.as_str(), brief.date.as_str(), reason.as_str())));
        }
        if found.is_empty() {
            return;
        }
        found.sort_unstable();
        line(text, "Not scored");
        line(text, "");
        for (student, date, reason) in found {
            line(text, &format!("  {student}, {date}: {reason}"));
        }
        line(text, "");
    }
}

impl Brief {
    fn new(session: &Session, result_key: &str) -> Brief {
        let scores = |skills: &[SkillScore]| skills.iter().map(|s| s.score).collect();
        let withheld = session.students.iter().filter_map(|student| {
            let first = student.skills.first()?.reason.clone()?;
            let whole = student.skills.iter().all(|s| s.reason.as_ref() == Some(&first));
            whole.then(|| (student.name.clone(), first))
        });
        Brief {
            date: session.date.clone(),
            title: session.title.clone(),
            source_key: session.source_key.clone(),
            result_key: result_key.to_owned(),
            utterances: session.utterances,
            duration_ms: session.duration_ms,
            students: session.students.iter().map(|s| (s.name.clone(), scores(&s.skills))).collect(),
            withheld: withheld.collect(),
            notes: session.notes.clone(),
        }
    }
}

fn evidence(text: &mut String, session: &Session) {
    let shown = |skill: &SkillScore| skill.score.is_some();
    if !session.students.iter().any(|s| s.skills.iter().any(shown)) {
        return;
    }
    line(text, &format!("Evidence of the latest session, {} (lines of {})", session.date, session.source_key));
    line(text, "");
    let rubric = Rubric::current();
    for student in session.students.iter().filter(|s| s.skills.iter().any(shown)) {
        let turns = counted(student.utterances, "turn");
        line(text, &format!("  {} ({turns}, {}% of the students' words)", student.name, student.talk_share));
        for (skill, found) in rubric.skills.iter().zip(&student.skills) {
            let (Some(score), Some(band)) = (found.score, &found.band) else { continue };
            let confidence = found.confidence.as_deref().unwrap_or("low");
            let lines = counted(found.evidence.len(), "line");
            line(text, &format!("    {} {score:.1} {band} ({lines}, {confidence} confidence)", skill.name));
            for one in telling(&found.evidence) {
                let sign = if one.counter { "!" } else { " " };
                let quote = cut(&one.quote, QUOTE_SHOWN_CHARS);
                line(text, &format!("    {sign} line {:>4}  {}: \"{quote}\"", one.line, one.says));
            }
        }
        line(text, "");
    }
}

/// The lines that tell most: of different behaviours first, then the earliest.
fn telling(evidence: &[Evidence]) -> Vec<&Evidence> {
    let mut chosen: Vec<&Evidence> = Vec::new();
    for one in evidence {
        if chosen.len() < EVIDENCE_SHOWN && chosen.iter().all(|c| c.indicator != one.indicator) {
            chosen.push(one);
        }
    }
    // What speaks against the skill is not left out because it came late.
    if let Some(counter) = evidence.iter().find(|e| e.counter)
        && chosen.iter().all(|c| !c.counter)
    {
        chosen.push(counter);
    }
    chosen
}

fn row(student: &str, width: usize, sessions: &str, scores: &[Option<f64>], names: &[&str]) -> String {
    let pad = width.saturating_sub(student.chars().count());
    let mut row = format!("{student}{}  {sessions:>8}", " ".repeat(pad));
    for (score, name) in scores.iter().zip(names) {
        let shown = score.map_or("-".to_owned(), |s| format!("{s:.1}"));
        let _ = write!(row, "  {shown:>0$}", name.chars().count());
    }
    row
}

fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text.to_owned(),
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}
