use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::limits::{CHILDREN, gone};
use super::world::World;

/// Set for the process that is killed.
const VICTIM: &str = "STEPWELL_TEST_VICTIM";

/// Does nothing by itself: the test below starts it as a server of its own and kills that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let world = World::new().await;
    world.python("f", CHILDREN).await;
    let (_, pids) = world.invoke("f", &json!({})).await;
    eprintln!("PIDS {pids}");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_die_with_a_killed_server() {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let pids = lines.map_while(Result::ok).find_map(|l| l.strip_prefix("PIDS ").map(str::to_owned)).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let pids: Value = serde_json::from_str(&pids).unwrap();
    // The worker and what is in its group; what left the group is found when a server starts on the same folder.
    for pid in pids.as_array().unwrap().iter().take(2) {
        gone(pid).await;
    }
    let left = i32::try_from(pids[2].as_i64().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(left).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
}
