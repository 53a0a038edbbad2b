//! What calls do to clusters: the machine of the cell `rds/0`.

use base::{Scope, Timestamp};
use cell::{Machine, Reply, Turn};
use serde_json::{Value, json};
use service::{EffectId, Fault};
use store::Error;

use crate::cluster::{Cluster, key};

const ANSWER_VERSION: u8 = 1;

/// What becomes of a cluster's record.
pub(crate) enum Changed {
    Put(Box<Cluster>),
    Delete,
}

/// Decides what becomes of a cluster, and what the caller is answered.
pub(crate) type Change = Box<dyn FnOnce(Option<&Cluster>, Timestamp) -> Result<(Changed, Value), Fault> + Send>;

pub(crate) struct Input {
    pub scope: Scope,
    pub identifier: String,
    pub change: Change,
    pub effect: Option<EffectId>,
    pub reply: Reply<Result<Value, Fault>>,
}

/// Holds nothing: records are few, and read when they are changed.
pub(crate) struct ClusterMachine;

impl Machine for ClusterMachine {
    type Input = Input;

    fn load(&mut self, _: &mut Turn<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn apply(&mut self, input: Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        let Input { scope, identifier, change, effect, reply } = input;
        if let Some(effect) = &effect
            && let Some(bytes) = turn.earlier_answer(&effect.0)?
        {
            let answer = decode(&bytes)?;
            turn.reply(reply, answer);
            return Ok(());
        }
        let key = key(&scope, &identifier);
        let old = turn.get(&key)?.map(|bytes| Cluster::decode(&bytes)).transpose()?;
        let answer = change(old.as_ref(), turn.now()).map(|(changed, answer)| {
            match changed {
                Changed::Put(cluster) => turn.put(key, cluster.encode()),
                Changed::Delete => turn.delete(key),
            }
            answer
        });
        if let Some(effect) = &effect {
            turn.remember_answer(&effect.0, encode(&answer));
        }
        turn.reply(reply, answer);
        Ok(())
    }
}

fn encode(answer: &Result<Value, Fault>) -> Vec<u8> {
    let value = match answer {
        Ok(output) => json!({"output": output}),
        Err(f) => json!({"fault": {"code": f.code, "message": f.message, "status": f.status}}),
    };
    [&[ANSWER_VERSION], value.to_string().as_bytes()].concat()
}

fn decode(bytes: &[u8]) -> Result<Result<Value, Fault>, Error> {
    let corrupt = || Error::Corrupt("remembered answer".to_owned());
    let json = bytes.strip_prefix(&[ANSWER_VERSION]).ok_or_else(corrupt)?;
    let mut value: Value = serde_json::from_slice(json).map_err(|_| corrupt())?;
    if let Some(output) = value.get_mut("output") {
        return Ok(Ok(output.take()));
    }
    let fault = &value["fault"];
    let status = fault["status"].as_u64().and_then(|s| u16::try_from(s).ok()).ok_or_else(corrupt)?;
    let (code, message) = (fault["code"].as_str(), fault["message"].as_str());
    Ok(Err(Fault::with_status(status, code.ok_or_else(corrupt)?, message.ok_or_else(corrupt)?)))
}
