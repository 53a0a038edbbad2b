//! Stepwell: serverless data pipelines on your own machines.
//!
//! Data goes to standard output, words to standard error. Exit codes: 0 done, 1 our fault or a failed run, 2 yours.

mod client;
mod config;
mod deploy_command;
mod deployments;
mod log_command;
mod progress;
mod run;
mod serve;
mod server;
mod validate;
mod wiring;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Values are made by one thread and freed by another all the time, where the system's allocator queues for its locks:
/// a third more transitions a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "stepwell",
    version,
    about = "Runs serverless data pipelines on your own machines",
    max_term_width = 100
)]
struct Cli {
    /// Machine-readable output
    #[arg(long, global = true)]
    json: bool,
    /// What is logged to standard error, such as info or engine=debug
    #[arg(long, global = true, env = "STEPWELL_LOG", default_value = "warn,s3s=off", value_name = "FILTER")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Deploys a pipeline in this process, runs it on its sample data and prints what it reports
    Run(run::Arguments),
    /// Serves the AWS APIs
    Serve(serve::Arguments),
    /// Deploys a template, with its local code, to a running server
    Deploy(deploy_command::Arguments),
    /// Checks state machine definitions
    Validate(validate::Arguments),
    /// Prints the events of a log group
    Logs(log_command::Arguments),
}

fn main() {
    let cli = Cli::parse();
    let filter = EnvFilter::try_new(&cli.log).unwrap_or_else(|error| {
        eprintln!("error: --log {}: {error}", cli.log);
        std::process::exit(2)
    });
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap_or_else(|error| {
        eprintln!("error: start the runtime: {error}");
        std::process::exit(1)
    });
    let result = match cli.command {
        Command::Validate(arguments) => validate::run(&arguments, cli.json),
        Command::Deploy(arguments) => runtime.block_on(deploy_command::run(arguments, cli.json)),
        Command::Logs(arguments) => runtime.block_on(log_command::run(arguments, cli.json)),
        Command::Serve(arguments) => runtime.block_on(serve::run(arguments, cli.json)),
        Command::Run(arguments) => runtime.block_on(run::run(arguments, cli.json)),
    };
    let code = result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        if error.is::<server::Usage>() || error.is::<client::Answered>() { 2 } else { 1 }
    });
    // Blocking work that nobody waits for any longer must not hold the exit.
    runtime.shutdown_background();
    std::process::exit(code)
}
