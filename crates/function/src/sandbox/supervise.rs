use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::deployment::Deployment;
use super::fleet::Fleet;
use super::memory::{kill_by_environment, start_ticks};
use super::output::{LogStream, Output};
use super::report::Failure;
use super::roster::{Left, TICK, Verdict};
use super::runtime_api;
use super::spawn::Process;
use super::worker::Worker;

/// Makes a worker, watches over it, and clears up when it has ended.
pub(super) async fn run(fleet: Arc<Fleet>, id: u64, deployment: Arc<Deployment>) {
    let (worker, listener, pipe) = match prepare(&fleet, id, &deployment).await {
        Ok(prepared) => prepared,
        Err(error) => {
            // Without a pipe and a port there is no worker that could tell: the callers see their reply dropped.
            warn!(function = deployment.name, %error, "worker not prepared");
            let mut orders = Vec::new();
            drop(fleet.roster().ended(id, Instant::now(), &mut orders));
            fleet.carry_out(orders);
            fleet.worker_gone(id);
            return;
        }
    };
    let wanted = fleet.roster().made(&worker);
    let launched = if wanted { fleet.launcher.launch(&worker, pipe).await } else { Err(Failure::Exited(None)) };
    match launched {
        Ok(process) => live(&fleet, &worker, listener, process).await,
        Err(failure) => tell_end(&fleet, &worker, &failure),
    }
    fleet.worker_gone(id);
}

async fn prepare(
    fleet: &Arc<Fleet>,
    id: u64,
    deployment: &Arc<Deployment>,
) -> io::Result<(Arc<Worker>, TcpListener, io::PipeWriter)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let date = fleet.clock.now().to_rfc3339();
    let (high, low) = (fleet.entropy.next_u64(), fleet.entropy.next_u64());
    let stream = format!("{}/[{}]{high:016x}{low:016x}", date[..10].replace('-', "/"), deployment.version);
    let log = LogStream {
        sink: fleet.logs.clone(),
        clock: fleet.clock.clone(),
        scope: deployment.scope.clone(),
        group: deployment.log_group.clone(),
        stream: stream.clone(),
    };
    let (output, pipe) = Output::new(log, fleet.options.log_bytes_per_invocation_max)?;
    let worker = Worker::new(id, deployment.clone(), listener.local_addr()?, stream, output);
    Ok((Arc::new(worker), listener, pipe))
}

/// The life of a process, from its start to the end of all that it left behind.
async fn live(fleet: &Arc<Fleet>, worker: &Arc<Worker>, listener: TcpListener, process: Process) {
    let Process { mut child, pid, folder, hold } = process;
    fleet.guard.add(pid);
    let since = start_ticks(pid);
    let api = tokio::spawn(runtime_api::serve(listener, worker.clone(), fleet.clone()));
    let pumped = worker.clone();
    let pump = tokio::spawn(async move { pumped.output.pump().await });

    let status = watch(fleet, worker, &mut child).await;
    // What the handler has started goes with it.
    worker.kill();
    fleet.guard.remove(pid);
    worker.output.collect();
    let failure = match worker.take_init_failure() {
        Some(failure) => failure,
        None if worker.ran_out_of_memory() => Failure::OutOfMemory,
        None => status.map_or(Failure::Exited(None), Failure::of_status),
    };
    tell_end(fleet, worker, &failure);
    api.abort();
    let entry = format!("AWS_LAMBDA_LOG_STREAM_NAME={}", worker.log_stream);
    let cleared = tokio::task::spawn_blocking(move || {
        kill_by_environment(&entry, since);
        std::fs::remove_dir_all(&folder)
    });
    if let Ok(Err(error)) = cleared.await {
        debug!(%error, "worker's folder not removed");
    }
    pump.abort();
    drop(hold);
}

fn tell_end(fleet: &Arc<Fleet>, worker: &Arc<Worker>, failure: &Failure) {
    let mut orders = Vec::new();
    let left = fleet.roster().ended(worker.id, Instant::now(), &mut orders);
    fleet.carry_out(orders);
    match left {
        Left::Nothing => worker.output.collect(),
        Left::Running(running) => fleet.failed(worker, *running, failure),
        Left::Unstarted(running) => fleet.unstarted(worker, running, failure),
    }
}

/// Waits for the process to end, and sees to it that it does when it has to.
async fn watch(fleet: &Arc<Fleet>, worker: &Arc<Worker>, child: &mut Child) -> Option<std::process::ExitStatus> {
    let patience = fleet.patience(&worker.deployment);
    loop {
        let mut orders = Vec::new();
        let now = Instant::now();
        let verdict = fleet.roster().look(worker.id, now, &patience, &mut orders);
        fleet.carry_out(orders);
        let until = match verdict {
            Verdict::Until { at, working: false } => at,
            Verdict::Until { at, working: true } => {
                if !worker.check_memory() {
                    worker.kill();
                    return child.wait().await.ok();
                }
                at.min(now + TICK)
            }
            killed => {
                worker.kill();
                match killed {
                    Verdict::TimedOut(running) => fleet.timed_out(worker, *running),
                    Verdict::InitTimedOut(running) => {
                        fleet.unstarted(worker, running, &Failure::InitTimeout(patience.init));
                    }
                    Verdict::Kill | Verdict::Until { .. } => {}
                }
                return child.wait().await.ok();
            }
        };
        tokio::select! {
            biased;
            status = child.wait() => return status.ok(),
            () = worker.stop.notified() => {}
            () = worker.attention.notified() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}
