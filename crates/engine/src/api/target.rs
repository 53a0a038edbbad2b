//! State machine ARNs, with and without a version's number or an alias's name behind them.

use std::sync::Arc;

use base::{Arn, Entropy};
use service::Fault;

use crate::catalog::{StateMachine, machine_arn};
use crate::engine::Inner;
use crate::fault;
use crate::record::Revision;

/// What follows the machine's name in an ARN.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Qualifier {
    Version(u64),
    Alias(String),
}

/// A state machine ARN in its parts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MachineArn {
    /// Without the qualifier.
    pub machine: Arn,
    pub name: String,
    pub qualifier: Option<Qualifier>,
}

impl MachineArn {
    pub fn parse(text: &str) -> Result<MachineArn, Fault> {
        let (parsed, mut parts) = fault::parse_arn(text, "stateMachine")?;
        let name = parts.swap_remove(0);
        if name.contains('/') {
            let message = format!("This operation does not support the ARN of a Distributed Map state: '{text}'");
            return Err(fault::validation("API_DOES_NOT_SUPPORT_LABELED_ARNS", message));
        }
        let qualifier = match &parts[..] {
            [] => None,
            [one] => Some(read_qualifier(one)),
            _ => return Err(Fault::client("InvalidArn", format!("Invalid Arn: 'Invalid ARN: {text}'"))),
        };
        Ok(MachineArn { machine: machine_arn(&parsed.scope(), &name), name, qualifier })
    }

    /// The ARN of a version.
    pub fn parse_version(text: &str) -> Result<(Arn, u64), Fault> {
        match MachineArn::parse(text)? {
            MachineArn { machine, qualifier: Some(Qualifier::Version(number)), .. } => Ok((machine, number)),
            _ => Err(not_qualified("version", text)),
        }
    }

    /// The ARN of an alias.
    pub fn parse_alias(text: &str) -> Result<(Arn, String), Fault> {
        match MachineArn::parse(text)? {
            MachineArn { machine, qualifier: Some(Qualifier::Alias(name)), .. } => Ok((machine, name)),
            _ => Err(not_qualified("alias", text)),
        }
    }
}

/// An alias's name is never a number alone, so numbers are versions.
fn read_qualifier(text: &str) -> Qualifier {
    match text.parse::<u64>() {
        Ok(number) if number.to_string() == text => Qualifier::Version(number),
        _ => Qualifier::Alias(text.to_owned()),
    }
}

fn not_qualified(what: &str, text: &str) -> Fault {
    Fault::client("InvalidArn", format!("Invalid Arn: 'Not a state machine {what} ARN: {text}'"))
}

/// The machine that an ARN names, whatever its qualifier, and that.
pub(super) fn find_any(engine: &Inner, arn: &str) -> Result<(Arc<StateMachine>, Option<Qualifier>), Fault> {
    let parsed = MachineArn::parse(arn)?;
    let machine = engine.catalog.machine(parsed.machine.as_str());
    let there = |m: &Arc<StateMachine>| match &parsed.qualifier {
        None => true,
        Some(Qualifier::Version(number)) => m.versions.contains_key(number),
        Some(Qualifier::Alias(name)) => m.aliases.contains_key(name),
    };
    let machine = machine.filter(there).ok_or_else(|| fault::machine_does_not_exist(arn))?;
    Ok((machine, parsed.qualifier))
}

/// The machine that an ARN without a qualifier names.
pub(super) fn find(engine: &Inner, arn: &str) -> Result<Arc<StateMachine>, Fault> {
    match find_any(engine, arn)? {
        (machine, None) => Ok(machine),
        _ => Err(fault::machine_does_not_exist(arn)),
    }
}

/// What a start of an ARN runs.
pub(super) struct Target {
    pub machine: Arc<StateMachine>,
    pub revision: Revision,
    pub version: Option<u64>,
    pub alias: Option<String>,
    /// What follows `#`: see [`crate::mock`].
    pub test_case: Option<String>,
}

impl Target {
    /// The machine as it is now, a version of it, or one of the versions that an alias leads to, by their weights.
    pub fn find(engine: &Inner, arn: &str) -> Result<Target, Fault> {
        let (arn, test_case) = arn.split_once('#').map_or((arn, None), |(arn, case)| (arn, Some(case)));
        let (machine, qualifier) = find_any(engine, arn)?;
        if let Some(case) = test_case {
            let (mocks, name) = (engine.dispatcher.mocks.get(), &machine.record.name);
            if !mocks.is_some_and(|mocks| mocks.has_case(name, case)) {
                let message =
                    format!("The mock configuration has no test case '{case}' for the state machine '{name}'");
                return Err(Fault::validation(message));
            }
        }
        let (version, alias) = match qualifier {
            None => (None, None),
            Some(Qualifier::Version(number)) => (Some(number), None),
            Some(Qualifier::Alias(name)) => {
                let alias = machine.aliases.get(&name).ok_or_else(|| fault::machine_does_not_exist(arn))?;
                (choose(&alias.routes, &engine.entropy), Some(name))
            }
        };
        let revision = match version {
            None => machine.record.revision.clone(),
            Some(number) => {
                let version = machine.versions.get(&number).ok_or_else(|| fault::machine_does_not_exist(arn))?;
                version.revision.clone()
            }
        };
        Ok(Target { machine, revision, version, alias, test_case: test_case.map(str::to_owned) })
    }
}

/// One of the versions, by chance: the weights are percentages.
fn choose(routes: &[(u64, u8)], entropy: &Entropy) -> Option<u64> {
    let mut drawn = match routes {
        [only] => return Some(only.0),
        _ => entropy.below(routes.iter().map(|(_, weight)| u64::from(*weight)).sum()),
    };
    for (version, weight) in routes {
        match drawn.checked_sub(u64::from(*weight)) {
            None => return Some(*version),
            Some(rest) => drawn = rest,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_machines_versions_and_aliases() {
        let base = "arn:aws:states:us-east-1:000000000000:stateMachine:m";
        let parse = |suffix: &str| MachineArn::parse(&format!("{base}{suffix}"));
        assert_eq!(parse("").unwrap().qualifier, None);
        assert_eq!(parse(":12").unwrap().qualifier, Some(Qualifier::Version(12)));
        assert_eq!(parse(":PROD").unwrap().qualifier, Some(Qualifier::Alias("PROD".into())));
        assert_eq!(parse(":012").unwrap().qualifier, Some(Qualifier::Alias("012".into())));
        assert_eq!(parse(":PROD").unwrap().machine.as_str(), base);
        assert_eq!(parse(":1:2").unwrap_err().code, "InvalidArn");
        assert_eq!(parse("/label").unwrap_err().members["reason"], "API_DOES_NOT_SUPPORT_LABELED_ARNS");
        assert!(MachineArn::parse_version(base).is_err() && MachineArn::parse_alias(&format!("{base}:1")).is_err());
    }

    #[test]
    fn routes_are_chosen_by_weight() {
        let entropy = Entropy::from_seed(7);
        assert_eq!(choose(&[(4, 100)], &entropy), Some(4));
        assert!((0..500).all(|_| choose(&[(1, 0), (2, 100)], &entropy) == Some(2)));
        let first = (0..10_000).filter(|_| choose(&[(1, 20), (2, 80)], &entropy) == Some(1)).count();
        assert!((1_800..2_200).contains(&first), "{first} of 10,000");
    }
}
