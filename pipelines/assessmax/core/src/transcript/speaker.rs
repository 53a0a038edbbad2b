//! Who speaks, and whether that is a teacher.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Speaker;

/// The name under which utterances go that nobody is named for.
pub const UNKNOWN: &str = "Unknown";

/// What a speaker is in the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Teacher,
    Student,
    /// The transcript does not say who it was: not scored.
    Unknown,
}

impl Role {
    /// What a transcript's own role column or field means.
    pub(super) fn parse(text: &str) -> Option<Role> {
        match text.trim().to_lowercase().as_str() {
            "teacher" | "instructor" | "staff" | "facilitator" | "aide" | "adult" | "coach" => Some(Role::Teacher),
            "student" | "pupil" | "learner" | "participant" => Some(Role::Student),
            "unknown" => Some(Role::Unknown),
            _ => None,
        }
    }
}

/// The speakers in the order in which they first speak.
pub(super) struct Cast {
    teachers: Vec<String>,
    places: BTreeMap<String, usize>,
    speakers: Vec<Speaker>,
}

impl Cast {
    pub fn new(teachers: &[&str]) -> Cast {
        Cast { teachers: teachers.iter().map(|t| fold(t)).collect(), places: BTreeMap::new(), speakers: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.speakers.len()
    }

    /// The place of a name, which is made where it is new. A role that the transcript gives counts for all that the
    /// speaker says; the job's own list of teachers counts more.
    pub fn place(&mut self, name: &str, given: Option<Role>) -> usize {
        let name = clean(name);
        let name = if name.is_empty() { UNKNOWN.to_owned() } else { name };
        let folded = fold(&name);
        let listed = self.teachers.contains(&folded);
        let place = *self.places.entry(folded).or_insert(self.speakers.len());
        if place == self.speakers.len() {
            let role = guess(&name);
            self.speakers.push(Speaker { name, role, utterances: 0, words: 0 });
        }
        if listed {
            self.speakers[place].role = Role::Teacher;
        } else if let Some(given) = given {
            self.speakers[place].role = given;
        }
        place
    }

    pub fn finish(self) -> Vec<Speaker> {
        self.speakers
    }
}

/// A teacher by title, nobody by the usual words for nobody, a student otherwise.
fn guess(name: &str) -> Role {
    const TITLES: [&str; 13] =
        ["ms", "mr", "mrs", "mx", "miss", "dr", "prof", "professor", "teacher", "instructor", "coach", "sra", "sr"];
    let lower = name.to_lowercase();
    let first = lower.split([' ', '_', '-']).next().unwrap_or_default().trim_end_matches('.');
    // `Teacher 2`, `teacher1` too.
    if TITLES.contains(&first.trim_end_matches(|c: char| c.is_ascii_digit())) {
        return Role::Teacher;
    }
    match lower.as_str() {
        "unknown" | "unknown speaker" | "unidentified" | "inaudible" | "multiple" | "several" | "all" | "class"
        | "everyone" | "students" | "narrator" => Role::Unknown,
        _ => Role::Student,
    }
}

/// A name as it is shown: without remarks in brackets, with single spaces.
pub(super) fn clean(name: &str) -> String {
    collapse(name.split_once(['(', '[']).map_or(name, |(name, _)| name))
}

/// Runs of white space as one space each, none at the ends.
pub(super) fn collapse(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

/// What two spellings of one name have in common.
fn fold(name: &str) -> String {
    clean(name).to_lowercase().replace('’', "'")
}
