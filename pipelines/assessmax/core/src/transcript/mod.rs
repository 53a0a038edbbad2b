//! Transcripts in five forms to one.

mod csv;
mod decode;
mod json;
mod label;
mod speaker;
mod srt;
#[cfg(test)]
mod tests;
mod timestamp;
mod txt;
mod vtt;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};
use crate::job::{Format, Job};

pub use speaker::{Role, UNKNOWN};

/// The largest transcript: two hours of talk are about 150 KB.
pub const BYTES_MAX: usize = 10 * 1024 * 1024;
/// The most cues, lines or rows of speech.
pub const SEGMENTS_MAX: usize = 50_000;
/// The most speakers: each is a message and an entry of the execution's state, which holds 256 KiB.
pub const SPEAKERS_MAX: usize = 200;
/// Cues without a name go on with the last speaker if they follow within this time.
pub const CONTINUATION_GAP_MS: u64 = 2_000;

/// What is wrong with a transcript, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Counted from 1; 0 where no line is to blame.
    pub line: usize,
    pub message: String,
}

impl ParseError {
    fn new(line: usize, message: impl Into<String>) -> ParseError {
        ParseError { line, message: message.into() }
    }

    /// The failure that names the file too.
    pub fn of(self, key: &str) -> Failure {
        let message = match self.line {
            0 => format!("{key}: {}", self.message),
            line => format!("{key} line {line}: {}", self.message),
        };
        Failure::new(Kind::InvalidTranscript, message)
    }
}

/// One utterance as a parser finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Cue {
    line: usize,
    /// Empty where the transcript does not say who speaks.
    speaker: String,
    role: Option<Role>,
    start_ms: Option<u64>,
    end_ms: Option<u64>,
    text: String,
}

/// One utterance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The line of the raw file on which it begins.
    pub line: usize,
    /// Place in [`Transcript::speakers`].
    pub speaker: usize,
    pub start_ms: Option<u64>,
    pub end_ms: Option<u64>,
    pub text: String,
}

/// One voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    pub name: String,
    pub role: Role,
    pub utterances: usize,
    pub words: usize,
}

/// A normalized transcript.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// In the order in which they first speak.
    pub speakers: Vec<Speaker>,
    pub segments: Vec<Segment>,
    /// From the first to the last sign of time; none where the transcript has no times.
    pub duration_ms: Option<u64>,
}

impl Transcript {
    /// Reads a raw file.
    pub fn parse(job: &Job, bytes: &[u8]) -> Result<Transcript, Failure> {
        read(job, bytes).map_err(|error| error.of(&job.input_key))
    }

    pub fn students(&self) -> impl Iterator<Item = (usize, &Speaker)> {
        self.speakers.iter().enumerate().filter(|(_, s)| s.role == Role::Student)
    }
}

fn read(job: &Job, bytes: &[u8]) -> Result<Transcript, ParseError> {
    if bytes.len() > BYTES_MAX {
        let message = format!("the transcript has {} bytes, more than {BYTES_MAX}", bytes.len());
        return Err(ParseError::new(0, message));
    }
    let text = decode::decode(bytes)?;
    let cues = match job.format {
        Format::Txt => txt::parse(&text)?,
        Format::Vtt => vtt::parse(&text)?,
        Format::Srt => srt::parse(&text)?,
        Format::Json => json::parse(&text)?,
        Format::Csv => csv::parse(&text)?,
    };
    if let Some(extra) = cues.get(SEGMENTS_MAX) {
        return Err(ParseError::new(extra.line, format!("more than {SEGMENTS_MAX} utterances")));
    }
    assemble(job, cues)
}

/// Gives each cue its speaker and counts.
fn assemble(job: &Job, cues: Vec<Cue>) -> Result<Transcript, ParseError> {
    let mut cast = speaker::Cast::new(&job.teachers());
    let mut segments: Vec<Segment> = Vec::with_capacity(cues.len());
    for cue in cues {
        let text = speaker::collapse(&cue.text);
        if text.is_empty() {
            continue;
        }
        if cue.speaker.is_empty()
            && let Some(last) = segments.last_mut()
            && continues(last, &cue)
        {
            last.text.push(' ');
            last.text.push_str(&text);
            last.end_ms = cue.end_ms.or(last.end_ms);
            continue;
        }
        let speaker = cast.place(&cue.speaker, cue.role);
        if cast.len() > SPEAKERS_MAX {
            return Err(ParseError::new(cue.line, format!("more than {SPEAKERS_MAX} speakers")));
        }
        segments.push(Segment { line: cue.line, speaker, start_ms: cue.start_ms, end_ms: cue.end_ms, text });
    }
    let mut speakers = cast.finish();
    for segment in &segments {
        speakers[segment.speaker].utterances += 1;
        speakers[segment.speaker].words += crate::language::words(&segment.text).count();
    }
    let duration_ms = duration(&segments);
    Ok(Transcript { speakers, segments, duration_ms })
}

/// Whether a cue without a name goes on with what was said before.
fn continues(last: &Segment, cue: &Cue) -> bool {
    match (last.end_ms, cue.start_ms) {
        (Some(end), Some(start)) => start.saturating_sub(end) <= CONTINUATION_GAP_MS,
        _ => false,
    }
}

fn duration(segments: &[Segment]) -> Option<u64> {
    let first = segments.iter().filter_map(|s| s.start_ms).min()?;
    let last = segments.iter().filter_map(|s| s.end_ms.or(s.start_ms)).max()?;
    Some(last.saturating_sub(first))
}
