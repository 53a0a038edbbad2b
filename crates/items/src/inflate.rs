use std::io::{self, Write};

use bytes::Bytes;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// Compressed bytes undone at a time, so that what comes of them is bounded (gzip: about a thousandfold).
const STEP_BYTES: usize = 4 * 1024;
/// Bytes that come of one step of Zstandard.
const ZSTD_OUT_BYTES: usize = 128 * 1024;
/// The largest window a Zstandard frame may ask for: 2^27 bytes, what the `zstd` command takes without being told.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Undoes the compression of a stream.
pub(crate) enum Inflate {
    Gzip(Box<flate2::write::MultiGzDecoder<Vec<u8>>>),
    Zstd {
        decoder: Decoder<'static>,
        /// Whether a frame is open.
        open: bool,
        buffer: Vec<u8>,
    },
}

impl Inflate {
    /// What the first bytes of a content tell; four are enough. No text in UTF-8 begins like either.
    pub(crate) fn detect(head: &[u8]) -> io::Result<Option<Inflate>> {
        if head.starts_with(&[0x1f, 0x8b]) {
            return Ok(Some(Inflate::Gzip(Box::new(flate2::write::MultiGzDecoder::new(Vec::new())))));
        }
        if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let mut decoder = Decoder::new()?;
            decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
            return Ok(Some(Inflate::Zstd { decoder, open: false, buffer: vec![0; ZSTD_OUT_BYTES] }));
        }
        Ok(None)
    }

    /// Takes some bytes off `input` and gives what they are.
    pub(crate) fn step(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        match self {
            Inflate::Gzip(decoder) => {
                let part = input.split_to(input.len().min(STEP_BYTES));
                decoder.write_all(&part)?;
                decoder.flush()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Inflate::Zstd { decoder, open, buffer } => {
                let mut source = InBuffer::around(input);
                let mut target = OutBuffer::around(buffer.as_mut_slice());
                *open = decoder.run(&mut source, &mut target)? != 0;
                let (used, made) = (source.pos(), target.pos());
                let _ = input.split_to(used);
                Ok(Bytes::copy_from_slice(&buffer[..made]))
            }
        }
    }

    /// Gives what is left after the last byte; fails if the content was cut.
    pub(crate) fn finish(&mut self) -> io::Result<Bytes> {
        match self {
            Inflate::Gzip(decoder) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            // After a whole frame everything was given already.
            Inflate::Zstd { open: false, .. } => Ok(Bytes::new()),
            Inflate::Zstd { .. } => {
                let rest = self.step(&mut Bytes::new())?;
                match self {
                    Inflate::Zstd { open: true, .. } if rest.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => Ok(rest),
                }
            }
        }
    }
}
