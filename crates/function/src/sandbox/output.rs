use std::io::{self, PipeReader, PipeWriter, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Clock, Scope, Timestamp};
use tokio::net::unix::pipe;

use crate::LogSink;

/// The largest event that CloudWatch Logs takes, less its overhead; longer lines are split.
const EVENT_BYTES_MAX: usize = 256 * 1024 - 26;
/// What `LogType=Tail` returns at most.
const TAIL_BYTES_MAX: usize = 4 * 1024;
/// How much is read from the pipe at a time.
const READ_BYTES: usize = 16 * 1024;
/// At the end of a line: the line goes on after the line break. Our bootstraps write events of several lines so.
const CONTINUED: u8 = 0x1e;

/// Where a worker's log events go.
#[derive(Clone)]
pub(crate) struct LogStream {
    pub sink: Arc<dyn LogSink>,
    pub clock: Arc<dyn Clock>,
    pub scope: Scope,
    pub group: String,
    pub stream: String,
}

/// Everything that one worker writes to stdout and stderr, as events of its log stream.
///
/// One pipe for both, so that their order is kept. What was written before a response arrived belongs to that
/// invocation: the pipe is emptied when it arrives, and beside that whenever there is something to read.
pub(crate) struct Output {
    /// Says when there is something to read.
    pipe: pipe::Receiver,
    /// The same pipe, to read from it without asking the runtime first.
    reader: PipeReader,
    log: LogStream,
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    partial: Vec<u8>,
    events: Vec<(Timestamp, String)>,
    tail: Option<Vec<u8>>,
    /// Bytes kept for this invocation (or before the first).
    kept: usize,
    full: bool,
}

impl Output {
    /// An output and the end of the pipe that the process gets.
    pub fn new(log: LogStream, bytes_max: usize) -> io::Result<(Output, PipeWriter)> {
        let (reader, writer) = io::pipe()?;
        // Makes both descriptors of our end non-blocking; the worker's end is its own.
        let pipe = pipe::Receiver::from_owned_fd(reader.try_clone()?.into())?;
        Ok((Output { pipe, reader, log, bytes_max, state: Mutex::default() }, writer))
    }

    pub fn now(&self) -> Timestamp {
        self.log.clock.now()
    }

    /// An invocation begins: what comes from now on is its own.
    pub fn begin(&self, line: String, tail: bool) {
        let mut state = self.lock();
        self.drain(&mut state);
        state.kept = 0;
        state.full = false;
        state.tail = tail.then(Vec::new);
        let now = self.now();
        state.push(now, line);
    }

    /// An invocation ends: takes what it has written, then `lines`; returns the tail if one was asked for.
    pub fn end(&self, lines: impl IntoIterator<Item = String>) -> Option<Vec<u8>> {
        let mut state = self.lock();
        self.drain(&mut state);
        let now = self.now();
        state.finish_line(now, self.bytes_max);
        for line in lines {
            state.push(now, line);
        }
        self.flush(&mut state);
        state.tail.take()
    }

    /// Takes what is in the pipe and hands it on.
    pub fn collect(&self) {
        let mut state = self.lock();
        self.drain(&mut state);
        let now = self.now();
        state.finish_line(now, self.bytes_max);
        self.flush(&mut state);
    }

    /// Reads until the worker and all that it started have closed the pipe.
    pub async fn pump(&self) {
        loop {
            if self.pipe.readable().await.is_err() {
                return;
            }
            let read = {
                let mut state = self.lock();
                let read = self.read_some(|buffer| self.pipe.try_read(buffer), &mut state);
                self.flush(&mut state);
                read
            };
            match read {
                Ok(0) => return,
                // Somebody who floods the pipe must not keep this thread.
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drain(&self, state: &mut State) {
        // More than a pipe holds: a worker that goes on writing must not hold us here.
        for _ in 0..8 {
            if !self.read_some(|buffer| (&self.reader).read(buffer), state).is_ok_and(|n| n == READ_BYTES) {
                return;
            }
        }
    }

    fn read_some(&self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>, state: &mut State) -> io::Result<usize> {
        let mut buffer = std::mem::take(&mut state.buffer);
        buffer.resize(READ_BYTES, 0);
        let read = read(&mut buffer);
        if let Ok(read @ 1..) = read {
            state.take(&buffer[..read], self.now(), self.bytes_max);
        }
        state.buffer = buffer;
        read
    }

    fn flush(&self, state: &mut State) {
        if !state.events.is_empty() {
            self.log.sink.put(&self.log.group, &self.log.stream, &self.log.scope, std::mem::take(&mut state.events));
        }
    }
}

impl State {
    fn take(&mut self, mut bytes: &[u8], now: Timestamp, bytes_max: usize) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.partial.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            if self.partial.last() == Some(&CONTINUED) {
                self.partial.pop();
                self.partial.push(b'\n');
            } else {
                self.finish_event(now, bytes_max);
            }
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() > EVENT_BYTES_MAX {
            self.finish_event(now, bytes_max);
        }
    }

    fn finish_line(&mut self, now: Timestamp, bytes_max: usize) {
        if !self.partial.is_empty() {
            self.finish_event(now, bytes_max);
        }
    }

    fn finish_event(&mut self, now: Timestamp, bytes_max: usize) {
        let line = std::mem::take(&mut self.partial);
        if self.full {
            return;
        }
        if self.kept + line.len() > bytes_max {
            self.full = true;
            let note = format!("[WARN] stepwell: output beyond {bytes_max} bytes in one invocation is dropped\n");
            self.push(now, note);
            return;
        }
        self.kept += line.len() + 1;
        let text = String::from_utf8_lossy(&line);
        let mut rest: &str = &text;
        while rest.len() > EVENT_BYTES_MAX {
            let mut cut = EVENT_BYTES_MAX;
            while !rest.is_char_boundary(cut) {
                cut -= 1;
            }
            let (head, tail) = rest.split_at(cut);
            self.push(now, head.to_owned());
            rest = tail;
        }
        let mut last = String::with_capacity(rest.len() + 1);
        last.push_str(rest);
        last.push('\n');
        self.push(now, last);
    }

    fn push(&mut self, now: Timestamp, line: String) {
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(line.as_bytes());
            if tail.len() > 4 * TAIL_BYTES_MAX {
                tail.drain(..tail.len() - TAIL_BYTES_MAX);
            }
        }
        self.events.push((now, line));
    }
}

/// The last 4 KB of a tail, beginning at a whole character.
pub(crate) fn last_of(tail: &[u8]) -> &[u8] {
    let mut start = tail.len().saturating_sub(TAIL_BYTES_MAX);
    while start < tail.len() && tail[start] & 0xc0 == 0x80 {
        start += 1;
    }
    &tail[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(inputs: &[&[u8]], bytes_max: usize) -> Vec<String> {
        let mut state = State::default();
        for input in inputs {
            state.take(input, Timestamp::from_millis(0), bytes_max);
        }
        state.finish_line(Timestamp::from_millis(0), bytes_max);
        state.events.into_iter().map(|(_, l)| l).collect()
    }

    #[test]
    fn lines_become_events() {
        assert_eq!(lines(&[b"a\nb", b"c\n\nd"], 1000), ["a\n", "bc\n", "\n", "d\n"]);
        assert_eq!(
            lines(&[b"[ERROR] x\x1e\n trace\x1e", b"\n end\nnext\n"], 1000),
            ["[ERROR] x\n trace\n end\n", "next\n"]
        );
        assert_eq!(lines(&[b"\xff\n"], 1000), ["\u{fffd}\n"]);
    }

    #[test]
    fn a_flood_is_cut_and_said_once() {
        let flood = b"0123456789\n".repeat(1000);
        let kept = lines(&[&flood], 100);
        assert_eq!(kept.len(), 10, "{kept:?}");
        assert!(kept[9].contains("output beyond 100 bytes"));
        let long = lines(&[&vec![b'x'; 600_000]], 1_000_000);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>().iter().sum::<usize>(), 600_001);
        assert!(long.iter().all(|l| l.len() <= EVENT_BYTES_MAX + 1));
    }

    #[test]
    fn tails_are_short_and_whole() {
        let text = "é".repeat(5000);
        let tail = last_of(text.as_bytes());
        assert!(tail.len() <= TAIL_BYTES_MAX && std::str::from_utf8(tail).is_ok());
    }
}
