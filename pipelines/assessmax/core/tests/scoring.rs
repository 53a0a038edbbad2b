//! Scores, sessions and reports, from transcripts as teachers write them.

use assessmax_core::chunk::Chunk;
use assessmax_core::job::Job;
use assessmax_core::report::ClassReport;
use assessmax_core::score::{self, SkillScore, StudentScore};
use assessmax_core::session::{self, Session};
use assessmax_core::transcript::Transcript;
use assessmax_core::{keys, sql};
use serde_json::json;

fn job(job_id: &str, date: &str) -> Job {
    Job::parse(&json!({
        "job_id": job_id,
        "input_key": format!("raw/c1/{date}/t.txt"),
        "format": "txt",
        "class_id": "c1",
        "date": date,
        "metadata": {"teacher": "Ms. Okafor"},
    }))
    .unwrap()
}

fn chunks(text: &str) -> Vec<Chunk> {
    let job = job("job-1", "2024-01-15");
    Chunk::split(&job, &Transcript::parse(&job, text.as_bytes()).unwrap())
}

fn scores(text: &str) -> Vec<StudentScore> {
    chunks(text).iter().map(score::score).collect()
}

fn session(job: &Job, text: &str) -> Session {
    let transcript = Transcript::parse(job, text.as_bytes()).unwrap();
    let scores = Chunk::split(job, &transcript).iter().map(score::score).collect();
    session::aggregate(job, &transcript, scores)
}

fn skill<'a>(score: &'a StudentScore, id: &str) -> &'a SkillScore {
    score.skills.iter().find(|s| s.skill == id).unwrap()
}

/// Talk that shows nothing: enough of it that a student is scored.
const FILLER: &str = "the water goes in the bottle and the sand is in the tub over there by the window today";

fn talk(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    for _ in 0..3 {
        text.push_str(&format!("Maya: {FILLER}\nPriya: {FILLER}\n"));
    }
    text
}

#[test]
fn every_score_rests_on_lines() {
    let found = scores(&talk(&["Priya: My dog died.", "Maya: I'm so sorry. That must have been hard."]));
    let empathy = skill(&found[1], "empathy");
    assert_eq!((found[1].student.as_str(), empathy.score), ("Maya", Some(1.0)));
    let lines: Vec<(usize, &str, &str)> =
        empathy.evidence.iter().map(|e| (e.line, e.indicator.as_str(), e.cue.as_str())).collect();
    assert_eq!(lines, [(2, "comforts", "I'm so sorry"), (2, "names_feeling", "must have been hard")]);
    assert_eq!(empathy.evidence[0].quote, "I'm so sorry. That must have been hard.");
    assert_eq!(empathy.band.as_deref(), Some("developing"));
    assert_eq!(empathy.confidence.as_deref(), Some("low"));
}

#[test]
fn what_is_not_seen_has_no_score() {
    let found = scores(&talk(&[]));
    for skill in &found[0].skills {
        assert_eq!((skill.score, skill.evidence.len()), (None, 0), "{}", skill.skill);
        assert!(skill.reason.as_deref().unwrap().starts_with("not observed"));
    }
}

#[test]
fn different_behaviours_weigh_more_than_repetition() {
    let once = scores(&talk(&["Maya: What if we turn it around?"]));
    let often = scores(&talk(&["Maya: What if we turn it around?"; 9]));
    let two = scores(&talk(&["Maya: What if we turn it around?", "Maya: Okay, I changed my mind."]));
    let of = |found: &[StudentScore]| skill(&found[0], "adaptability").score.unwrap();
    assert_eq!((of(&once), of(&often), of(&two)), (0.5, 1.0, 1.0));
}

#[test]
fn what_speaks_against_a_skill_counts_and_is_shown() {
    let found = scores(&talk(&["Priya: We need help.", "Maya: Do it yourself.", "Maya: Good idea, Priya."]));
    let skill = skill(&found[1], "collaboration");
    assert_eq!(skill.score, Some(0.0));
    assert_eq!(skill.evidence.iter().map(|e| e.counter).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn what_is_read_aloud_is_not_the_readers() {
    let found = scores(&talk(&["Maya: The man says \"I am sorry I was wrong\" there."]));
    assert_eq!(skill(&found[0], "self_regulation").score, None);
}

#[test]
fn too_little_speech_is_not_scored() {
    let found = scores("Maya: I'm so sorry.\nPriya: Thanks.\n");
    assert_eq!(
        skill(&found[0], "empathy").reason.as_deref(),
        Some("too little speech: 3 words in 1 turns, at least 40 in 3 needed")
    );
    assert_eq!(skill(&found[0], "empathy").score, None);
}

#[test]
fn one_voice_alone_is_not_scored() {
    let found = scores(&format!("Maya: {FILLER}\n").repeat(5));
    assert!(skill(&found[0], "communication").reason.as_deref().unwrap().starts_with("only one person speaks"));
}

#[test]
fn other_languages_are_not_scored() {
    let line = "Maya: Creo que primero tenemos que lavar la arena porque el agua sale de color café y no se ve nada.\n";
    let found = scores(&format!("{}Priya: {FILLER}\n", line.repeat(4)));
    assert!(skill(&found[0], "empathy").reason.as_deref().unwrap().starts_with("the words are not English"));
}

#[test]
fn an_empty_transcript_is_a_result_and_no_zero() {
    let job = job("job-1", "2024-01-15");
    let empty = session(&job, "");
    assert_eq!(empty.notes, ["the transcript is empty: nobody speaks in it"]);
    assert!(empty.students.is_empty() && empty.class.iter().all(|c| c.mean.is_none()));
    let teacher = session(&job, "Ms. Okafor: Hello?\n");
    assert_eq!(teacher.notes, ["no student speaks in the transcript"]);
    let mut report = ClassReport::new("c1");
    report.put(&empty, "results/x.json");
    assert!(report.text(&empty).contains("note: the transcript is empty"));
}

#[test]
fn the_order_of_scores_and_sessions_does_not_matter() {
    let text = talk(&["Priya: Can you help?", "Maya: I'll help, good idea, Priya.", "Maya: What if we wait?"]);
    let job_a = job("job-a", "2024-01-15");
    let transcript = Transcript::parse(&job_a, text.as_bytes()).unwrap();
    let mut scores: Vec<StudentScore> = Chunk::split(&job_a, &transcript).iter().map(score::score).collect();
    let session_a = session::aggregate(&job_a, &transcript, scores.clone());
    scores.reverse();
    assert_eq!(session::aggregate(&job_a, &transcript, scores), session_a);

    let session_b = session(&job("job-b", "2024-01-16"), &talk(&["Maya: What if we wait?"]));
    let (mut one, mut other) = (ClassReport::new("c1"), ClassReport::new("c1"));
    one.put(&session_a, "a");
    one.put(&session_b, "b");
    for (session, key) in [(&session_b, "b"), (&session_a, "a"), (&session_b, "b")] {
        other.put(session, key);
    }
    assert_eq!(one, other);
    assert_eq!(one.latest().unwrap().0, "job-b");
    assert_eq!(one.text(&session_b), other.text(&session_b));
    assert_eq!(one.class.len(), 5);
}

#[test]
fn a_job_that_runs_again_takes_its_own_place() {
    let job = job("job-a", "2024-01-15");
    let mut report = ClassReport::new("c1");
    report.put(&session(&job, &talk(&["Maya: What if we wait?"])), "a");
    report.put(&session(&job, &talk(&[])), "a");
    assert_eq!(report.sessions.len(), 1);
    assert_eq!(report.students["Maya"], vec![None; 5]);
}

#[test]
fn keys_follow_from_content() {
    let key = |chunk: &Chunk| keys::digest(&serde_json::to_vec(chunk).unwrap());
    let (one, other) = (chunks("A: hi\nB: ho\n"), chunks("A: hi\nB: hu\n"));
    assert_eq!(key(&one[0]), key(&chunks("A: hi\nB: ho\n")[0]));
    assert_eq!(key(&one[0]), key(&other[0]), "what others say changes nothing");
    assert_ne!(key(&one[1]), key(&other[1]));
    assert_ne!(key(&one[0]), key(&one[1]));
}

#[test]
fn rows_have_every_student_and_skill_once() {
    let session = session(&job("job-a", "2024-01-15"), &talk(&["Maya: What if we wait?"]));
    let rows = sql::score_rows(&session);
    assert_eq!(rows.len(), 10);
    for row in rows.iter().chain([&sql::session_row(&session, "results/x.json")]) {
        let statement = if row.len() == 9 { sql::PUT_SCORE } else { sql::PUT_SESSION };
        for (name, _) in row {
            assert!(statement.contains(&format!(":{name}")), "{name}");
        }
    }
}

#[test]
fn the_samples_are_what_the_readme_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let jobs: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(folder.join("jobs.json")).unwrap()).unwrap();
    assert!(jobs.len() >= 6);
    for input in &jobs {
        let job = Job::parse(input).unwrap();
        let transcript = Transcript::parse(&job, &std::fs::read(folder.join(&job.input_key)).unwrap()).unwrap();
        assert!(transcript.segments.len() >= 150, "{}", job.job_id);
        assert!(transcript.duration_ms.unwrap() >= 20 * 60_000, "{}", job.job_id);
        let teachers = transcript.speakers.iter().filter(|s| s.role == assessmax_core::transcript::Role::Teacher);
        assert_eq!(teachers.count(), 1, "{}", job.job_id);
        assert!(transcript.students().count() >= 5);
        let lines = std::fs::read_to_string(folder.join(&job.input_key)).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        for chunk in Chunk::split(&job, &transcript) {
            for evidence in score::score(&chunk).skills.iter().flat_map(|s| &s.evidence) {
                let begin: String = evidence.cue.split_whitespace().take(1).collect();
                let near = lines[evidence.line - 1..(evidence.line + 5).min(lines.len())].join(" ");
                assert!(
                    near.contains(begin.trim_matches(',')),
                    "{} line {}: {}",
                    job.job_id,
                    evidence.line,
                    evidence.cue
                );
            }
        }
    }
}

#[test]
fn the_broken_samples_fail_where_the_readme_says() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/broken");
    let jobs: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(folder.join("jobs.json")).unwrap()).unwrap();
    let readme = std::fs::read_to_string(folder.join("../../README.md")).unwrap();
    for input in &jobs {
        let job = Job::parse(input).unwrap();
        let failure = Transcript::parse(&job, &std::fs::read(folder.join(&job.input_key)).unwrap()).unwrap_err();
        assert!(readme.contains(&failure.message), "README.md lacks: {}", failure.message);
    }
}
