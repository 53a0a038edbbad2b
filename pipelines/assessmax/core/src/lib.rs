//! AssessMax without I/O: what the five functions decide, as plain functions of their inputs.
//!
//! A transcript becomes a [`transcript::Transcript`], that becomes one [`chunk::Chunk`] a student, each chunk becomes a
//! [`score::StudentScore`], those of a job become a [`session::Session`], and the sessions of a class a
//! [`report::ClassReport`]. There is no clock, no chance and no network here: the same input gives the same bytes, so
//! that a step that runs twice changes nothing.
//!
//! **Invariant**: a skill without evidence has no score. Silence is never counted as a zero.

pub mod chunk;
pub mod cue;
pub mod failure;
pub mod job;
pub mod keys;
pub mod language;
pub mod report;
pub mod rubric;
pub mod score;
pub mod session;
pub mod sql;
pub mod time;
pub mod transcript;
