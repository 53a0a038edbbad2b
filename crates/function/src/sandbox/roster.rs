use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::deployment::{Deployment, Invocation};
use super::worker::{Running, Work, Worker};

/// How long a worker may keep its place, and an invocation wait for one, before it makes room for another pool.
const FAIR_SHARE: Duration = Duration::from_millis(500);
/// How often a worker at work is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Which worker does what and which invocation waits for one: all decisions, no I/O.
///
/// **Invariants**: an invocation is in one place: a queue, a `Busy` phase, or with its caller. `live` counts the
/// workers that are not `Stopping` and never exceeds the maximum. A pool has no idle worker while its queue has
/// an entry.
pub(crate) struct Roster {
    pools: BTreeMap<Arc<str>, Pool>,
    slots: BTreeMap<u64, Slot>,
    live: usize,
    waiting: usize,
    live_max: usize,
    /// In one pool: a function that is slow to start must not keep others from starting.
    starting_max: usize,
    next: u64,
    closing: bool,
    /// [`Order::LookAgain`] is given and not yet carried out.
    looking_again: bool,
}

struct Pool {
    deployment: Arc<Deployment>,
    queue: VecDeque<Waiting>,
    idle: Vec<Idle>,
    starting: usize,
    finishing: usize,
    /// Those of `finishing` that have taken too long to be counted on.
    lingering: usize,
    live: usize,
}

struct Waiting {
    number: u64,
    since: Instant,
    invocation: Invocation,
}

struct Idle {
    worker: u64,
    number: u64,
    give: oneshot::Sender<Work>,
}

struct Slot {
    pool: Arc<str>,
    /// Unknown until the worker is made.
    worker: Option<Arc<Worker>>,
    phase: Phase,
    started: Instant,
    /// Set when the worker first asks for work, taken by its first invocation.
    init: Option<Duration>,
    generation: u64,
}

enum Phase {
    Starting,
    Idle { since: Instant },
    Busy(Box<Running>),
    Finishing { since: Instant, deadline: Instant, lingering: bool },
    Stopping,
}

/// What has to be done because of a decision.
pub(crate) enum Order {
    Start {
        worker: u64,
        deployment: Arc<Deployment>,
    },
    Stop(Arc<Worker>),
    /// Call [`Roster::look_again`] after a moment.
    LookAgain,
}

/// The answer to a worker that asks for work.
pub(crate) enum Next {
    Work(Work),
    Wait(oneshot::Receiver<Work>),
    /// It is to stop, and gets no answer.
    Gone,
    /// It holds an invocation already.
    Busy,
}

/// What the supervisor finds when it looks at its worker.
pub(crate) enum Verdict {
    /// All is well until then; whether it is at work, and its memory worth a look.
    Until { at: Instant, working: bool },
    /// Kill the process; nobody is waiting for it.
    Kill,
    /// Kill the process; this invocation took too long.
    TimedOut(Box<Running>),
    /// Kill the process; it took too long to start, which the invocation that has waited longest is told.
    InitTimedOut(Option<Box<Running>>),
}

/// What the end of a process leaves to be told.
pub(crate) enum Left {
    Nothing,
    /// The invocation under way has failed.
    Running(Box<Running>),
    /// It never came to ask for work: the invocation that has waited longest is told.
    Unstarted(Option<Box<Running>>),
}

/// The bounds that the supervisor's look needs.
pub(crate) struct Patience {
    pub idle: Duration,
    pub init: Duration,
}

impl Roster {
    pub fn new(live_max: usize, starting_max: usize) -> Roster {
        Roster {
            pools: BTreeMap::new(),
            slots: BTreeMap::new(),
            live: 0,
            waiting: 0,
            live_max: live_max.max(1),
            starting_max: starting_max.max(1),
            next: 0,
            closing: false,
            looking_again: false,
        }
    }

    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Workers that exist, are being made, or are being cleared away.
    pub fn worker_count(&self) -> usize {
        self.slots.len()
    }

    /// Gives the invocation to an idle worker (`None`) or queues it under the returned number.
    pub fn submit(
        &mut self,
        deployment: &Arc<Deployment>,
        invocation: Invocation,
        now: (Instant, Timestamp),
        orders: &mut Vec<Order>,
    ) -> Option<u64> {
        self.deploy(deployment, orders);
        loop {
            let pool = self.pools.get_mut(&deployment.version_arn).expect("deployed above");
            let Some(idle) = pool.idle.pop() else { break };
            if idle.give.is_closed() {
                // Its connection is gone; the supervisor deals with the worker.
                continue;
            }
            let work = self.begin(idle.worker, invocation, now);
            // Should the connection go just now, the worker's end or the timeout tells the caller.
            let _ = idle.give.send(work);
            return None;
        }
        let number = self.number();
        let pool = self.pools.get_mut(&deployment.version_arn).expect("deployed above");
        pool.queue.push_back(Waiting { number, since: now.0, invocation });
        self.waiting += 1;
        self.staff(orders);
        Some(number)
    }

    /// Takes an invocation back that still waits.
    pub fn withdraw(&mut self, pool: &Arc<str>, number: u64) -> Option<Invocation> {
        let pool = self.pools.get_mut(pool)?;
        let at = pool.queue.iter().position(|w| w.number == number)?;
        self.waiting -= 1;
        pool.queue.remove(at).map(|w| w.invocation)
    }

    /// Makes `deployment` what the pool runs; workers of an older one are stopped when they are free.
    fn deploy(&mut self, deployment: &Arc<Deployment>, orders: &mut Vec<Order>) {
        let pool = self.pools.entry(deployment.version_arn.clone()).or_insert_with(|| Pool {
            deployment: deployment.clone(),
            queue: VecDeque::new(),
            idle: Vec::new(),
            starting: 0,
            finishing: 0,
            lingering: 0,
            live: 0,
        });
        if pool.deployment.generation >= deployment.generation {
            return;
        }
        pool.deployment = deployment.clone();
        let idle: Vec<u64> = pool.idle.iter().map(|i| i.worker).collect();
        for worker in idle {
            self.stop(worker, orders);
        }
    }

    /// The function's version is gone: its idle workers stop, the others when they are done.
    pub fn remove(&mut self, pool: &Arc<str>, orders: &mut Vec<Order>) -> Vec<Invocation> {
        let Some(found) = self.pools.get_mut(pool) else { return Vec::new() };
        let waiting: Vec<Invocation> = found.queue.drain(..).map(|w| w.invocation).collect();
        self.waiting -= waiting.len();
        let workers: Vec<u64> = self.slots.iter().filter(|(_, s)| s.pool == *pool).map(|(id, _)| *id).collect();
        for id in workers {
            let slot = self.slots.get_mut(&id).expect("listed above");
            // Older than any deployment to come, so that it ends with the work at hand.
            slot.generation = 0;
            if matches!(slot.phase, Phase::Idle { .. }) {
                self.stop(id, orders);
            }
        }
        self.forget_if_empty(pool);
        waiting
    }

    /// Everything stops; what waits is handed back.
    pub fn close(&mut self, orders: &mut Vec<Order>) -> Vec<Invocation> {
        self.closing = true;
        let waiting = self.pools.values_mut().flat_map(|p| p.queue.drain(..)).map(|w| w.invocation).collect();
        self.waiting = 0;
        let all: Vec<u64> = self.slots.keys().copied().collect();
        for worker in all {
            self.stop(worker, orders);
        }
        waiting
    }

    /// The worker exists now. False if it is to stop already.
    pub fn made(&mut self, worker: &Arc<Worker>) -> bool {
        let Some(slot) = self.slots.get_mut(&worker.id) else { return false };
        slot.worker = Some(worker.clone());
        !matches!(slot.phase, Phase::Stopping)
    }

    /// A worker asks for work.
    pub fn next(&mut self, id: u64, now: (Instant, Timestamp), orders: &mut Vec<Order>) -> Next {
        let Some(slot) = self.slots.get_mut(&id) else { return Next::Gone };
        let pool = self.pools.get_mut(&slot.pool).expect("a pool lives as long as its workers");
        match slot.phase {
            Phase::Stopping => return Next::Gone,
            Phase::Busy(_) => return Next::Busy,
            Phase::Idle { .. } => pool.idle.retain(|i| i.worker != id),
            Phase::Finishing { lingering, .. } => {
                pool.finishing -= 1;
                pool.lingering -= usize::from(lingering);
            }
            Phase::Starting => {
                pool.starting -= 1;
                slot.init = Some(now.0 - slot.started);
            }
        }
        slot.phase = Phase::Idle { since: now.0 };
        let outdated = slot.generation != pool.deployment.generation;
        let elsewhere = if self.closing || outdated { None } else { self.needed_elsewhere(id, now.0) };
        if self.closing || outdated || elsewhere.is_some() {
            self.stop(id, orders);
            if let Some(pool) = elsewhere {
                self.start(&pool, orders);
            }
            self.staff(orders);
            return Next::Gone;
        }
        let pool_key = self.slots[&id].pool.clone();
        let next = match self.pools.get_mut(&pool_key).expect("seen above").queue.pop_front() {
            Some(waiting) => {
                self.waiting -= 1;
                Next::Work(self.begin(id, waiting.invocation, now))
            }
            None => {
                let (give, wait) = oneshot::channel();
                let number = self.number();
                let pool = self.pools.get_mut(&pool_key).expect("seen above");
                pool.idle.push(Idle { worker: id, number, give });
                Next::Wait(wait)
            }
        };
        self.staff(orders);
        next
    }

    /// A worker has answered `request_id`: takes the invocation from it.
    pub fn answered(&mut self, id: u64, request_id: &str, now: Instant) -> Option<Box<Running>> {
        let slot = self.slots.get_mut(&id)?;
        let deadline = match &slot.phase {
            Phase::Busy(running) if *running.invocation.request_id == *request_id => running.deadline,
            _ => return None,
        };
        let Phase::Busy(running) =
            std::mem::replace(&mut slot.phase, Phase::Finishing { since: now, deadline, lingering: false })
        else {
            unreachable!("matched above")
        };
        self.pools.get_mut(&slot.pool).expect("a pool lives as long as its workers").finishing += 1;
        Some(running)
    }

    /// The supervisor looks at its worker.
    pub fn look(&mut self, id: u64, now: Instant, patience: &Patience, orders: &mut Vec<Order>) -> Verdict {
        let Some(slot) = self.slots.get(&id) else { return Verdict::Kill };
        let (at, working) = match &slot.phase {
            Phase::Stopping => return Verdict::Kill,
            Phase::Starting => (slot.started + patience.init, true),
            // Freshly idle it is looked at as often as at work, so that `begin` need not tell the supervisor.
            Phase::Idle { since } if now - *since < TICK => (*since + patience.idle.min(TICK), true),
            Phase::Idle { since } => (*since + patience.idle, false),
            Phase::Busy(running) => (running.deadline, true),
            Phase::Finishing { deadline, .. } => (*deadline, true),
        };
        if at > now {
            return Verdict::Until { at, working };
        }
        let pool = slot.pool.clone();
        let verdict = match self.stop(id, orders) {
            Some(Phase::Busy(running)) => Verdict::TimedOut(running),
            Some(Phase::Starting) => Verdict::InitTimedOut(self.take_oldest(&pool, now)),
            _ => Verdict::Kill,
        };
        self.staff(orders);
        verdict
    }

    /// The process has ended, or could not be made.
    pub fn ended(&mut self, id: u64, now: Instant, orders: &mut Vec<Order>) -> Left {
        let Some(pool) = self.slots.get(&id).map(|s| s.pool.clone()) else { return Left::Nothing };
        let left = match self.stop(id, &mut Vec::new()) {
            Some(Phase::Busy(running)) => Left::Running(running),
            Some(Phase::Starting) => Left::Unstarted(self.take_oldest(&pool, now)),
            _ => Left::Nothing,
        };
        self.staff(orders);
        left
    }

    /// Nothing is left of the worker.
    pub fn forget(&mut self, id: u64) {
        if let Some(slot) = self.slots.remove(&id) {
            self.forget_if_empty(&slot.pool);
        }
    }

    /// The invocation that has waited longest in a pool, to be told that its worker could not start.
    fn take_oldest(&mut self, pool: &Arc<str>, now: Instant) -> Option<Box<Running>> {
        let waiting = self.pools.get_mut(pool)?.queue.pop_front()?;
        self.waiting -= 1;
        Some(Box::new(Running { invocation: waiting.invocation, started: now, deadline: now, init: None }))
    }

    /// Workers that have answered longer than `grace` ago are no longer counted on: others are started instead.
    pub fn look_again(&mut self, now: Instant, grace: Duration, orders: &mut Vec<Order>) {
        self.looking_again = false;
        for slot in self.slots.values_mut() {
            if let Phase::Finishing { since, lingering: lingering @ false, .. } = &mut slot.phase
                && now - *since >= grace
            {
                *lingering = true;
                self.pools.get_mut(&slot.pool).expect("a pool lives as long as its workers").lingering += 1;
            }
        }
        self.staff(orders);
    }

    /// Starts workers for what waits, oldest first, while there is room.
    fn staff(&mut self, orders: &mut Vec<Order>) {
        if self.waiting == 0 || self.closing {
            return;
        }
        while let Some(key) = self.hungriest() {
            if self.live >= self.live_max && !self.evict(&key, orders) {
                break;
            }
            self.start(&key, orders);
        }
        let counted_on = |p: &Pool| p.finishing > p.lingering && p.queue.len() > p.starting;
        if !self.looking_again && self.pools.values().any(counted_on) {
            self.looking_again = true;
            orders.push(Order::LookAgain);
        }
    }

    /// The pool whose oldest invocation has waited longest, of those that no worker is on its way to.
    fn hungriest(&self) -> Option<Arc<str>> {
        let lacks = |p: &Pool| {
            let coming = p.starting + p.finishing - p.lingering;
            p.queue.len() > coming && p.starting < self.starting_max
        };
        let hungry = self.pools.iter().filter(|(_, p)| lacks(p));
        hungry.min_by_key(|(_, p)| p.queue.front().map(|w| w.number)).map(|(k, _)| k.clone())
    }

    /// Stops the worker that has been idle longest, if any: it makes room at once.
    fn evict(&mut self, but: &Arc<str>, orders: &mut Vec<Order>) -> bool {
        let others = self.pools.iter().filter(|(k, _)| *k != but);
        let oldest = others.flat_map(|(_, p)| &p.idle).min_by_key(|i| i.number).map(|i| i.worker);
        match oldest {
            Some(worker) => {
                self.stop(worker, orders);
                true
            }
            None => false,
        }
    }

    fn start(&mut self, key: &Arc<str>, orders: &mut Vec<Order>) {
        let worker = self.number();
        let pool = self.pools.get_mut(key).expect("a hungry pool exists");
        pool.starting += 1;
        pool.live += 1;
        self.live += 1;
        let slot = Slot {
            pool: key.clone(),
            worker: None,
            phase: Phase::Starting,
            started: Instant::now(),
            init: None,
            generation: pool.deployment.generation,
        };
        self.slots.insert(worker, slot);
        orders.push(Order::Start { worker, deployment: pool.deployment.clone() });
    }

    /// The pool that needs this free worker's place more than its own, if all places are taken.
    ///
    /// A worker with work of its own keeps the place for a fair share of time, so that pools that have to take turns
    /// do not spend it on starts.
    fn needed_elsewhere(&self, id: u64, now: Instant) -> Option<Arc<str>> {
        if self.waiting == 0 || self.live < self.live_max {
            return None;
        }
        let slot = &self.slots[&id];
        let own = &self.pools[&slot.pool];
        let had_its_share = now - slot.started >= FAIR_SHARE;
        let needs = |other: &Pool| {
            let waited = other.queue.front().is_some_and(|w| now - w.since >= FAIR_SHARE);
            own.queue.is_empty() || (had_its_share && waited && (other.live == 0 || other.live + 1 < own.live))
        };
        let hungry = self.pools.iter().filter(|(key, p)| **key != slot.pool && p.queue.len() > p.starting && needs(p));
        hungry.min_by_key(|(_, p)| p.queue.front().map(|w| w.number)).map(|(key, _)| key.clone())
    }

    /// Hands the invocation to an idle worker.
    fn begin(&mut self, id: u64, invocation: Invocation, now: (Instant, Timestamp)) -> Work {
        let slot = self.slots.get_mut(&id).expect("an idle worker is known");
        let worker = slot.worker.as_ref().expect("an idle worker has been made");
        let Phase::Idle { since } = slot.phase else { unreachable!("an idle worker is idle") };
        let timeout = worker.deployment.timeout;
        let work = Work {
            request_id: invocation.request_id.clone(),
            invoked_arn: invocation.invoked_arn.clone(),
            payload: invocation.payload.clone(),
            client_context: invocation.client_context.clone(),
            trace_id: invocation.trace_id.clone(),
            deadline: now.1 + timeout,
            tail: invocation.tail,
        };
        let deadline = now.0 + timeout;
        slot.phase = Phase::Busy(Box::new(Running { invocation, started: now.0, deadline, init: slot.init.take() }));
        if now.0 - since >= TICK {
            worker.attention.notify_one();
        }
        work
    }

    /// Marks a worker as stopping and returns what it was doing; `None` if it was stopping already.
    fn stop(&mut self, id: u64, orders: &mut Vec<Order>) -> Option<Phase> {
        let slot = self.slots.get_mut(&id)?;
        if matches!(slot.phase, Phase::Stopping) {
            return None;
        }
        let phase = std::mem::replace(&mut slot.phase, Phase::Stopping);
        let pool = self.pools.get_mut(&slot.pool).expect("a pool lives as long as its workers");
        match phase {
            Phase::Starting => pool.starting -= 1,
            Phase::Idle { .. } => pool.idle.retain(|i| i.worker != id),
            Phase::Finishing { lingering, .. } => {
                pool.finishing -= 1;
                pool.lingering -= usize::from(lingering);
            }
            Phase::Busy(_) | Phase::Stopping => {}
        }
        pool.live -= 1;
        self.live -= 1;
        if let Some(worker) = &slot.worker {
            orders.push(Order::Stop(worker.clone()));
        }
        Some(phase)
    }

    fn forget_if_empty(&mut self, key: &Arc<str>) {
        let empty = self.pools.get(key).is_some_and(|p| p.queue.is_empty());
        if empty && !self.slots.values().any(|s| s.pool == *key) {
            self.pools.remove(key);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
impl Roster {
    /// Counts everything anew and compares.
    pub fn check(&self) {
        let count = |pool: &str, wanted: fn(&Phase) -> bool| {
            self.slots.values().filter(|s| &*s.pool == pool && wanted(&s.phase)).count()
        };
        for (key, pool) in &self.pools {
            assert_eq!(pool.starting, count(key, |p| matches!(p, Phase::Starting)));
            assert_eq!(pool.finishing, count(key, |p| matches!(p, Phase::Finishing { .. })));
            assert_eq!(pool.lingering, count(key, |p| matches!(p, Phase::Finishing { lingering: true, .. })));
            assert_eq!(pool.live, count(key, |p| !matches!(p, Phase::Stopping)));
            assert_eq!(pool.idle.len(), count(key, |p| matches!(p, Phase::Idle { .. })));
            assert!(pool.idle.is_empty() || pool.queue.is_empty(), "an idle worker and a waiting invocation");
        }
        assert_eq!(self.live, self.pools.values().map(|p| p.live).sum::<usize>());
        assert_eq!(self.waiting, self.pools.values().map(|p| p.queue.len()).sum::<usize>());
        assert!(self.live <= self.live_max, "{} live", self.live);
        // Whatever waits is on its way to a worker, or every place is taken.
        let stuck = self.pools.values().any(|p| p.queue.len() > p.live) && self.live == 0;
        assert!(!stuck || self.closing, "somebody waits and nobody works");
    }

    /// What each worker is doing, for a driver to choose from: its number and whether it may ask, answer, or end.
    pub fn states(&self) -> Vec<(u64, bool, Option<Arc<str>>)> {
        let state = |(id, slot): (&u64, &Slot)| {
            let asks = matches!(slot.phase, Phase::Starting | Phase::Finishing { .. }) && slot.worker.is_some();
            let answers = match &slot.phase {
                Phase::Busy(running) => Some(running.invocation.request_id.clone()),
                _ => None,
            };
            (*id, asks, answers)
        };
        self.slots.iter().map(state).collect()
    }
}
