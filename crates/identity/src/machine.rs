use std::sync::Arc;

use base::{Entropy, Timestamp};
use cell::{Reply, Turn};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use service::{Call, Fault};
use store::{Error, Key, KeyReader, Range};

use crate::record;
use crate::tx::{Failure, Outcome, Tx, View};

/// One change, as plain code that a turn runs; says whether it touched what comes due.
pub(crate) type Job = Box<dyn FnOnce(&mut Turn<'_>) -> Result<bool, Error> + Send>;

/// How many records one wake deletes, so that a turn stays short.
const DUE_PER_WAKE_MAX: usize = 256;

/// The state machine of the cell `identity/0`. It holds no state but when the next record comes due.
#[derive(Default)]
pub(crate) struct Machine {
    next_due: Option<Timestamp>,
}

impl cell::Machine for Machine {
    type Input = Job;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.next_due = first_due(turn)?;
        Ok(())
    }

    fn apply(&mut self, job: Job, turn: &mut Turn<'_>) -> Result<(), Error> {
        if job(turn)? {
            self.next_due = first_due(turn)?;
        }
        Ok(())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.next_due
    }

    fn wake(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let now = Key::new(DUE).i64(turn.now().as_millis().saturating_add(1)).build();
        let due = turn.scan(&Range::between(Key::new(DUE).build(), now).limit(DUE_PER_WAKE_MAX))?;
        for (key, _) in due {
            let mut parts = KeyReader::new(&key);
            let (_, _, kind) = (parts.str()?, parts.i64()?, parts.str()?);
            match kind.as_str() {
                "secret" => crate::secrets::purge(turn, &parts.str()?, &parts.str()?, &parts.str()?)?,
                "session" => turn.delete(crate::sts::session_key(&parts.str()?)),
                _ => return Err(Error::Corrupt(format!("due record of unknown kind {kind}"))),
            }
            turn.delete(key);
        }
        self.next_due = first_due(turn)?;
        Ok(())
    }
}

const DUE: &str = "identity-due";

/// The key under which a deletion at `at` is noted; `parts` say of what.
pub(crate) fn due_key(at: Timestamp, kind: &str, parts: &[&str]) -> Key {
    parts.iter().fold(Key::new(DUE).i64(at.as_millis()).str(kind), |key, part| key.str(part))
}

fn first_due(turn: &Turn<'_>) -> Result<Option<Timestamp>, Error> {
    let first = turn.scan(&Range::prefix(Key::new(DUE).as_bytes()).limit(1))?;
    let Some((key, _)) = first.first() else { return Ok(None) };
    let mut parts = KeyReader::new(key);
    parts.str()?;
    Ok(Some(Timestamp::from_millis(parts.i64()?)))
}

/// What a job answers: the operation's output as JSON, or why not.
pub(crate) type Answer = Result<Value, Fault>;

/// Makes a job of an operation. A fault leaves nothing written; an effect that came before gets its answer again.
pub(crate) fn job<In, Out>(
    call: Call,
    entropy: Arc<Entropy>,
    input: In,
    run: fn(&mut Tx<'_>, In) -> Outcome<Out>,
    reply: Reply<Answer>,
) -> Job
where
    In: Send + 'static,
    Out: Serialize + 'static,
{
    Box::new(move |turn| {
        if let Some(effect) = &call.effect
            && let Some(answer) = turn.earlier_answer(&effect.0)?
        {
            let answer = record::read::<StoredAnswer>(&answer)?;
            turn.reply(reply, answer.into());
            return Ok(false);
        }
        let mut tx = Tx::new(View::new(&*turn, &call, turn.now(), &entropy));
        let result = run(&mut tx, input).and_then(|output| {
            serde_json::to_value(output).map_err(|e| Fault::internal(format!("write the answer: {e}")).into())
        });
        let writes = std::mem::take(&mut tx.writes);
        let answer = match result {
            Ok(value) => Ok(value),
            Err(Failure::Fault(fault)) => Err(fault),
            Err(Failure::Store(error)) => return Err(error),
        };
        let mut is_due_touched = false;
        if answer.is_ok() {
            let due = Key::new(DUE);
            for (key, value) in writes {
                is_due_touched |= key.starts_with(due.as_bytes());
                match value {
                    Some(value) => turn.put(key, value),
                    None => turn.delete(key),
                }
            }
        }
        if let Some(effect) = &call.effect {
            turn.remember_answer(&effect.0, record::write(&StoredAnswer::from(&answer))?);
        }
        turn.reply(reply, answer);
        Ok(is_due_touched)
    })
}

/// An answer as it is kept for repeated deliveries of an effect.
#[derive(Serialize, Deserialize)]
enum StoredAnswer {
    Output(Value),
    Fault { code: String, message: String, status: u16, members: Map<String, Value> },
}

impl From<&Answer> for StoredAnswer {
    fn from(answer: &Answer) -> StoredAnswer {
        match answer {
            Ok(output) => StoredAnswer::Output(output.clone()),
            Err(fault) => StoredAnswer::Fault {
                code: fault.code.clone(),
                message: fault.message.clone(),
                status: fault.status,
                members: (*fault.members).clone(),
            },
        }
    }
}

impl From<StoredAnswer> for Answer {
    fn from(stored: StoredAnswer) -> Answer {
        match stored {
            StoredAnswer::Output(output) => Ok(output),
            StoredAnswer::Fault { code, message, status, members } => {
                let mut fault = Fault::with_status(status, code, message);
                *fault.members = members;
                Err(fault)
            }
        }
    }
}
