//! Random lives of a few queues, on the machine and on a simple reference, which must never differ.

use proptest::prelude::*;

use super::driver::{Crash, Driver};
use super::moves::name_for;
use super::redrive;
use crate::input::ReceiptOutcome;
use crate::receipt::Receipt;

/// A message of the reference, in the order of its queue.
#[derive(Clone, Debug)]
struct RefMessage {
    body: String,
    group: String,
    sent_at: i64,
    visible_at: i64,
    received: u32,
    last_received_at: i64,
}

#[derive(Clone, Debug)]
struct RefQueue {
    name: String,
    fifo: bool,
    dead_letters: Option<(usize, u32)>,
    retention: i64,
    messages: Vec<RefMessage>,
}

#[derive(Clone, Debug)]
struct Reference {
    now: i64,
    queues: Vec<RefQueue>,
}

impl Reference {
    fn expire(&mut self) {
        let now = self.now;
        for queue in &mut self.queues {
            let retention = queue.retention;
            queue.messages.retain(|m| m.sent_at + retention > now);
        }
    }

    fn send(&mut self, queue: usize, body: &str, delay: i64, group: &str) {
        let now = self.now;
        let message = RefMessage {
            body: body.to_owned(),
            group: group.to_owned(),
            sent_at: now,
            visible_at: now + delay * 1000,
            received: 0,
            last_received_at: 0,
        };
        self.queues[queue].messages.push(message);
    }

    fn receive(&mut self, queue: usize, max: usize, timeout: u32) -> Vec<(String, u32)> {
        let now = self.now;
        let source = &mut self.queues[queue];
        // The order in which messages are offered.
        let in_flight = |m: &RefMessage| m.visible_at > now && m.received > 0;
        let mut order: Vec<String> = Vec::new();
        if source.fifo {
            let mut groups: Vec<&str> = Vec::new();
            for message in &source.messages {
                if !groups.contains(&message.group.as_str()) {
                    groups.push(&message.group);
                }
            }
            for group in groups {
                let members: Vec<_> = source.messages.iter().filter(|m| m.group == group).collect();
                if !members.iter().any(|m| in_flight(m)) {
                    let visible = members.iter().take_while(|m| m.visible_at <= now);
                    order.extend(visible.map(|m| m.body.clone()));
                }
            }
        } else {
            order.extend(source.messages.iter().filter(|m| m.visible_at <= now).map(|m| m.body.clone()));
        }
        let mut taken = Vec::new();
        let mut dead = Vec::new();
        for body in order {
            if taken.len() == max {
                break;
            }
            let at = source.messages.iter().position(|m| m.body == body).unwrap();
            if source.dead_letters.is_some_and(|(_, max)| source.messages[at].received >= max) {
                dead.push(source.messages.remove(at));
                continue;
            }
            let message = &mut source.messages[at];
            message.received += 1;
            message.visible_at = now + i64::from(timeout) * 1000;
            message.last_received_at = now;
            taken.push((message.body.clone(), message.received));
        }
        if let Some((target, _)) = source.dead_letters {
            let target = &mut self.queues[target];
            for mut message in dead {
                message.received = 0;
                message.visible_at = now;
                message.sent_at = if target.fifo { now } else { message.sent_at };
                target.messages.push(message);
            }
        }
        taken
    }

    fn delete(&mut self, handle: &Handle) -> ReceiptOutcome {
        let now = self.now;
        let queue = &mut self.queues[handle.queue];
        let Some(at) = queue.messages.iter().position(|m| m.body == handle.body) else {
            return ReceiptOutcome::Done;
        };
        let newest = queue.messages[at].received == handle.count;
        if queue.fifo && !(newest && queue.messages[at].visible_at > now) {
            return ReceiptOutcome::Expired;
        }
        if newest {
            queue.messages.remove(at);
        }
        ReceiptOutcome::Done
    }

    fn change(&mut self, handle: &Handle, seconds: u32) -> ReceiptOutcome {
        let now = self.now;
        let queue = &mut self.queues[handle.queue];
        let found = queue.messages.iter_mut().find(|m| m.body == handle.body && m.received == handle.count);
        let Some(message) = found else {
            return ReceiptOutcome::NotAvailable;
        };
        if queue.fifo && message.visible_at <= now {
            return ReceiptOutcome::NotInFlight;
        }
        let visible_at = now + i64::from(seconds) * 1000;
        if visible_at - message.last_received_at > 43_200_000 {
            return ReceiptOutcome::BeyondLimit;
        }
        message.visible_at = visible_at;
        ReceiptOutcome::Done
    }

    /// Visible, in flight, delayed.
    fn counts(&self, queue: usize) -> (usize, usize, usize) {
        let hidden = |m: &&RefMessage| m.visible_at > self.now;
        let messages = &self.queues[queue].messages;
        let in_flight = messages.iter().filter(hidden).filter(|m| m.received > 0).count();
        let delayed = messages.iter().filter(hidden).count() - in_flight;
        (messages.len() - in_flight - delayed, in_flight, delayed)
    }
}

#[derive(Clone, Debug)]
struct Handle {
    queue: usize,
    body: String,
    count: u32,
    receipt: Receipt,
}

#[derive(Clone, Debug)]
enum Op {
    Send { queue: usize, delay: u32, group: u8 },
    Receive { queue: usize, max: usize, timeout: u32 },
    Delete { handle: usize },
    Change { handle: usize, seconds: u32 },
    Pass { seconds: u64 },
    Purge { queue: usize },
    Restart,
}

/// An operation, whether its commit fails first, and where the courier behind it crashes.
type Step = (Op, bool, Crash);

fn op() -> impl Strategy<Value = Op> {
    let seconds = prop_oneof![Just(0u32), 1..40u32];
    prop_oneof![
        8 => (0..5usize, prop_oneof![3 => Just(0u32), 1 => 1..30u32], 0..3u8)
            .prop_map(|(queue, delay, group)| Op::Send { queue, delay, group }),
        8 => (0..5usize, 1..5usize, seconds.clone())
            .prop_map(|(queue, max, timeout)| Op::Receive { queue, max, timeout }),
        4 => any::<prop::sample::Index>().prop_map(|i| Op::Delete { handle: i.index(1000) }),
        3 => (any::<prop::sample::Index>(), prop_oneof![4 => seconds, 1 => Just(43_200u32)])
            .prop_map(|(i, seconds)| Op::Change { handle: i.index(1000), seconds }),
        4 => (1..30u64).prop_map(|seconds| Op::Pass { seconds }),
        1 => Just(Op::Pass { seconds: 61 }),
        1 => (0..5usize).prop_map(|queue| Op::Purge { queue }),
        2 => Just(Op::Restart),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let crash = prop_oneof![6 => Just(Crash::No), 1 => Just(Crash::BeforeArrival), 1 => Just(Crash::AfterArrival)];
    (op(), prop::bool::weighted(0.15), crash)
}

/// Two standard queues and a FIFO queue with dead-letter queues in their own cell, or in another.
fn world() -> (Driver, Reference) {
    let near = name_for("q", true, "");
    let far = name_for("q", false, "");
    let far_fifo = name_for("q.fifo", false, ".fifo");
    let near_source = name_for("q", true, "-source");
    let names = ["q".to_owned(), near_source, "q.fifo".to_owned(), far, far_fifo];
    let dead_letters = [Some((3, 2)), Some((3, 1)), Some((4, 2)), None, None];
    assert_ne!(near, names[3]);
    let mut driver = Driver::new();
    let mut queues = Vec::new();
    for (n, name) in names.iter().enumerate().rev() {
        let fifo = name.ends_with(".fifo");
        let mut attributes = vec![("MessageRetentionPeriod", "120".to_owned())];
        if fifo {
            attributes.push(("FifoQueue", "true".to_owned()));
        }
        driver.create(name, &attributes);
        if let Some((target, count)) = dead_letters[n] {
            driver.set(name, "RedrivePolicy", &redrive(&names[target], count));
        }
        queues.push(RefQueue {
            name: name.clone(),
            fifo,
            dead_letters: dead_letters[n],
            retention: 120_000,
            messages: Vec::new(),
        });
    }
    queues.reverse();
    let now = base::Clock::now(&driver.clock).as_millis();
    (driver, Reference { now, queues })
}

struct Run {
    driver: Driver,
    reference: Reference,
    handles: Vec<Handle>,
    sent: usize,
    purged_at: [i64; 5],
}

impl Run {
    /// Does `op` on the machine without committing it, which must be as if it had not been.
    fn refused(&mut self, op: &Op) {
        match op {
            Op::Send { queue, delay, group } => {
                let name = &self.reference.queues[*queue].name;
                assert!(self.driver.send(name, "lost", Some(*delay), &group.to_string(), false).is_none());
            }
            Op::Receive { queue, max, timeout } => {
                let name = &self.reference.queues[*queue].name;
                assert!(self.driver.receive(name, *max, *timeout, false).is_none());
            }
            Op::Delete { handle } if !self.handles.is_empty() => {
                let handle = &self.handles[handle % self.handles.len()];
                let name = &self.reference.queues[handle.queue].name;
                self.driver.delete(name, handle.receipt, false);
            }
            _ => {}
        }
    }

    fn done(&mut self, op: &Op) {
        match op {
            Op::Send { queue, delay, group } => {
                let body = format!("m{}", self.sent);
                self.sent += 1;
                let fifo = self.reference.queues[*queue].fifo;
                let group = if fifo { group.to_string() } else { String::new() };
                let delay = if fifo { 0 } else { *delay };
                let name = self.reference.queues[*queue].name.clone();
                self.driver.send(&name, &body, Some(delay), &group, true).unwrap().unwrap()[0].unwrap();
                self.reference.send(*queue, &body, i64::from(delay), &group);
            }
            Op::Receive { queue, max, timeout } => {
                let name = self.reference.queues[*queue].name.clone();
                let got = self.driver.receive(&name, *max, *timeout, true).unwrap();
                let want = self.reference.receive(*queue, *max, *timeout);
                let seen: Vec<_> = got.iter().map(|(body, count, _)| (body.clone(), *count)).collect();
                assert_eq!(seen, want, "received of {name}");
                let handle = |(body, count, receipt)| Handle { queue: *queue, body, count, receipt };
                self.handles.extend(got.into_iter().map(handle));
            }
            Op::Delete { handle } if !self.handles.is_empty() => {
                let handle = self.handles[handle % self.handles.len()].clone();
                let name = self.reference.queues[handle.queue].name.clone();
                let got = self.driver.delete(&name, handle.receipt, true).unwrap();
                assert_eq!(got, self.reference.delete(&handle), "delete {handle:?}");
            }
            Op::Change { handle, seconds } if !self.handles.is_empty() => {
                let handle = self.handles[handle % self.handles.len()].clone();
                let name = self.reference.queues[handle.queue].name.clone();
                let got = self.driver.change(&name, handle.receipt, *seconds, true).unwrap();
                assert_eq!(got, self.reference.change(&handle, *seconds), "change {handle:?} to {seconds}");
            }
            Op::Pass { seconds } => {
                self.driver.clock.advance(std::time::Duration::from_secs(*seconds));
                self.reference.now += *seconds as i64 * 1000;
            }
            Op::Purge { queue } if self.reference.now - self.purged_at[*queue] >= 60_000 => {
                let name = self.reference.queues[*queue].name.clone();
                self.driver.purge(&name);
                self.reference.queues[*queue].messages.clear();
                self.purged_at[*queue] = self.reference.now;
            }
            Op::Restart => self.driver.restart(),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_is_as_the_reference(steps in prop::collection::vec(step(), 1..80)) {
        let (driver, reference) = world();
        let mut run = Run { driver, reference, handles: Vec::new(), sent: 0, purged_at: [i64::MIN / 2; 5] };
        for (op, refuse_first, crash) in steps {
            run.driver.wake();
            run.reference.expire();
            if refuse_first {
                run.refused(&op);
            }
            run.done(&op);
            run.driver.carry(crash);
            run.driver.wake();
            run.reference.expire();
            for queue in 0..run.reference.queues.len() {
                let name = run.reference.queues[queue].name.clone();
                let counts = run.driver.counts(&name);
                let got = (counts.visible, counts.in_flight, counts.delayed);
                prop_assert_eq!(got, run.reference.counts(queue), "{} after {:?}", name, op);
            }
        }
    }
}
