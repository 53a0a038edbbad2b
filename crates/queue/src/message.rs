use std::fmt;

use base::Entropy;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use store::Error;

use crate::codec::{Reader, Writer};
use crate::message_attribute::{AttributeValue, MessageAttribute, MessageAttributes};

const VERSION: u8 = 1;
pub(crate) const INVALID_CHARACTERS: &str = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD \
                                             | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";

/// A message's id: a UUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    pub(crate) fn generate(entropy: &Entropy) -> MessageId {
        let number = (u128::from(entropy.next_u64()) << 64) | u128::from(entropy.next_u64());
        // Version 4, variant 1.
        let number = number & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
        MessageId(number.to_be_bytes())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = u128::from_be_bytes(self.0);
        let (a, b, c) = (n >> 96, (n >> 80) & 0xffff, (n >> 64) & 0xffff);
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", (n >> 48) & 0xffff, n & 0xffff_ffff_ffff)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a message carries and never changes: stored once, under its own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: MessageId,
    pub sender_id: String,
    pub group_id: Option<String>,
    pub deduplication_id: Option<String>,
    /// The system attribute `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// ARN of the queue that gave the message up.
    pub dead_letter_source: Option<String>,
    pub attributes: MessageAttributes,
    pub body: String,
}

impl Message {
    pub fn md5_of_body(&self) -> String {
        md5_hex(self.body.as_bytes())
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = Writer::new(VERSION, self.body.len() + 256)
            .raw(&self.id.0)
            .str(&self.sender_id)
            .option(self.group_id.as_deref())
            .option(self.deduplication_id.as_deref())
            .option(self.trace_header.as_deref())
            .option(self.dead_letter_source.as_deref())
            .u32(self.attributes.len() as u32);
        for (name, attribute) in &self.attributes {
            let binary = matches!(attribute.value, AttributeValue::Binary(_));
            writer = writer.str(name).str(&attribute.data_type).u8(u8::from(binary)).bytes(attribute.value.as_bytes());
        }
        writer.raw(self.body.as_bytes()).build().into()
    }

    pub(crate) fn decode(record: &[u8]) -> Result<Message, Error> {
        let corrupt = || Error::Corrupt("malformed message".to_owned());
        let mut reader = Reader::new(record, VERSION, "message")?;
        let id = MessageId(reader.array()?);
        let sender_id = reader.str()?.to_owned();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let group_id = owned(reader.option()?);
        let deduplication_id = owned(reader.option()?);
        let trace_header = owned(reader.option()?);
        let dead_letter_source = owned(reader.option()?);
        let mut attributes = MessageAttributes::new();
        for _ in 0..reader.u32()? {
            let (name, data_type) = (reader.str()?.to_owned(), reader.str()?.to_owned());
            let value = match reader.u8()? {
                0 => AttributeValue::String(reader.str()?.to_owned()),
                1 => AttributeValue::Binary(reader.bytes()?.to_vec()),
                _ => return Err(corrupt()),
            };
            attributes.insert(name, MessageAttribute { data_type, value });
        }
        let body = String::from_utf8(reader.rest().to_vec()).map_err(|_| corrupt())?;
        Ok(Message { id, sender_id, group_id, deduplication_id, trace_header, dead_letter_source, attributes, body })
    }
}

/// Whether SQS carries the character: what XML 1.0 allows.
pub(crate) fn is_allowed_char(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

pub(crate) fn md5_hex(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_all_of_a_message() {
        let attribute = |data_type: &str, value| MessageAttribute { data_type: data_type.to_owned(), value };
        let message = Message {
            id: MessageId::generate(&Entropy::from_seed(1)),
            sender_id: "000000000000".to_owned(),
            group_id: Some("g".to_owned()),
            deduplication_id: None,
            trace_header: Some(String::new()),
            dead_letter_source: Some("arn:aws:sqs:r:a:q".to_owned()),
            attributes: MessageAttributes::from([
                ("a".to_owned(), attribute("String", AttributeValue::String("ä".to_owned()))),
                ("b".to_owned(), attribute("Binary.x", AttributeValue::Binary(vec![0, 255]))),
            ]),
            body: "body ✓".to_owned(),
        };
        let record = message.encode();
        assert_eq!(Message::decode(&record).unwrap(), message);
        let id = message.id.to_string();
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        for cut in 0..record.len() - message.body.len() {
            assert!(matches!(Message::decode(&record[..cut]), Err(Error::Corrupt(_))), "{cut}");
        }
        assert!(Message::decode(&[9, 0]).is_err());
    }

    /// Written by the first release; every later one must read it.
    #[test]
    fn records_of_version_1_are_read() {
        let mut record = vec![1];
        record.extend([7; 16]);
        record.extend(b"\0\0\0\x01s\x01\0\0\0\x01g\0\0\0\0\0\0\x01\0\0\0\x01n\0\0\0\x06String\0\0\0\0\x01vhello");
        let message = Message::decode(&record).unwrap();
        assert_eq!((message.body.as_str(), message.group_id.as_deref()), ("hello", Some("g")));
        assert_eq!(message.encode(), record);
    }

    #[test]
    fn characters() {
        let allowed: Vec<char> = "\0\u{8}\t\n\u{b}\r\u{1f} a\u{fffd}\u{fffe}\u{10000}".chars().collect();
        let allowed: Vec<bool> = allowed.into_iter().map(is_allowed_char).collect();
        assert_eq!(allowed, [false, false, true, true, false, true, false, true, true, true, false, true]);
    }
}
