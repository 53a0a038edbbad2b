//! Tools that builders run.

use std::collections::VecDeque;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::{BuildError, Lines};

/// So many of a tool's last lines go into its error.
const LAST_LINES: usize = 30;
/// A longer line is cut; a tool's JSON lines stay far below.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Runs a tool to its end: its error output goes line by line to `lines`, its output to `output`.
pub(super) async fn run(
    mut command: Command,
    what: &str,
    lines: Lines<'_>,
    mut output: impl FnMut(&str),
) -> Result<(), BuildError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| BuildError(format!("start {what}: {e}")))?;
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(BuildError(format!("start {what}: no pipes")));
    };
    let mut last: VecDeque<String> = VecDeque::new();
    let read_out = each_line(out, |line| output(line));
    let read_err = each_line(err, |line| {
        lines(line);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line.to_owned());
    });
    tokio::join!(read_out, read_err);
    let status = child.wait().await.map_err(|e| BuildError(format!("wait for {what}: {e}")))?;
    if status.success() {
        return Ok(());
    }
    let said: Vec<String> = last.into();
    Err(BuildError(format!("{what} failed ({status})\n{}", said.join("\n"))))
}

async fn each_line(from: impl AsyncRead + Unpin, mut each: impl FnMut(&str)) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    // A tool whose output cannot be read is judged by how it exits.
    while let Ok(n) = reader.read_until(b'\n', &mut line).await {
        if n == 0 {
            break;
        }
        line.truncate(LINE_BYTES_MAX);
        each(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
}
