use std::time::Duration;

use base::Timestamp;
use cell::Turn;
use service::EffectId;
use sha2::{Digest as _, Sha256};
use store::Error;

use super::{MESSAGES_MAX, QueueCell};
use crate::input::{Outgoing, OutgoingFifo, Refusal, SendAnswer, Sent, decode_answer, encode_answer};
use crate::key;
use crate::settings::FifoSettings;
use crate::stored::{DeduplicationRecord, StateRecord};

/// How long a deduplication id stands for the message it was sent with.
const DEDUPLICATION_INTERVAL: Duration = Duration::from_secs(300);

impl QueueCell {
    /// Sends, or answers what it answered when the same effect came before.
    pub(super) fn send_once(
        &mut self,
        arn: &str,
        messages: Vec<Outgoing>,
        effect: Option<EffectId>,
        turn: &mut Turn<'_>,
    ) -> Result<SendAnswer, Error> {
        let Some(effect) = effect else {
            return self.send(arn, messages, turn);
        };
        if let Some(earlier) = turn.earlier_answer(&effect.0)? {
            return decode_answer(&earlier);
        }
        let answer = self.send(arn, messages, turn)?;
        turn.remember_answer(&effect.0, encode_answer(&answer));
        Ok(answer)
    }

    fn send(&mut self, arn: &str, messages: Vec<Outgoing>, turn: &mut Turn<'_>) -> Result<SendAnswer, Error> {
        let Ok(serial) = self.serial(arn) else {
            return Ok(Err(Refusal::NoSuchQueue));
        };
        let now = turn.now();
        let queue = self.queue(serial);
        queue.index.settle(now);
        queue.forget_ids(now, 2 * messages.len(), turn);
        let bytes_max = queue.settings.maximum_message_bytes;
        if let Some(fifo) = &queue.settings.fifo
            && !fifo.content_based_deduplication
            && messages.iter().any(|m| m.fifo.as_ref().is_some_and(|f| !f.explicit))
        {
            return Ok(Err(Refusal::NoDeduplicationId));
        }
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            answers.push(if message.size_bytes > bytes_max as usize {
                Err(Refusal::TooLong { bytes_max })
            } else if self.message_count >= MESSAGES_MAX {
                Err(Refusal::Full)
            } else {
                Ok(self.send_one(serial, message, now, turn)?)
            });
        }
        self.touch(serial);
        Ok(Ok(answers))
    }

    fn send_one(&mut self, serial: u64, message: Outgoing, now: Timestamp, turn: &mut Turn<'_>) -> Result<Sent, Error> {
        let queue = self.queue(serial);
        let hash = match (&queue.settings.fifo, &message.fifo) {
            (Some(settings), Some(fifo)) => Some(deduplication_hash(settings, fifo)),
            _ => None,
        };
        if let Some(hash) = hash
            && queue.known.get(&hash).is_some_and(|expires_at| *expires_at > now)
            && let Some(value) = turn.get(&key::deduplication(serial, hash))?
        {
            let earlier = DeduplicationRecord::decode(&value)?;
            return Ok(Sent { id: earlier.id, seq: earlier.seq });
        }
        let delay_seconds = message.delay_seconds.unwrap_or(queue.settings.delay_seconds);
        let seq = self.number(turn);
        if let Some(hash) = hash {
            let expires_at = now + DEDUPLICATION_INTERVAL;
            let record = DeduplicationRecord { expires_at, id: message.id, seq };
            turn.put(key::deduplication(serial, hash), record.encode());
            let queue = self.queue(serial);
            queue.known.insert(hash, expires_at);
            queue.known_order.push_back((expires_at, hash));
        }
        let state = StateRecord {
            sent_at: now,
            visible_at: now + Duration::from_secs(u64::from(delay_seconds)),
            received: 0,
            first_received_at: Timestamp::default(),
            last_received_at: Timestamp::default(),
            group: message.fifo.map(|f| f.group),
        };
        turn.put(key::state(serial, seq), state.encode());
        turn.put(key::body(serial, seq), message.record.clone());
        self.cache.insert(serial, seq, &message.record);
        self.remember(serial, seq, &state);
        Ok(Sent { id: message.id, seq })
    }
}

/// What a deduplication id is known by: with its group, where that is its scope.
fn deduplication_hash(settings: &FifoSettings, message: &OutgoingFifo) -> [u8; 16] {
    let mut hash = Sha256::new();
    if settings.deduplicate_by_group {
        hash.update([1, message.group.len() as u8]);
        hash.update(&message.group);
    } else {
        hash.update([0]);
    }
    hash.update(&message.deduplication_id);
    *hash.finalize().first_chunk().expect("a digest has 32 bytes")
}
