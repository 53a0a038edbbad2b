//! What was answered as committed is there after `kill -9`.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use base::{Entropy, SystemClock};
use rusqlite::Connection;

use crate::dialect::to_embedded;
use crate::embedded::{Session, Sources, Work};
use crate::lexer::tokens;

const CHILD: &str = "STEPWELL_TEST_CRASH_DATABASE";

fn work(sql: &str) -> Work {
    Work { statement: to_embedded(&tokens(sql).unwrap()), parameters: vec![Vec::new()], counts: true }
}

/// The child: commits one row after the other and says so, until it is killed.
#[test]
fn child_that_commits() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let sources = Sources { clock: Arc::new(SystemClock::new()), entropy: Arc::new(Entropy::from_os()) };
    let session = Session::open(path.as_ref(), &sources).unwrap();
    let stop = session.stopper();
    session.work(&work("CREATE TABLE IF NOT EXISTS t (n bigint)"), &stop).unwrap();
    let last = session.work(&work("SELECT coalesce(max(n), 0) FROM t"), &stop).unwrap();
    let crate::field::Value::Long(last) = last[0].rows[0][0] else { panic!("a number") };
    for n in last + 1.. {
        session.work(&work(&format!("INSERT INTO t VALUES ({n})")), &stop).unwrap();
        println!("committed {n}");
    }
}

#[test]
fn committed_statements_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crash.db");
    let mut seen = 0;
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::crash::child_that_commits", "--nocapture", "--test-threads=1"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let committed = lines.filter_map(|l| l.rsplit_once("committed ").and_then(|(_, n)| n.parse::<i64>().ok()));
        seen = committed.take(20 + round).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let connection = Connection::open(&path).unwrap();
        let check: String = connection.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
        assert_eq!(check, "ok");
        let (count, max): (i64, i64) =
            connection.query_row("SELECT count(*), max(n) FROM t", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        assert!(count == max && max >= seen, "{count} rows, the last {max}, {seen} were committed");
    }
    assert!(seen >= 100);
}
