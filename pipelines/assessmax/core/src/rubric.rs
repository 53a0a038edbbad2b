//! The rubric: five skills, the behaviours that show each, and the words that show a behaviour.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::cue::Cue;

const TEXT: &str = include_str!("../rubric.json");

/// The rubric that this build scores by.
#[derive(Clone, Debug)]
pub struct Rubric {
    /// Part of every score's key: a new rubric scores anew.
    pub id: String,
    pub skills: Vec<Skill>,
}

#[derive(Clone, Debug)]
pub struct Skill {
    pub id: String,
    pub name: String,
    pub about: String,
    pub indicators: Vec<Indicator>,
}

/// One behaviour.
#[derive(Clone, Debug)]
pub struct Indicator {
    pub id: String,
    /// What it tells a teacher.
    pub says: String,
    pub weight: f64,
    /// Whether it speaks against the skill.
    pub counter: bool,
    /// Whether it only counts after another student's words, or when one is named.
    pub to_peer: bool,
    pub words_min: usize,
    pub cues: Vec<Cue>,
    /// An utterance with one of these does not show the behaviour.
    pub unless: Vec<Cue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RubricText {
    id: String,
    skills: Vec<SkillText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkillText {
    id: String,
    name: String,
    about: String,
    indicators: Vec<IndicatorText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IndicatorText {
    id: String,
    says: String,
    weight: f64,
    #[serde(default)]
    counter: bool,
    #[serde(default)]
    to_peer: bool,
    #[serde(default)]
    words_min: usize,
    cues: Vec<String>,
    #[serde(default)]
    unless: Vec<String>,
}

impl Rubric {
    /// The rubric in `rubric.json`, which a test has read.
    pub fn current() -> &'static Rubric {
        static RUBRIC: OnceLock<Rubric> = OnceLock::new();
        RUBRIC.get_or_init(|| match Rubric::parse(TEXT) {
            Ok(rubric) => rubric,
            Err(message) => panic!("rubric.json: {message}"),
        })
    }

    pub fn parse(text: &str) -> Result<Rubric, String> {
        let read: RubricText = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let skills = read.skills.into_iter().map(skill).collect::<Result<_, _>>()?;
        Ok(Rubric { id: read.id, skills })
    }
}

fn skill(read: SkillText) -> Result<Skill, String> {
    let indicators = read.indicators.into_iter().map(indicator).collect::<Result<_, _>>()?;
    Ok(Skill { id: read.id, name: read.name, about: read.about, indicators })
}

fn indicator(read: IndicatorText) -> Result<Indicator, String> {
    let parse = |texts: &[String]| -> Result<Vec<Cue>, String> {
        texts.iter().map(|t| Cue::parse(t)).collect::<Result<_, _>>().map_err(|e| format!("{}: {e}", read.id))
    };
    if !(read.weight > 0.0 && read.weight <= 1.0) {
        return Err(format!("{}: weight must be above 0 and at most 1", read.id));
    }
    let (cues, unless) = (parse(&read.cues)?, parse(&read.unless)?);
    Ok(Indicator {
        id: read.id,
        says: read.says,
        weight: read.weight,
        counter: read.counter,
        to_peer: read.to_peer,
        words_min: read.words_min,
        cues,
        unless,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_rubric_can_be_read() {
        let rubric = Rubric::parse(TEXT).unwrap();
        let ids: Vec<&str> = rubric.skills.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, ["empathy", "adaptability", "collaboration", "communication", "self_regulation"]);
        let mut seen = BTreeSet::new();
        for skill in &rubric.skills {
            assert!(skill.indicators.iter().filter(|i| !i.counter).count() >= 4, "{}", skill.id);
            assert!(skill.indicators.iter().all(|i| seen.insert(i.id.clone())), "{}: an id twice", skill.id);
        }
    }

    #[test]
    fn the_readme_tells_every_behaviour() {
        let readme = include_str!("../../README.md");
        for skill in &Rubric::current().skills {
            assert!(readme.contains(&skill.about), "README.md lacks: {}", skill.about);
            for indicator in &skill.indicators {
                assert!(readme.contains(&indicator.says), "README.md lacks: {}", indicator.says);
            }
        }
    }

    #[test]
    fn a_malformed_rubric_names_the_indicator() {
        let text = r#"{"id":"r","skills":[{"id":"s","name":"S","about":"","indicators":[
            {"id":"bad","says":"","weight":1,"cues":["(open"]}]}]}"#;
        assert_eq!(Rubric::parse(text).unwrap_err(), "bad: \"(open\" is not closed");
    }
}
