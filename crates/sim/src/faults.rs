//! What goes wrong in a run, and how the machine comes back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base::Timestamp;
use store_embedded::{Fault, Loss};

use crate::chance::Chance;
use crate::process::{CLIENTS_QUEUE, EFFECTS_QUEUE, Letter, QueueMail};
use crate::world::{Check, EPOCH, Event, World};

/// Clocks jump ahead no further than this in one run, so that no message expires.
const JUMPS_MAX: Duration = Duration::from_secs(6 * 86_400);
/// Starts of the server in a row that may fail because of injected faults.
const OPENINGS_MAX: u32 = 6;

/// What a seed's disks and machines suffer from.
pub(crate) struct Faults {
    /// Once in so many steps each; 0: never.
    pub crash: u64,
    pub crash_in_operation: u64,
    pub disk_error: u64,
    pub loss: u64,
    /// Steps after which nothing goes wrong any more.
    pub until: u64,
}

impl Faults {
    pub fn of(chance: &Chance) -> Faults {
        let kind = chance.below(8);
        let often = 40 + chance.below(200);
        let pick = |wanted: &[u64]| if wanted.contains(&kind) { often } else { 0 };
        Faults {
            crash: pick(&[1, 2, 3, 4, 6, 7]),
            crash_in_operation: pick(&[2, 3, 4, 6]),
            disk_error: pick(&[5, 6, 7]),
            loss: kind,
            until: 200 + chance.below(1_500),
        }
    }
}

impl World {
    pub(crate) fn inject(&mut self) {
        let (disk, luck) = (self.disk.disk.clone(), &self.luck);
        if self.faults.crash_in_operation > 0 && luck.one_in(self.faults.crash_in_operation) {
            let fault = if luck.one_in(3) { Fault::Crash } else { Fault::CrashAfter(luck.index(3_000)) };
            disk.fail(disk.operations() + luck.below(6), fault);
        }
        if self.faults.disk_error > 0 && luck.one_in(self.faults.disk_error) {
            self.disk.left.store(luck.below(4), Ordering::SeqCst);
            let what = match luck.below(5) {
                0 => {
                    disk.fail_syncs(1 + luck.below(4));
                    "syncs fail"
                }
                1 => {
                    disk.fail(disk.operations() + luck.below(4), Fault::Error(std::io::ErrorKind::Other));
                    "an operation will fail"
                }
                2 => {
                    disk.fail(disk.operations() + luck.below(4), Fault::ErrorAfter(luck.index(900)));
                    "a write will fail half way"
                }
                3 => {
                    disk.set_full(true);
                    "the disk is full"
                }
                _ => {
                    disk.set_broken(true);
                    "the disk is broken"
                }
            };
            let heals = self.now + Duration::from_millis(self.luck.below(8_000));
            self.note(what);
            self.at(heals, Event::Heal);
        }
    }

    /// The server dies, with what it had in memory; the machine starts again, at another time perhaps.
    pub(crate) fn crash(&mut self) -> Check {
        self.crashes += 1;
        self.process = None;
        self.jobs.clear();
        self.agenda.retain(|_, event| match event {
            Event::Answer { outside, .. } => *outside,
            Event::Deliver { .. } | Event::Heal => false,
            Event::Start(_) | Event::Stop(_) | Event::Send(_) | Event::Receive => true,
        });
        for attempt in 1.. {
            self.restart_machine();
            if attempt < OPENINGS_MAX && self.is_faulty() && self.faults.crash > 0 && self.luck.one_in(3) {
                let fault = if self.luck.one_in(2) { Fault::Crash } else { Fault::CrashAfter(self.luck.index(900)) };
                self.disk.disk.fail(self.luck.below(40), fault);
            }
            match self.open(self.store_options()) {
                Ok(()) => break,
                Err(_) if self.disk.disk.has_crashed() => self.note("crashed while it started"),
                Err(why) => return Err(format!("the server does not start: {why}")),
            }
        }
        let process = self.process.as_ref().expect("it was opened");
        self.ledger.check_executions(&process.executions, &self.machine_names)?;
        // Clients that have no answer ask again.
        for execution in 0..self.ledger.executions.len() {
            if !self.ledger.executions[execution].acknowledged {
                self.soon(5_000, Event::Start(execution));
            }
        }
        for (key, input) in std::mem::take(&mut self.outside) {
            self.soon(5_000, Event::Answer { key, input, outside: true });
        }
        for queue in [EFFECTS_QUEUE, CLIENTS_QUEUE] {
            self.post(None, Letter::Queue(queue::sim::Told::Create { queue: queue.to_owned() }, QueueMail::Create));
        }
        Ok(())
    }

    fn restart_machine(&mut self) {
        let seed = self.luck.next();
        let loss = match self.faults.loss {
            0 | 1 | 5 => Loss::Nothing,
            2 => Loss::Everything,
            3 => Loss::Chance(seed),
            4 => Loss::Damage(seed),
            _ => [Loss::Nothing, Loss::Everything, Loss::Chance(seed), Loss::Damage(seed)][self.luck.index(4)],
        };
        self.disk.disk = self.disk.disk.after_crash(loss);
        self.now = match self.luck.below(12) {
            0 if self.now < EPOCH + JUMPS_MAX => self.now + Duration::from_secs(self.luck.below(3 * 86_400)),
            1 | 2 => self.now + Duration::from_secs(self.luck.below(120)),
            3 => Timestamp::from_millis(self.now.as_millis() - self.luck.below(30_000) as i64),
            _ => self.now + Duration::from_millis(self.luck.below(2_000)),
        };
        self.clock.set(self.now);
        self.note(format!("crash {}: {loss:?}", self.crashes));
    }
}
