//! Reads the items of a Map Run and makes the inputs of its children of them, as there is room for children.

use std::sync::Arc;

use base::{Clock, Entropy};
use interp::{ItemSelector, SelectorScene};
use items::{BatchConfig, Batcher, Dataset, Position, Reader};
use serde_json::value::RawValue;

use super::driver::{Driver, Signals};
use super::objects::S3Objects;
use super::record::{BatcherRecord, ItemsRecord, SceneRecord};
use super::{Chunk, Failure, Input, NewChild, Run};

/// Children that are handed over at once, and bytes in their inputs: the cell puts them into one batch.
const CHUNK_CHILDREN_MAX: u64 = 256;
const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Items that are counted before others have their turn.
const COUNTED_AT_ONCE: u64 = 1_000;

/// What the cell answers to items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// The index of the next child.
    pub next: u64,
    /// How many more children may be started.
    pub room: u64,
}

/// Reads until all items are in children, reading fails, or the Map Run stops.
pub(super) async fn run(driver: &Arc<Driver>, run: Arc<Run>, first: u64, position: Vec<u8>, mut signals: Signals) {
    let mut stop = Signals { room: signals.room.clone(), stop: signals.stop.clone() };
    let read = async {
        let mut inputs = match Inputs::new(driver, &run, &position) {
            Ok(inputs) => inputs,
            Err(failure) => return fail(driver, &run, failure).await,
        };
        let mut taken = Taken { next: first, room: *signals.room.borrow_and_update() };
        loop {
            while taken.room == 0 {
                if signals.room.changed().await.is_err() {
                    return; // Forgotten.
                }
                taken.room = *signals.room.borrow_and_update();
            }
            let chunk = match inputs.chunk(taken.room.min(CHUNK_CHILDREN_MAX)).await {
                Ok(chunk) => chunk,
                Err(failure) => return fail(driver, &run, failure).await,
            };
            let wanted = taken.next + chunk.children.len() as u64;
            let (id, first, last) = (run.id, taken.next, chunk.last);
            let answer = driver.deliver(id, |reply| Input::Items { id, first, chunk: chunk.clone(), reply }).await;
            match answer {
                Some(answer) if answer.next == wanted && !last => taken = answer,
                _ => return, // All is read, or nobody wants more.
            }
            // What was told before that answer did not know of these items.
            signals.room.mark_unchanged();
        }
    };
    tokio::select! {
        biased;
        () = stop.stopped() => {}
        () = read => {}
    }
}

async fn fail(driver: &Driver, run: &Run, failure: Failure) {
    let id = run.id;
    driver.deliver(id, |reply| Input::ReadFailed { id, failure: failure.clone(), reply }).await;
}

/// Counts all items, and tells how many there are. What cannot be counted cannot be read: the reader tells that.
pub(super) async fn count(driver: &Arc<Driver>, run: Arc<Run>, mut signals: Signals) {
    let count = async {
        let mut source = Source::new(driver, &run, &[])?;
        let mut items = 0;
        loop {
            let passed = source.skip(COUNTED_AT_ONCE).await?;
            items += passed;
            if passed < COUNTED_AT_ONCE {
                return Ok::<u64, Failure>(items);
            }
            tokio::task::yield_now().await;
        }
    };
    let counted = tokio::select! {
        biased;
        () = signals.stopped() => return,
        counted = count => counted,
    };
    if let Ok(items) = counted {
        let id = run.id;
        driver.deliver(id, |reply| Input::Counted { id, items, reply }).await;
    }
}

/// The inputs of children, one after the other.
struct Inputs {
    source: Source,
    selector: Option<ItemSelector>,
    batcher: Option<Batcher>,
    clock: Arc<dyn Clock>,
    entropy: Arc<Entropy>,
    /// Behind the last item that is in an input that was given.
    position: Vec<u8>,
}

impl Inputs {
    fn new(driver: &Arc<Driver>, run: &Arc<Run>, position: &[u8]) -> Result<Inputs, Failure> {
        let selector = match &run.source.scene {
            None => None,
            Some(scene) => ItemSelector::new(&run.definition, &run.record.state_name, &selector_scene(scene))
                .map_err(|e| runtime(&e.to_string()))?,
        };
        let payload_bytes_max = driver.dispatcher.options.standard_limits.payload_bytes_max;
        let batcher = run.source.batcher.as_ref().map(|b| Batcher::new(batch_config(b, payload_bytes_max)));
        let source = Source::new(driver, run, position)?;
        let (clock, entropy) = (driver.clock.clone(), driver.dispatcher.entropy.clone());
        Ok(Inputs { source, selector, batcher, clock, entropy, position: position.to_vec() })
    }

    /// At least one child, unless there are no more items.
    async fn chunk(&mut self, children_max: u64) -> Result<Chunk, Failure> {
        let (mut children, mut bytes) = (Vec::new(), 0);
        let mut last = false;
        while (children.len() as u64) < children_max && bytes < CHUNK_BYTES_MAX && !last {
            let child = match self.next().await? {
                Some(child) => child,
                None => {
                    last = true;
                    let rest = self.batcher.as_mut().and_then(Batcher::take);
                    self.position = self.source.position();
                    match rest {
                        Some(batch) => batched(batch),
                        None => break,
                    }
                }
            };
            bytes += child.input.len();
            children.push(child);
        }
        Ok(Chunk { children, position: self.position.clone(), last })
    }

    /// The next whole input; `None` when there are no more items.
    async fn next(&mut self) -> Result<Option<NewChild>, Failure> {
        loop {
            // A batch that is full without the item ends before it.
            let before = self.batcher.as_ref().filter(|b| b.items() > 0).map(|_| self.source.position());
            let Some(input) = self.item().await? else { return Ok(None) };
            let Some(batcher) = &mut self.batcher else {
                self.position = self.source.position();
                return Ok(Some(NewChild { input, items: 1 }));
            };
            let Some(batch) = batcher.push(&input).map_err(of_items)? else { continue };
            self.position = match before {
                Some(before) if batcher.items() > 0 => before,
                _ => self.source.position(),
            };
            return Ok(Some(batched(batch)));
        }
    }

    /// The next item, as `ItemSelector` makes it.
    async fn item(&mut self) -> Result<Option<Arc<str>>, Failure> {
        // Items that are in memory already must not hold up others.
        tokio::task::coop::consume_budget().await;
        let Some(item) = self.source.next().await? else { return Ok(None) };
        let Some(selector) = &mut self.selector else { return Ok(Some(item.json.into())) };
        let about = interp::Item { index: item.index, value: &item.json, key: None, source: Some(&item.source) };
        let entropy = &self.entropy;
        let selected = selector.select(&about, self.clock.now(), &mut || entropy.next_u64());
        let selected = selected.map_err(|e| Failure { error: e.error.to_string(), cause: e.cause.to_string() })?;
        Ok(Some(selected))
    }
}

fn batched(batch: items::Batch) -> NewChild {
    NewChild { input: batch.input.into(), items: u32::try_from(batch.items).unwrap_or(u32::MAX) }
}

/// Where items come from.
enum Source {
    /// The state's input: an array, and the index of its next item.
    Inline {
        items: Vec<Box<RawValue>>,
        next: usize,
    },
    Reader(Box<Reader>),
}

impl Source {
    fn new(driver: &Arc<Driver>, run: &Arc<Run>, position: &[u8]) -> Result<Source, Failure> {
        match &run.source.items {
            ItemsRecord::Inline(text) => {
                let items = serde_json::from_str(text).map_err(|e| runtime(&e.to_string()))?;
                let next = position.try_into().map_or(0, u64::from_be_bytes);
                Ok(Source::Inline { items, next: usize::try_from(next).unwrap_or(usize::MAX) })
            }
            ItemsRecord::Reader { parameters, max_items } => {
                let reader = run.map().and_then(|map| map.reader.as_ref());
                let reader = reader.ok_or_else(|| runtime("the definition has no ItemReader"))?;
                let parameters = serde_json::from_str(parameters).map_err(|e| runtime(&e.to_string()))?;
                let dataset = Dataset::parse(&reader.resource.arn, &parameters).map_err(of_items)?;
                let config = reader_config(&reader.config, *max_items);
                let objects = Arc::new(S3Objects { driver: driver.clone(), run: run.clone() });
                let limits =
                    items::Limits { item_bytes_max: driver.dispatcher.options.standard_limits.payload_bytes_max };
                let position = match position {
                    [] => Position::default(),
                    bytes => Position::from_bytes(bytes).ok_or_else(|| runtime("the reader's position is damaged"))?,
                };
                let reader = Reader::resume(objects, dataset, config, limits, &position).map_err(of_items)?;
                Ok(Source::Reader(Box::new(reader)))
            }
        }
    }

    async fn next(&mut self) -> Result<Option<items::Item>, Failure> {
        match self {
            Source::Reader(reader) => reader.next().await.map_err(of_items),
            Source::Inline { items, next } => {
                let Some(item) = items.get(*next) else { return Ok(None) };
                let item =
                    items::Item { index: *next as u64, json: item.get().to_owned(), source: "STATE_DATA".into() };
                *next += 1;
                Ok(Some(item))
            }
        }
    }

    async fn skip(&mut self, items: u64) -> Result<u64, Failure> {
        match self {
            Source::Reader(reader) => reader.skip(items).await.map_err(of_items),
            Source::Inline { items: all, next } => {
                let passed = ((all.len() - *next) as u64).min(items);
                *next += passed as usize;
                Ok(passed)
            }
        }
    }

    fn position(&self) -> Vec<u8> {
        match self {
            Source::Reader(reader) => reader.position().to_bytes(),
            Source::Inline { next, .. } => (*next as u64).to_be_bytes().to_vec(),
        }
    }
}

fn runtime(cause: &str) -> Failure {
    Failure { error: "States.Runtime".to_owned(), cause: cause.to_owned() }
}

fn of_items(error: items::Error) -> Failure {
    Failure { error: error.name().to_owned(), cause: error.cause() }
}

fn selector_scene(scene: &SceneRecord) -> SelectorScene {
    SelectorScene {
        entered_event_id: scene.entered_event_id,
        input: scene.input.as_str().into(),
        context: scene.context.as_str().into(),
        variables: scene.variables.as_str().into(),
    }
}

fn batch_config(batcher: &BatcherRecord, payload_bytes_max: usize) -> BatchConfig {
    let bytes = batcher.max_input_bytes.map_or(payload_bytes_max, |n| usize::try_from(n).unwrap_or(usize::MAX));
    BatchConfig {
        items_max: batcher.max_items,
        input_bytes_max: bytes.min(payload_bytes_max),
        batch_input: batcher.batch_input.clone(),
    }
}

fn reader_config(config: &asl::ReaderConfig, max_items: Option<u64>) -> items::ReaderConfig {
    items::ReaderConfig {
        input_type: config.input_type.map(|input_type| match input_type {
            asl::InputType::Json => items::InputType::Json,
            asl::InputType::Jsonl => items::InputType::JsonLines,
            asl::InputType::Csv => items::InputType::Csv,
            asl::InputType::Parquet => items::InputType::Parquet,
            asl::InputType::Manifest => items::InputType::Manifest,
        }),
        transformation: match config.load_and_flatten {
            true => items::Transformation::LoadAndFlatten,
            false => items::Transformation::None,
        },
        manifest_type: config.manifest_type.map(|manifest_type| match manifest_type {
            asl::ManifestType::S3Inventory => items::ManifestType::S3Inventory,
            asl::ManifestType::AthenaData => items::ManifestType::AthenaData,
        }),
        csv_delimiter: match config.csv_delimiter {
            None | Some(asl::CsvDelimiter::Comma) => items::CsvDelimiter::Comma,
            Some(asl::CsvDelimiter::Pipe) => items::CsvDelimiter::Pipe,
            Some(asl::CsvDelimiter::Semicolon) => items::CsvDelimiter::Semicolon,
            Some(asl::CsvDelimiter::Space) => items::CsvDelimiter::Space,
            Some(asl::CsvDelimiter::Tab) => items::CsvDelimiter::Tab,
        },
        csv_headers: match &config.csv_headers {
            asl::CsvHeaders::FirstRow => items::CsvHeaders::FirstRow,
            asl::CsvHeaders::Given(names) => items::CsvHeaders::Given(names.clone()),
        },
        max_items,
        items_pointer: config.items_pointer.clone(),
    }
}
