use serde_json::{Map, Value};

use crate::Error;

/// AWS's quota for `MaxInputBytesPerBatch` and for the input of an execution.
pub const INPUT_BYTES_PER_BATCH_MAX: usize = 256 * 1024;

/// `ItemBatcher` with everything computed that is computed when the state runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchConfig {
    pub items_max: Option<u64>,
    /// Size of a child's whole input.
    pub input_bytes_max: usize,
    /// `BatchInput` as JSON text.
    pub batch_input: Option<String>,
}

/// The input of one child execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub input: String,
    pub items: u64,
}

/// Puts items into batches, each as full as it may be.
#[derive(Debug)]
pub struct Batcher {
    config: BatchConfig,
    /// The input so far, without its end; empty if there is no item in it.
    input: String,
    items: u64,
}

/// What ends an input.
const CLOSING: &str = "]}";

impl BatchConfig {
    /// Reads a computed `ItemBatcher`. `MaxItemsPerBatchPath` and `MaxInputBytesPerBatchPath` are put in by the caller as
    /// what they refer to, under the names without `Path`. `input_bytes_max` is what an input may have in any case.
    pub fn parse(batcher: &Map<String, Value>, input_bytes_max: usize) -> Result<BatchConfig, Error> {
        let items_max = positive(batcher, "MaxItemsPerBatch")?;
        let bytes = positive(batcher, "MaxInputBytesPerBatch")?;
        if items_max.is_none() && bytes.is_none() {
            let text = "The ItemBatcher needs MaxItemsPerBatch, MaxInputBytesPerBatch or both.";
            return Err(Error::Field(text.to_owned()));
        }
        let bytes = bytes.map_or(input_bytes_max, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        if bytes > input_bytes_max {
            return Err(Error::Field(format!(
                "The MaxInputBytesPerBatch field must be at most {input_bytes_max} but was: {bytes}."
            )));
        }
        let batch_input = batcher.get("BatchInput").map(Value::to_string);
        Ok(BatchConfig { items_max, input_bytes_max: bytes, batch_input })
    }
}

impl Batcher {
    pub fn new(config: BatchConfig) -> Batcher {
        Batcher { config, input: String::new(), items: 0 }
    }

    /// Adds an item, which is JSON text. Gives the batch that is complete with it, or the one before it if the item did
    /// not fit; then [`Batcher::items`] is 1, and the batch ends before this item.
    pub fn push(&mut self, item: &str) -> Result<Option<Batch>, Error> {
        let bytes = self.input.len() + 1 + item.len() + CLOSING.len();
        let mut full = None;
        if self.items > 0 && (self.is_full() || bytes > self.config.input_bytes_max) {
            full = self.take();
        }
        if self.items == 0 {
            self.input = self.opening();
            let bytes = self.input.len() + item.len() + CLOSING.len();
            if bytes > self.config.input_bytes_max {
                return Err(Error::TooLarge(format!(
                    "An item makes a batch of {bytes} bytes, which exceeds the maximum of {} bytes of a batch's input.",
                    self.config.input_bytes_max
                )));
            }
        } else {
            self.input.push(',');
        }
        self.input.push_str(item);
        self.items += 1;
        if full.is_none() && self.is_full() {
            full = self.take();
        }
        Ok(full)
    }

    /// How many items are in the batch that is not given yet.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// The batch that is not given yet, after the last item.
    pub fn take(&mut self) -> Option<Batch> {
        if self.items == 0 {
            return None;
        }
        let mut input = std::mem::take(&mut self.input);
        input.push_str(CLOSING);
        Some(Batch { input, items: std::mem::take(&mut self.items) })
    }

    fn is_full(&self) -> bool {
        self.config.items_max.is_some_and(|max| self.items >= max)
    }

    fn opening(&self) -> String {
        match &self.config.batch_input {
            Some(batch_input) => format!(r#"{{"BatchInput":{batch_input},"Items":["#),
            None => r#"{"Items":["#.to_owned(),
        }
    }
}

fn positive(batcher: &Map<String, Value>, name: &str) -> Result<Option<u64>, Error> {
    let Some(value) = batcher.get(name) else { return Ok(None) };
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && *n > 0.0).map(|n| n as u64))
        .filter(|number| *number > 0)
        .map(Some)
        .ok_or_else(|| Error::Field(format!("The {name} field must be a positive integer but was: {value}.")))
}
