use std::collections::BTreeMap;
use std::time::Duration;

use base::{Scope, Timestamp};
use bytes::Bytes;
use cell::Turn;
use serde_json::{Value, json};
use service::{EffectId, Fault};
use store::{Error, Range};

use super::{Lock, Plan, TableMachine, TransactionId, Write, recall, remember};
use crate::capacity::{Capacity, ReturnCapacity, shown_by_table};
use crate::schema::TableName;
use crate::{Item, fault, key};

/// How long a client token stands for the request it came with.
pub(super) const TOKEN_LIFETIME: Duration = Duration::from_secs(600);
/// Tokens that one turn forgets at most.
const TOKENS_PER_TURN_MAX: usize = 1024;
const TOKEN_VERSION: u8 = 1;

/// One read of a TransactGetItems.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub table: TableName,
    pub table_id: u64,
    pub key: Vec<u8>,
}

/// One part of a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Write(Box<Write>),
    Read(Read),
}

impl Operation {
    pub fn table(&self) -> &TableName {
        match self {
            Operation::Write(write) => &write.table,
            Operation::Read(read) => &read.table,
        }
    }

    pub fn key(&self) -> &[u8] {
        match self {
            Operation::Write(write) => &write.key,
            Operation::Read(read) => &read.key,
        }
    }

    fn table_id(&self) -> u64 {
        match self {
            Operation::Write(write) => write.table_id,
            Operation::Read(read) => read.table_id,
        }
    }
}

/// What a part of a transaction came to before it is written.
#[derive(Debug)]
pub(crate) enum Done {
    Planned(Box<Plan>),
    Read(Option<Bytes>),
}

/// A ClientRequestToken and the hash of the request it stands for.
#[derive(Clone, Debug)]
pub(crate) struct ClientToken {
    pub scope: Scope,
    pub token: String,
    pub request_hash: [u8; 32],
}

pub(crate) struct Transaction {
    pub operations: Vec<Operation>,
    pub token: Option<ClientToken>,
    pub effect: Option<EffectId>,
    pub return_capacity: ReturnCapacity,
}

/// Why one part was refused; `None` for a part that would have been done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reason {
    pub code: &'static str,
    pub message: Option<String>,
    pub item: Option<Value>,
}

/// A transaction that was not done: a reason for each part.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cancelled(pub Vec<Reason>);

/// What became of a transaction.
#[derive(Debug)]
pub(crate) enum TransactionResult {
    /// All reads, done.
    Read(Vec<Done>),
    /// Written; this is the answer, now or at the first delivery of the effect.
    Written(Value),
    Cancelled(Cancelled),
    /// An earlier request with the same token did it.
    DoneBefore,
}

impl Reason {
    pub fn none() -> Reason {
        Reason { code: "None", message: None, item: None }
    }

    pub fn conflict() -> Reason {
        Reason {
            code: "TransactionConflict",
            message: Some("Transaction is ongoing for the item".to_owned()),
            item: None,
        }
    }

    /// The reason that a single write's fault is within a transaction.
    fn of_fault(fault: Fault) -> Reason {
        let code = match fault.code.as_str() {
            "ConditionalCheckFailedException" => "ConditionalCheckFailed",
            "ItemCollectionSizeLimitExceededException" => "ItemCollectionSizeLimitExceeded",
            "ResourceNotFoundException" => "ResourceNotFound",
            _ => "ValidationError",
        };
        let mut members = fault.members;
        Reason { code, message: Some(fault.message), item: members.remove("Item") }
    }
}

impl TableMachine {
    /// Decides and does a transaction of this cell's tables only.
    pub(super) fn transact(
        &mut self,
        transaction: Transaction,
        turn: &mut Turn<'_>,
    ) -> Result<Result<TransactionResult, Fault>, Error> {
        if let Some(early) = self.answered_before(transaction.token.as_ref(), transaction.effect.as_ref(), turn)? {
            return Ok(early);
        }
        let results = self.decide(&transaction.operations, turn)?;
        if let Some(cancelled) = cancelled(&results) {
            return Ok(Ok(TransactionResult::Cancelled(cancelled)));
        }
        let done: Vec<Done> = results.into_iter().flatten().collect();
        let (plans, read) = split(done);
        if plans.is_empty() {
            return Ok(Ok(TransactionResult::Read(read)));
        }
        let Transaction { token, effect, return_capacity, .. } = transaction;
        self.write_all(plans, token.as_ref(), effect.as_ref(), return_capacity, turn)
    }

    /// Plans this cell's part of a transaction and locks its items, unless a part is refused.
    pub(super) fn prepare(
        &mut self,
        id: TransactionId,
        operations: &[Operation],
        turn: &Turn<'_>,
    ) -> Result<Vec<Result<Done, Reason>>, Error> {
        let results = self.decide(operations, turn)?;
        if results.iter().all(Result::is_ok) {
            for operation in operations {
                self.locks.insert(operation.key().to_vec(), Lock { id, table: operation.table_id() });
            }
        }
        Ok(results)
    }

    /// Writes what several cells have planned; they keep the items locked until told otherwise.
    pub(super) fn commit(
        &mut self,
        plans: Vec<Plan>,
        token: Option<&ClientToken>,
        effect: Option<&EffectId>,
        return_capacity: ReturnCapacity,
        turn: &mut Turn<'_>,
    ) -> Result<Result<TransactionResult, Fault>, Error> {
        if let Some(early) = self.answered_before(token, effect, turn)? {
            return Ok(early);
        }
        self.write_all(plans, token, effect, return_capacity, turn)
    }

    fn write_all(
        &mut self,
        mut plans: Vec<Plan>,
        token: Option<&ClientToken>,
        effect: Option<&EffectId>,
        return_capacity: ReturnCapacity,
        turn: &mut Turn<'_>,
    ) -> Result<Result<TransactionResult, Fault>, Error> {
        for plan in &mut plans {
            self.carry_out(plan, turn)?;
        }
        self.keep_token(token, turn);
        let answer = write_output(plans, return_capacity);
        remember(turn, effect, Ok(answer.clone()));
        Ok(Ok(TransactionResult::Written(answer)))
    }

    fn decide(&self, operations: &[Operation], turn: &Turn<'_>) -> Result<Vec<Result<Done, Reason>>, Error> {
        operations.iter().map(|operation| self.decide_one(operation, turn)).collect()
    }

    fn decide_one(&self, operation: &Operation, turn: &Turn<'_>) -> Result<Result<Done, Reason>, Error> {
        if self.locks.contains_key(operation.key()) {
            return Ok(Err(Reason::conflict()));
        }
        Ok(match operation {
            Operation::Write(write) => {
                self.plan(write, turn)?.map(|p| Done::Planned(Box::new(p))).map_err(Reason::of_fault)
            }
            Operation::Read(read) => match self.tables.get(&read.table) {
                Some(table) if table.id == read.table_id => Ok(Done::Read(turn.get(&read.key)?)),
                _ => Err(Reason::of_fault(fault::no_table())),
            },
        })
    }

    fn answered_before(
        &self,
        token: Option<&ClientToken>,
        effect: Option<&EffectId>,
        turn: &Turn<'_>,
    ) -> Result<Option<Result<TransactionResult, Fault>>, Error> {
        if let Some(answer) = recall(turn, effect)? {
            return Ok(Some(answer.map(TransactionResult::Written)));
        }
        let Some(token) = token else {
            return Ok(None);
        };
        let key = key::token(turn.cell(), token.scope.account(), token.scope.region(), &token.token);
        let Some(record) = turn.get(&key)? else {
            return Ok(None);
        };
        Ok(token_answer(&record, &token.request_hash, turn.now())?.map(|r| r.map(|()| TransactionResult::DoneBefore)))
    }

    fn keep_token(&mut self, token: Option<&ClientToken>, turn: &mut Turn<'_>) {
        let Some(token) = token else {
            return;
        };
        let key = key::token(turn.cell(), token.scope.account(), token.scope.region(), &token.token);
        let by_time = key::token_by_time(turn.cell(), turn.now().as_millis(), &key);
        let record = store::Key::default().u8(TOKEN_VERSION).i64(turn.now().as_millis()).build();
        turn.put(key, [record.as_slice(), &token.request_hash].concat());
        turn.put(by_time, vec![TOKEN_VERSION]);
        self.schedule.token_expires(turn.now() + TOKEN_LIFETIME);
    }

    /// Forgets tokens that have expired; returns when the next one does.
    pub(super) fn forget_tokens(&mut self, turn: &mut Turn<'_>) -> Result<Option<Timestamp>, Error> {
        let prefix = key::tokens_by_time(turn.cell());
        let entries = turn.scan(&Range::prefix(&prefix).limit(TOKENS_PER_TURN_MAX))?;
        for (by_time, _) in &entries {
            let mut reader = store::KeyReader::new(&by_time[prefix.len()..]);
            let used_at = Timestamp::from_millis(reader.i64()?);
            if used_at + TOKEN_LIFETIME > turn.now() {
                return Ok(Some(used_at + TOKEN_LIFETIME));
            }
            turn.delete(reader.bytes()?);
            turn.delete(by_time.clone());
        }
        Ok((entries.len() == TOKENS_PER_TURN_MAX).then(|| turn.now()))
    }
}

/// The writes and the reads of a transaction.
pub(crate) fn split(done: Vec<Done>) -> (Vec<Plan>, Vec<Done>) {
    let (mut plans, mut read) = (Vec::new(), Vec::new());
    for part in done {
        match part {
            Done::Planned(plan) => plans.push(*plan),
            found @ Done::Read(_) => read.push(found),
        }
    }
    (plans, read)
}

/// The answer to a TransactWriteItems.
fn write_output(plans: Vec<Plan>, wanted: ReturnCapacity) -> Value {
    let mut capacities: BTreeMap<String, Capacity> = BTreeMap::new();
    let mut metrics: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mut plan in plans {
        if let Some(found) = plan.take_metrics() {
            metrics.entry(plan.table.name.clone()).or_default().push(found);
        }
        // A transaction pays twice: for preparing and for committing.
        capacities.entry(plan.table.name.clone()).or_default().add(&plan.capacity.scaled(2.0));
    }
    let mut output = json!({});
    if let Some(shown) = shown_by_table(&capacities, wanted, "WriteCapacityUnits") {
        output["ConsumedCapacity"] = json!(shown);
    }
    if !metrics.is_empty() {
        output["ItemCollectionMetrics"] = json!(metrics);
    }
    output
}

/// What a token's record means for a request: done before, another request, or nothing any more.
pub(crate) fn token_answer(
    record: &[u8],
    request_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Result<(), Fault>>, Error> {
    let mut reader = store::KeyReader::new(record);
    if reader.u8() != Ok(TOKEN_VERSION) {
        return Err(Error::Corrupt("client token".to_owned()));
    }
    let used_at = Timestamp::from_millis(reader.i64()?);
    if used_at + TOKEN_LIFETIME <= now {
        return Ok(None);
    }
    if reader.rest() == request_hash {
        return Ok(Some(Ok(())));
    }
    Ok(Some(Err(Fault::client(
        "IdempotentParameterMismatchException",
        "The request uses the same client token as a previous, but non-identical request. Do not reuse a client token \
         with different requests, unless the requests are identical",
    ))))
}

/// The reasons, if any part was refused.
pub(crate) fn cancelled(results: &[Result<Done, Reason>]) -> Option<Cancelled> {
    results
        .iter()
        .any(Result::is_err)
        .then(|| Cancelled(results.iter().map(|r| r.as_ref().err().cloned().unwrap_or_else(Reason::none)).collect()))
}

impl Done {
    /// What a read found.
    pub fn item(&self) -> Result<Option<Item>, Error> {
        match self {
            Done::Read(Some(bytes)) => crate::stored::decode_item(bytes).map(Some),
            Done::Read(None) | Done::Planned(_) => Ok(None),
        }
    }
}
