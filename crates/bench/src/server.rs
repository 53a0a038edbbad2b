//! The server as its users have it: a process, reached through HTTP.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::client::Client;
use crate::disk::Disk;
use crate::engine_alone::{ROLE, chain};
use crate::figures::{Series, row};

const CLIENTS: usize = 32;
const TIME: Duration = Duration::from_secs(5);

/// A running server; it is ended with the value.
struct Server {
    child: Child,
    address: String,
    first_answer: Duration,
    _data: tempfile::TempDir,
}

impl Server {
    async fn start(binary: &Path, dir: &Path) -> Result<Server> {
        let data = tempfile::tempdir_in(dir)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let begun = Instant::now();
        let child = Command::new(binary)
            .args(["serve", "--listen", &address, "--data"])
            .arg(data.path())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}; build it with `cargo build --release`", binary.display()))?;
        let mut server = Server { child, address, first_answer: Duration::ZERO, _data: data };
        loop {
            if let Ok(mut client) = Client::connect(&server.address).await {
                client.call("AWSStepFunctions.ListStateMachines", &json!({})).await?;
                server.first_answer = begun.elapsed();
                return Ok(server);
            }
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("the server does not answer");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn client(&self) -> Result<Client> {
        Client::connect(&self.address).await
    }

    fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("VmRSS")?.parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn start_up(binary: &Path, dir: &Path) -> Result<()> {
    let mut series = Series::default();
    let mut resident = 0.0;
    for _ in 0..5 {
        let server = Server::start(binary, dir).await?;
        series.push(server.first_answer);
        tokio::time::sleep(Duration::from_millis(500)).await;
        resident = server.resident_mib()?;
    }
    row("server: start to first answer, empty store", &format!("{:.1?} (median of 5)", series.percentile(50)));
    row("server: memory when idle", &format!("{resident:.1} MiB"));
    Ok(())
}

async fn create_machine(client: &mut Client, definition: &Value) -> Result<Value> {
    let input = json!({"name": "bench", "definition": definition.to_string(), "roleArn": ROLE});
    Ok(client.call("AWSStepFunctions.CreateStateMachine", &input).await?["stateMachineArn"].clone())
}

/// Starts an execution and asks until it has ended, without a pause: timers are coarser than what is measured.
async fn execute(client: &mut Client, machine: &Value) -> Result<()> {
    let input = json!({"stateMachineArn": machine, "input": "{\"n\":1}"});
    let arn = client.call("AWSStepFunctions.StartExecution", &input).await?["executionArn"].clone();
    loop {
        let description = client.call("AWSStepFunctions.DescribeExecution", &json!({"executionArn": arn})).await?;
        match description["status"].as_str() {
            Some("RUNNING") => {}
            Some("SUCCEEDED") => return Ok(()),
            _ => bail!("{description}"),
        }
    }
}

pub async fn executions(binary: &Path, dir: &Path, disk: &Disk) -> Result<()> {
    let server = Server::start(binary, dir).await?;
    let machine = create_machine(&mut server.client().await?, &chain(5, || json!({"Type": "Pass"}))).await?;
    let begun = Instant::now();
    let mut jobs = Vec::new();
    for _ in 0..CLIENTS {
        let (mut client, machine) = (server.client().await?, machine.clone());
        jobs.push(tokio::spawn(async move {
            let mut done = 0u64;
            while begun.elapsed() < TIME {
                execute(&mut client, &machine).await?;
                done += 1;
            }
            anyhow::Ok(done)
        }));
    }
    let mut done = 0;
    for job in jobs {
        done += job.await??;
    }
    let rate = done as f64 / begun.elapsed().as_secs_f64();
    row(
        &format!("server: 5 states, start to end through HTTP, {CLIENTS} clients"),
        &format!("{rate:.0} executions/s ({:.2} a disk sync)", rate / disk.syncs_per_second),
    );
    Ok(())
}

pub async fn latency(binary: &Path, dir: &Path) -> Result<()> {
    const WARM_UP: usize = 50;
    const RUNS: usize = 1_000;
    let server = Server::start(binary, dir).await?;
    let mut client = server.client().await?;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("bootstrap", zip::write::SimpleFileOptions::default().unix_permissions(0o755))?;
    archive.write_all(&std::fs::read(std::env::current_exe()?)?)?;
    let archive = archive.finish()?.into_inner();
    let input = json!({"FunctionName": "echo", "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": ROLE,
        "Code": {"ZipFile": base64::engine::general_purpose::STANDARD.encode(archive)}});
    client.post("/2015-03-31/functions", &input).await?;
    let task = || json!({"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:echo"});
    let machine = create_machine(&mut client, &chain(1, task)).await?;
    for _ in 0..WARM_UP {
        execute(&mut client, &machine).await?;
    }
    let mut series = Series::default();
    for _ in 0..RUNS {
        let begun = Instant::now();
        execute(&mut client, &machine).await?;
        series.push(begun.elapsed());
    }
    let (p50, p99) = (series.percentile(50), series.percentile(99));
    row("server: one warm function, start to SUCCEEDED, one client", &format!("p50 {p50:.2?}, p99 {p99:.2?}"));
    Ok(())
}

pub async fn queue(binary: &Path, dir: &Path) -> Result<()> {
    const JOBS: usize = 16;
    let server = Arc::new(Server::start(binary, dir).await?);
    let mut urls = Vec::new();
    for n in 0..JOBS {
        let answer =
            server.client().await?.call("AmazonSQS.CreateQueue", &json!({"QueueName": format!("q{n}")})).await?;
        urls.push(answer["QueueUrl"].clone());
    }
    let begun = Instant::now();
    let jobs: Vec<_> = urls
        .into_iter()
        .map(|url| {
            let server = server.clone();
            tokio::spawn(async move {
                let mut client = server.client().await?;
                let entries: Vec<Value> = (0..10)
                    .map(|n| json!({"Id": n.to_string(), "MessageBody": format!("message {n} of a batch")}))
                    .collect();
                let send = json!({"QueueUrl": url, "Entries": entries});
                let receive = json!({"QueueUrl": url, "MaxNumberOfMessages": 10});
                let mut done = 0u64;
                while begun.elapsed() < TIME {
                    client.call("AmazonSQS.SendMessageBatch", &send).await?;
                    let received = client.call("AmazonSQS.ReceiveMessage", &receive).await?;
                    let messages = received["Messages"].as_array().context("messages")?;
                    ensure!(messages.len() == 10, "{} messages", messages.len());
                    let handles: Vec<Value> = messages
                        .iter()
                        .enumerate()
                        .map(|(n, m)| json!({"Id": n.to_string(), "ReceiptHandle": m["ReceiptHandle"]}))
                        .collect();
                    client.call("AmazonSQS.DeleteMessageBatch", &json!({"QueueUrl": url, "Entries": handles})).await?;
                    done += 10;
                }
                anyhow::Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for job in jobs {
        done += job.await??;
    }
    let rate = done as f64 / begun.elapsed().as_secs_f64();
    row("server: messages sent, received and deleted, batches of 10", &format!("{rate:.0} messages/s"));
    Ok(())
}
