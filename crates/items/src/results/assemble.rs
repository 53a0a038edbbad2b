use memchr::memchr;

use super::{FileKind, OutputType, ResultFile};

/// Size of one result file; what is more goes to the next one.
pub const FILE_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// Makes result files of one kind out of lines. It holds no more than the line that a piece ended in.
///
/// Call [`Assembler::push`] with the lines, in pieces of any size, until nothing is left of a piece, then
/// [`Assembler::finish`]. The bytes that come out belong to one file until a step says that it is complete.
#[derive(Debug)]
pub struct Assembler {
    kind: FileKind,
    directory: String,
    output_type: OutputType,
    file_bytes_max: u64,
    /// The start of a line.
    line: Vec<u8>,
    number: u64,
    /// Of the file so far.
    size: u64,
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the piece that were used; call again with the rest.
    pub used: usize,
    /// The file that the bytes so far make; bytes after this belong to the next one.
    pub complete: Option<ResultFile>,
}

impl Assembler {
    /// `directory` as of [`super::directory`]. `file_bytes_max` is [`FILE_BYTES_MAX`] but for tests.
    pub fn new(kind: FileKind, directory: &str, output_type: OutputType, file_bytes_max: u64) -> Assembler {
        let directory = directory.to_owned();
        Assembler { kind, directory, output_type, file_bytes_max, line: Vec::new(), number: 0, size: 0 }
    }

    /// The key of the file that the next bytes belong to.
    pub fn key(&self) -> String {
        self.kind.key(&self.directory, self.output_type, self.number)
    }

    /// Takes lines, and appends to `out` what they become.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Step {
        let mut used = 0;
        while let Some(length) = memchr(b'\n', &piece[used..]) {
            let part = &piece[used..used + length];
            let line_bytes = (self.line.len() + part.len()) as u64;
            // Opening or separator, and what ends the file or line.
            if self.size > 0 && self.size + line_bytes + 2 > self.file_bytes_max {
                return Step { used, complete: Some(self.complete(out)) };
            }
            let before = out.len();
            if self.output_type == OutputType::Json {
                out.push(if self.size == 0 { b'[' } else { b',' });
            }
            out.append(&mut self.line);
            out.extend_from_slice(part);
            if self.output_type == OutputType::JsonLines {
                out.push(b'\n');
            }
            self.size += (out.len() - before) as u64;
            used += length + 1;
        }
        self.line.extend_from_slice(&piece[used..]);
        Step { used: piece.len(), complete: None }
    }

    /// Ends the last file. A kind without any child execution has none and wants no assembler; one whose outputs were all
    /// empty arrays has an empty file.
    pub fn finish(mut self, out: &mut Vec<u8>) -> ResultFile {
        self.complete(out)
    }

    fn complete(&mut self, out: &mut Vec<u8>) -> ResultFile {
        if self.output_type == OutputType::Json {
            let end: &[u8] = if self.size == 0 { b"[]" } else { b"]" };
            out.extend_from_slice(end);
            self.size += end.len() as u64;
        }
        let file = ResultFile { kind: self.kind, key: self.key(), size: self.size };
        self.number += 1;
        self.size = 0;
        file
    }
}
