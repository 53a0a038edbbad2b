//! The tables that a job's result is published to: SQL that PostgreSQL and SQLite both take.

use crate::session::Session;

/// Makes the tables; each statement may run any number of times.
pub const CREATE: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS assessmax_sessions (\
        job_id TEXT PRIMARY KEY, class_id TEXT NOT NULL, session_date TEXT NOT NULL, rubric TEXT NOT NULL, \
        source_key TEXT NOT NULL, result_key TEXT NOT NULL, utterances INTEGER NOT NULL, students INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS assessmax_scores (\
        job_id TEXT NOT NULL, student TEXT NOT NULL, skill TEXT NOT NULL, class_id TEXT NOT NULL, \
        session_date TEXT NOT NULL, score DOUBLE PRECISION, band TEXT, reason TEXT, evidence_lines INTEGER NOT NULL, \
        PRIMARY KEY (job_id, student, skill))",
    "CREATE INDEX IF NOT EXISTS assessmax_scores_by_class ON assessmax_scores (class_id, session_date)",
];

/// Takes away what an earlier run of the same job published.
pub const CLEAR: &str = "DELETE FROM assessmax_scores WHERE job_id = :job_id";

pub const PUT_SESSION: &str = "INSERT INTO assessmax_sessions \
    (job_id, class_id, session_date, rubric, source_key, result_key, utterances, students) VALUES \
    (:job_id, :class_id, :session_date, :rubric, :source_key, :result_key, :utterances, :students) \
    ON CONFLICT (job_id) DO UPDATE SET class_id = excluded.class_id, session_date = excluded.session_date, \
    rubric = excluded.rubric, source_key = excluded.source_key, result_key = excluded.result_key, \
    utterances = excluded.utterances, students = excluded.students";

pub const PUT_SCORE: &str = "INSERT INTO assessmax_scores \
    (job_id, student, skill, class_id, session_date, score, band, reason, evidence_lines) VALUES \
    (:job_id, :student, :skill, :class_id, :session_date, :score, :band, :reason, :evidence_lines) \
    ON CONFLICT (job_id, student, skill) DO UPDATE SET class_id = excluded.class_id, \
    session_date = excluded.session_date, score = excluded.score, band = excluded.band, reason = excluded.reason, \
    evidence_lines = excluded.evidence_lines";

/// A value of a named parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Double(f64),
    Null,
}

/// Parameters of one statement.
pub type Row = Vec<(&'static str, Value)>;

/// The row of `assessmax_sessions`.
pub fn session_row(session: &Session, result_key: &str) -> Row {
    vec![
        ("job_id", text(&session.job_id)),
        ("class_id", text(&session.class_id)),
        ("session_date", text(&session.date)),
        ("rubric", text(&session.rubric)),
        ("source_key", text(&session.source_key)),
        ("result_key", text(result_key)),
        ("utterances", count(session.utterances)),
        ("students", count(session.students.len())),
    ]
}

/// The rows of `assessmax_scores`: one for each student and skill.
pub fn score_rows(session: &Session) -> Vec<Row> {
    let mut rows = Vec::new();
    for student in &session.students {
        for skill in &student.skills {
            let optional = |value: &Option<String>| value.as_deref().map_or(Value::Null, text);
            rows.push(vec![
                ("job_id", text(&session.job_id)),
                ("student", text(&student.name)),
                ("skill", text(&skill.skill)),
                ("class_id", text(&session.class_id)),
                ("session_date", text(&session.date)),
                ("score", skill.score.map_or(Value::Null, Value::Double)),
                ("band", optional(&skill.band)),
                ("reason", optional(&skill.reason)),
                ("evidence_lines", count(skill.evidence.len())),
            ]);
        }
    }
    rows
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn count(count: usize) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}
