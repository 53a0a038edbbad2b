//! `stepwell serve`: the AWS APIs until a signal comes.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, ServerFlags};
use crate::server::Server;

/// Serves the AWS APIs
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    server: ServerFlags,
}

pub async fn run(arguments: Arguments, as_json: bool) -> Result<i32> {
    let config = Config::load(&arguments.server, "127.0.0.1:4566", Path::new("data"))?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for signals")?;
    let server = Server::start(config.clone()).await?;
    let endpoint = server.endpoint();
    if as_json {
        println!("{}", json!({"endpoint": endpoint, "data": config.data}));
    } else {
        eprintln!("Stepwell {} serves the AWS APIs at {endpoint}", env!("CARGO_PKG_VERSION"));
        eprintln!("data in {}; stop with Ctrl-C", config.data.display());
        if config.credentials.is_empty() {
            eprintln!("no credentials configured: any key is accepted, from this machine only");
        }
        eprintln!();
        eprintln!("  aws --endpoint-url {endpoint} stepfunctions list-state-machines");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    if !as_json {
        eprintln!("stopping; running executions go on at the next start");
    }
    server.stop().await;
    Ok(0)
}
