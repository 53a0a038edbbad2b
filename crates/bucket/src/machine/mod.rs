//! What a cell does to the buckets it owns. Every change of S3's state is one command here.

mod answer;
mod bucket;
mod input;
mod object;
mod sweep;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Timestamp;
use cell::{Machine, Turn, shard_of};
use service::Fault;
use store::{BlobId, Range};

pub(crate) use answer::{Answer, Deleted, Written};
pub(crate) use input::{
    Command, CompletedPart, Completion, Condition, Deletion, Input, NewBucket, NewObject, NewPart, NewUpload,
};
pub(crate) use object::fault_on_marker;
pub(crate) use upload::kind_mismatch;
pub use upload::{OBJECT_BYTES_MAX, PART_BYTES_MIN};

use crate::fault::Error;
use crate::keeper::Keeper;
use crate::keys;
use crate::lifecycle::Lifecycle;
use crate::record::{Content, decode_manifest};
use crate::settings::{self, Setting};
use crate::view::lifecycle_of;

/// How many cells the buckets are spread over; part of the stored state.
pub const CELLS: usize = 4;
/// Records that are read at once when a whole range is gone through.
const PAGE: usize = 1000;

/// One of the [`CELLS`].
pub(crate) struct Owner {
    index: usize,
    keeper: Arc<Keeper>,
    /// Rules of the buckets of this cell that have any.
    lifecycles: BTreeMap<String, Lifecycle>,
    sweep: sweep::Sweep,
}

impl Owner {
    pub(crate) fn new(index: usize, keeper: Arc<Keeper>) -> Owner {
        Owner { index, keeper, lifecycles: BTreeMap::new(), sweep: sweep::Sweep::default() }
    }

    fn run(&mut self, input: &mut Input, turn: &mut Turn<'_>) -> Result<Answer, Error> {
        let (bucket, account) = (input.bucket.as_str(), input.account.as_str());
        let command = std::mem::replace(&mut input.command, Command::Recall);
        if let Command::CreateBucket(new) = command {
            return self.create_bucket(turn, bucket, account, &new);
        }
        let record = crate::view::bucket(turn, bucket, account)?;
        match command {
            Command::CreateBucket(_) | Command::Recall => Ok(Answer::NotYet),
            Command::DeleteBucket => self.delete_bucket(turn, bucket),
            Command::PutVersioning(versioning) => bucket::put_versioning(turn, bucket, record, versioning),
            Command::PutSetting(setting, value) => self.put_setting(turn, bucket, setting, value),
            Command::PutObject(new) => self.put_object(turn, bucket, &record, *new),
            Command::Delete(deletion) => self.delete(turn, bucket, &record, &deletion).map(Answer::Deleted),
            Command::DeleteMany(deletions) => self.delete_many(turn, bucket, &record, &deletions),
            Command::PutTags { key, version, tags } => object::put_tags(turn, bucket, &key, version, tags),
            Command::CreateUpload(new) => upload::create(turn, bucket, &new),
            Command::PutPart(new) => self.put_part(turn, bucket, *new),
            Command::CompleteUpload(completion) => self.complete(turn, bucket, &record, &completion),
            Command::AbortUpload { key, upload_id } => self.abort(turn, bucket, &key, &upload_id),
        }
    }

    /// Takes a content's names away; its files go when the turn is durable and nobody reads them.
    fn release(&self, turn: &mut Turn<'_>, content: Content) -> Result<(), store::Error> {
        let mut files = Vec::new();
        let id = match content {
            Content::Empty => return Ok(()),
            Content::Inline(id) | Content::Blob(id) => {
                release_simple(turn, content, &mut files);
                id
            }
            Content::Parts(id) => {
                let record = turn.get(&keys::manifest(id))?;
                let record = record.ok_or_else(|| store::Error::Corrupt("manifest: missing".to_owned()))?;
                for segment in decode_manifest(&record)? {
                    release_simple(turn, segment.content, &mut files);
                }
                turn.delete(keys::manifest(id));
                id
            }
        };
        self.dispose(turn, id, files);
        Ok(())
    }

    fn dispose(&self, turn: &mut Turn<'_>, content: BlobId, files: Vec<BlobId>) {
        if !files.is_empty() {
            let keeper = self.keeper.clone();
            turn.effect(move || keeper.dispose(content, files));
        }
    }

    fn load_lifecycles(&mut self, turn: &Turn<'_>) -> Result<(), store::Error> {
        self.lifecycles.clear();
        let prefix = keys::settings();
        let mut range = Range::prefix(&prefix).limit(PAGE);
        loop {
            let entries = turn.scan(&range)?;
            for (key, record) in &entries {
                let mut reader = store::KeyReader::new(&key[prefix.len()..]);
                let (bucket, setting) = (reader.str()?, reader.u8()?);
                if setting == Setting::Lifecycle as u8 && shard_of(bucket.as_bytes(), CELLS) == self.index {
                    self.lifecycles.insert(bucket, lifecycle_of(&settings::decode(record)?)?);
                }
            }
            match entries.last() {
                Some((last, _)) if entries.len() == PAGE => range = range.after(last),
                _ => return Ok(()),
            }
        }
    }
}

fn release_simple(turn: &mut Turn<'_>, content: Content, files: &mut Vec<BlobId>) {
    match content {
        Content::Empty | Content::Parts(_) => {}
        Content::Inline(id) => turn.delete(keys::data(id)),
        Content::Blob(id) => {
            turn.delete(keys::blob(id));
            files.push(id);
        }
    }
}

impl Machine for Owner {
    type Input = Input;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), store::Error> {
        self.load_lifecycles(turn)?;
        self.sweep = sweep::Sweep::default();
        Ok(())
    }

    fn apply(&mut self, mut input: Input, turn: &mut Turn<'_>) -> Result<(), store::Error> {
        let effect = input.effect.take();
        if let Some(effect) = &effect
            && let Some(record) = turn.earlier_answer(&effect.0)?
        {
            turn.reply(input.reply, answer::decode(&record)?);
            return Ok(());
        }
        if matches!(input.command, Command::Recall) {
            turn.reply(input.reply, Ok(Answer::NotYet));
            return Ok(());
        }
        let result: Result<Answer, Fault> = match self.run(&mut input, turn) {
            Ok(answer) => Ok(answer),
            Err(Error::Fault(fault)) => Err(fault),
            Err(Error::Store(error)) => return Err(error),
        };
        if let Some(effect) = &effect {
            turn.remember_answer(&effect.0, answer::encode(&result));
        }
        turn.reply(input.reply, result);
        Ok(())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.sweep.due())
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), store::Error> {
        self.sweep(turn)
    }
}
