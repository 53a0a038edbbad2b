//! `stepwell deploy`: a template of this machine, to a server on this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::json;

use crate::client::{Client, EndpointFlags};
use crate::deployments::{StartInput, StartOutput, TARGET, WatchInput, WatchOutput};
use crate::progress::Progress;
use crate::server::Usage;

/// Deploys a template, with its local code, to a running server
#[derive(clap::Args)]
pub struct Arguments {
    /// CloudFormation or SAM template (YAML or JSON)
    template: PathBuf,
    #[arg(long, value_name = "NAME")]
    stack_name: String,
    /// Values of the template's parameters
    #[arg(long, value_name = "NAME=VALUE", num_args = 1..)]
    parameter_overrides: Vec<String>,
    #[command(flatten)]
    endpoint: EndpointFlags,
}

pub async fn run(arguments: Arguments, as_json: bool) -> Result<i32> {
    let template_path =
        arguments.template.canonicalize().map_err(|e| Usage(format!("{}: {e}", arguments.template.display())))?;
    let parameters = parse_parameters(&arguments.parameter_overrides)?;
    let client = Client::new(arguments.endpoint);
    let call = async |operation: &str, input: serde_json::Value| {
        client.call("stepwell", &format!("{TARGET}.{operation}"), &input).await
    };
    let input = StartInput { template_path, stack_name: arguments.stack_name.clone(), parameters };
    let started: StartOutput = serde_json::from_value(call("StartDeployment", json!(input)).await?)?;
    let mut progress = Progress::new(as_json);
    let mut seen = 0;
    loop {
        let input = WatchInput { deployment_id: started.deployment_id.clone(), lines_seen: seen };
        let news: WatchOutput = serde_json::from_value(call("WatchDeployment", json!(input)).await?)?;
        seen = news.lines_seen;
        news.lines.iter().for_each(|line| progress.line(line));
        let Some(outcome) = news.outcome else { continue };
        if let Some(error) = outcome.error {
            if outcome.users {
                bail!(Usage(error));
            }
            bail!(error);
        }
        if !outcome.changed {
            progress.line(&format!("stack {} is as the template says already", arguments.stack_name));
        }
        if as_json {
            println!("{}", serde_json::to_string_pretty(&outcome)?);
        } else {
            for (name, value) in &outcome.outputs {
                println!("{name} = {value}");
            }
        }
        return Ok(0);
    }
}

/// `NAME=VALUE` words.
pub fn parse_parameters(words: &[String]) -> Result<BTreeMap<String, String>, Usage> {
    let pair = |word: &String| match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Usage(format!("parameter {word}: expected NAME=VALUE"))),
    };
    words.iter().map(pair).collect()
}
