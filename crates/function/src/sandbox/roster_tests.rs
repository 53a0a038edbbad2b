use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use base::{Entropy, Scope, SystemClock, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::concurrency::{Concurrency, Limits};
use super::deployment::{Deployment, Invocation, Outcome, Runtime};
use super::output::{LogStream, Output};
use super::report::LogFormat;
use super::roster::{Left, Next, Order, Patience, Roster, Verdict};
use super::worker::{Work, Worker};
use crate::LogSink;
use crate::package::PackageId;

struct NoLogs;

impl LogSink for NoLogs {
    fn put(&self, _: &str, _: &str, _: &Scope, _: Vec<(Timestamp, String)>) {}
}

fn deployment(name: &str, generation: u64) -> Arc<Deployment> {
    Arc::new(Deployment {
        function_arn: name.into(),
        version_arn: name.into(),
        generation,
        scope: Scope::default(),
        name: name.to_owned(),
        version: "$LATEST".to_owned(),
        role: String::new(),
        runtime: Runtime::Provided("provided"),
        handler: String::new(),
        memory_mb: 128,
        timeout: Duration::from_secs(3),
        environment: Vec::new(),
        package: PackageId([0; 32]),
        layers: Vec::new(),
        log_group: String::new(),
        log_format: LogFormat::Text,
        log_level: None,
    })
}

/// Drives a roster by chance, on a clock of its own, and keeps account of every invocation.
struct Driver {
    roster: Roster,
    chance: Entropy,
    now: Instant,
    counts: Arc<Concurrency>,
    generations: [u64; 3],
    /// Workers that wait for work: the ends of what the roster would give them.
    waiting: Vec<(u64, oneshot::Receiver<Work>)>,
    answers: Vec<oneshot::Receiver<Outcome>>,
    submitted: usize,
    made: Vec<Arc<Deployment>>,
}

impl Driver {
    fn new(seed: u64) -> Driver {
        Driver {
            roster: Roster::new(4, 2),
            chance: Entropy::from_seed(seed),
            now: Instant::now(),
            counts: Concurrency::new(10_000),
            generations: [1; 3],
            waiting: Vec::new(),
            answers: Vec::new(),
            submitted: 0,
            made: Vec::new(),
        }
    }

    fn time(&self) -> (Instant, Timestamp) {
        (self.now, Timestamp::from_millis(0))
    }

    fn submit(&mut self) {
        let which = self.chance.below(3) as usize;
        if self.chance.below(40) == 0 {
            self.generations[which] += 1;
        }
        let deployment = deployment(["a", "b", "c"][which], self.generations[which]);
        let (reply, answer) = oneshot::channel();
        let limits = Limits { reserved: None, reserved_total: 0 };
        let permit = self.counts.acquire(&deployment.scope, &deployment.function_arn, &limits).unwrap();
        let invocation = Invocation {
            request_id: self.submitted.to_string().into(),
            invoked_arn: "arn".into(),
            payload: "1".into(),
            client_context: None,
            trace_id: String::new(),
            tail: false,
            reply,
            permit,
        };
        self.submitted += 1;
        self.answers.push(answer);
        let mut orders = Vec::new();
        self.roster.submit(&deployment, invocation, self.time(), &mut orders);
        self.carry_out(orders);
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        for order in orders {
            match order {
                Order::Start { worker, deployment } => {
                    let log = LogStream {
                        sink: Arc::new(NoLogs),
                        clock: Arc::new(SystemClock::new()),
                        scope: Scope::default(),
                        group: String::new(),
                        stream: String::new(),
                    };
                    let (output, _) = Output::new(log, 1000).unwrap();
                    let address = (Ipv4Addr::LOCALHOST, 1).into();
                    let worker = Worker::new(worker, deployment.clone(), address, String::new(), output);
                    self.roster.made(&Arc::new(worker));
                    self.made.push(deployment);
                }
                Order::Stop(worker) => self.waiting.retain(|(id, _)| *id != worker.id),
                Order::LookAgain => {
                    let mut orders = Vec::new();
                    self.now += Duration::from_millis(10);
                    self.roster.look_again(self.now, Duration::from_millis(10), &mut orders);
                    self.carry_out(orders);
                }
            }
        }
    }

    /// One worker, chosen by chance, does what it can do.
    fn work(&mut self) {
        let states = self.roster.states();
        if states.is_empty() {
            return;
        }
        let (id, asks, answers) = states[self.chance.below(states.len() as u64) as usize].clone();
        let mut orders = Vec::new();
        if self.chance.below(20) == 0 {
            // The process ends on its own.
            let left = self.roster.ended(id, self.now, &mut orders);
            self.roster.forget(id);
            self.waiting.retain(|(waiting, _)| *waiting != id);
            match left {
                Left::Nothing | Left::Unstarted(None) => {}
                Left::Running(running) | Left::Unstarted(Some(running)) => answer(running.invocation),
            }
        } else if asks {
            match self.roster.next(id, self.time(), &mut orders) {
                Next::Wait(given) => self.waiting.push((id, given)),
                Next::Work(_) | Next::Gone => {}
                Next::Busy => unreachable!("it is not"),
            }
        } else if let Some(request_id) = answers {
            let running = self.roster.answered(id, &request_id, self.now).unwrap();
            answer(running.invocation);
        } else {
            self.look(id, &mut orders);
        }
        self.carry_out(orders);
    }

    fn look(&mut self, id: u64, orders: &mut Vec<Order>) {
        let patience = Patience { idle: Duration::from_millis(200), init: Duration::from_secs(1) };
        match self.roster.look(id, self.now, &patience, orders) {
            Verdict::Until { .. } => return,
            Verdict::Kill | Verdict::InitTimedOut(None) => {}
            Verdict::TimedOut(running) | Verdict::InitTimedOut(Some(running)) => answer(running.invocation),
        }
        assert!(matches!(self.roster.ended(id, self.now, orders), Left::Nothing));
        self.roster.forget(id);
        self.waiting.retain(|(waiting, _)| *waiting != id);
    }
}

fn answer(invocation: Invocation) {
    invocation.reply.send(Outcome { payload: invocation.payload, failed: false, tail: None }).unwrap();
}

#[tokio::test]
async fn every_invocation_is_answered_once_whatever_happens() {
    for seed in 0..40 {
        let mut driver = Driver::new(seed);
        for _ in 0..400 {
            if driver.chance.below(3) == 0 {
                driver.submit();
            } else {
                driver.work();
            }
            driver.now += Duration::from_millis(driver.chance.below(30));
            driver.roster.check();
        }
        for _ in 0..20_000 {
            driver.work();
            driver.now += Duration::from_millis(1);
            driver.roster.check();
        }
        for (number, mut answer) in driver.answers.into_iter().enumerate() {
            assert!(answer.try_recv().is_ok(), "seed {seed}: invocation {number} has no answer");
        }
    }
}
