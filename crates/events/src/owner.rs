//! The cell of connections: it writes their records, and remembers what Secrets Manager is to be told.

use std::collections::HashMap;
use std::sync::Arc;

use base::{Scope, Timestamp};
use bytes::Bytes;
use cell::{Machine, Reply, Turn};
use serde_json::Value;
use service::{EffectId, Fault};
use store::{Error, KeyReader, Range};

use crate::record::{Change, Connection, Pending, State, all, key, next_key};

pub(crate) const CELL: &str = "events/0";

/// Connections of an account and region. AWS: 3,000.
pub(crate) const CONNECTIONS_MAX: usize = 3_000;

pub(crate) type Answer = Result<Value, Fault>;

/// One change: plain code over the cell's state, run in its turn.
pub(crate) type Input = Box<dyn FnOnce(&mut Owner, &mut Turn<'_>) -> Result<(), Error> + Send>;

/// What Secrets Manager is to be told of one connection.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub scope: Scope,
    pub connection: String,
    pub seq: u64,
    pub secret_name: String,
    pub secret_arn: Option<String>,
    pub change: Change,
    pub effect: EffectId,
}

/// Where deliveries go; must not block.
pub(crate) type Outside = Arc<dyn Fn(Delivery) + Send + Sync>;

pub(crate) struct Owner {
    outside: Outside,
    next_seq: u64,
    /// Callers that wait for a delivery, by its number, with what they will hear.
    waiting: HashMap<u64, (Reply<Answer>, Value)>,
}

impl Owner {
    pub fn new(outside: Outside) -> Owner {
        Owner { outside, next_seq: 0, waiting: HashMap::new() }
    }

    pub fn find(&self, scope: &Scope, name: &str, turn: &Turn<'_>) -> Result<Option<Connection>, Error> {
        turn.get(key(scope, name).as_bytes())?.map(|bytes| Connection::decode(&bytes)).transpose()
    }

    pub fn put(&self, scope: &Scope, connection: &Connection, turn: &mut Turn<'_>) -> Result<(), Error> {
        turn.put(key(scope, &connection.name), connection.encode()?);
        Ok(())
    }

    /// Stores a connection with what Secrets Manager is to be told, and tells it after the commit.
    pub fn begin(
        &mut self,
        scope: &Scope,
        mut connection: Connection,
        change: Change,
        turn: &mut Turn<'_>,
    ) -> Result<u64, Error> {
        let seq = self.next_seq;
        self.next_seq += 1;
        turn.put(next_key(), self.next_seq.to_be_bytes().to_vec());
        connection.pending = Some(Pending { seq, change });
        self.put(scope, &connection, turn)?;
        turn.put(cell::outbox_key(CELL, seq), vec![1]);
        self.deliver(scope, &connection, turn);
        Ok(seq)
    }

    /// Lets a caller wait until delivery `seq` is done.
    pub fn wait(&mut self, seq: u64, reply: Reply<Answer>, answer: Value) {
        self.waiting.insert(seq, (reply, answer));
    }

    fn deliver(&self, scope: &Scope, connection: &Connection, turn: &mut Turn<'_>) {
        let Some(Pending { seq, change }) = connection.pending.clone() else { return };
        let delivery = Delivery {
            scope: scope.clone(),
            connection: connection.name.clone(),
            seq,
            secret_name: connection.secret_name.clone(),
            secret_arn: connection.secret_arn.clone(),
            change,
            effect: EffectId::new(&cell::outbox_key(CELL, seq)),
        };
        let outside = self.outside.clone();
        turn.effect(move || outside(delivery));
    }

    /// Secrets Manager has answered: the change is done, or cannot be.
    pub fn settle(
        &mut self,
        delivery: &Delivery,
        answer: Result<Option<String>, Fault>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        let Delivery { scope, connection: name, seq, .. } = delivery;
        turn.delete(cell::outbox_key(CELL, *seq));
        let waiting = self.waiting.remove(seq);
        let Some(mut connection) = self.find(scope, name, turn)? else { return Ok(()) };
        let Some(pending) = connection.pending.take_if(|pending| pending.seq == *seq) else { return Ok(()) };
        let answer = match answer {
            Ok(secret_arn) => {
                let gone = matches!(pending.change, Change::Delete { connection_too: true });
                connection.secret_arn = secret_arn;
                connection.state = match pending.change {
                    Change::Delete { .. } => State::Deauthorized,
                    Change::Create { .. } | Change::Put { .. } => State::Authorized,
                };
                if connection.state == State::Authorized {
                    connection.authorized_ms = Some(turn.now().as_millis());
                }
                match gone {
                    true => turn.delete(key(scope, name)),
                    false => self.put(scope, &connection, turn)?,
                }
                None
            }
            Err(fault) => {
                match pending.change {
                    Change::Create { .. } => turn.delete(key(scope, name)),
                    // The secret stays what it was.
                    Change::Put { .. } | Change::Delete { .. } => {
                        connection.state = State::Authorized;
                        self.put(scope, &connection, turn)?;
                    }
                }
                Some(fault)
            }
        };
        if let Some((reply, output)) = waiting {
            turn.reply(reply, answer.map_or(Ok(output), Err));
        }
        Ok(())
    }
}

impl Machine for Owner {
    type Input = Input;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        // Who waited hears that nothing is known.
        self.waiting.clear();
        self.next_seq = match turn.get(next_key().as_bytes())? {
            Some(next) => KeyReader::new(&next).u64()?,
            None => 0,
        };
        for (_, value) in turn.scan(&Range::prefix(all().as_bytes()))? {
            let connection = Connection::decode(&value)?;
            if connection.pending.is_some() {
                self.deliver(&connection.scope()?, &connection, turn);
            }
        }
        Ok(())
    }

    fn apply(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        input(self, turn)
    }

    fn wake_at(&self) -> Option<Timestamp> {
        None
    }
}

/// An answer that was given for an effect before.
pub(crate) fn earlier(turn: &Turn<'_>, effect: Option<&EffectId>) -> Result<Option<Value>, Error> {
    let Some(answer) = effect.map(|effect| turn.earlier_answer(&effect.0)).transpose()?.flatten() else {
        return Ok(None);
    };
    serde_json::from_slice(&answer).map(Some).map_err(|_| Error::Corrupt("earlier answer".to_owned()))
}

pub(crate) fn remember(turn: &mut Turn<'_>, effect: Option<&EffectId>, answer: &Value) {
    if let Some(effect) = effect {
        turn.remember_answer(&effect.0, Bytes::from(answer.to_string()));
    }
}
