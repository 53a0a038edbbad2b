use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{ManualClock, SystemClock, Timestamp};
use bytes::Bytes;
use store::{Batch, Commit, Entry, Error, Key, MemoryStore, Range, Store};

use super::*;

/// Adds numbers under one key; `0` fails the turn.
#[derive(Default)]
struct Sum {
    total: u64,
    loads: usize,
}

struct Add {
    n: u64,
    effect: Option<Vec<u8>>,
    reply: Reply<u64>,
}

impl Machine for Sum {
    type Input = Add;

    fn load(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.loads += 1;
        self.total = turn.get(b"sum")?.map_or(0, |v| u64::from_be_bytes(v[..].try_into().expect("eight bytes")));
        Ok(())
    }

    fn apply(&mut self, input: Add, turn: &mut Turn<'_>) -> Result<(), Error> {
        if let Some(effect) = &input.effect
            && let Some(answer) = turn.earlier_answer(effect)?
        {
            let answer = u64::from_be_bytes(answer[..].try_into().expect("eight bytes"));
            turn.reply(input.reply, answer);
            return Ok(());
        }
        self.total += input.n;
        turn.put(&b"sum"[..], self.total.to_be_bytes().to_vec());
        if let Some(effect) = &input.effect {
            turn.remember_answer(effect, self.total.to_be_bytes().to_vec());
        }
        turn.reply(input.reply, self.total);
        if input.n == 0 {
            return Err(Error::Retryable("zero".to_owned()));
        }
        Ok(())
    }
}

/// Refuses commits while told to.
#[derive(Default)]
struct Refusing {
    inner: MemoryStore,
    refuse: AtomicBool,
}

impl Store for Refusing {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.inner.get(key)
    }

    fn scan(&self, range: &Range) -> Result<Vec<Entry>, Error> {
        self.inner.scan(range)
    }

    fn commit(&self, batch: Batch) -> Commit {
        if self.refuse.load(Ordering::SeqCst) {
            return Commit::done(Err(Error::Retryable("disk full".to_owned())));
        }
        self.inner.commit(batch)
    }
}

async fn add(cell: &Cell<Add>, n: u64, effect: Option<&[u8]>) -> Result<u64, CellError> {
    cell.call(|reply| Add { n, effect: effect.map(<[u8]>::to_vec), reply }).await
}

async fn start(store: &Arc<Refusing>) -> Cell<Add> {
    let options = CellOptions { retry_pause_ms: 0, ..CellOptions::default() };
    Cell::start("sum", Sum::default(), store.clone(), Arc::new(SystemClock::new()), options).await.unwrap()
}

#[tokio::test]
async fn what_was_not_committed_has_not_happened() {
    let store = Arc::new(Refusing::default());
    let cell = start(&store).await;
    assert_eq!(add(&cell, 5, None).await, Ok(5));
    store.refuse.store(true, Ordering::SeqCst);
    let refused = add(&cell, 7, None).await;
    assert_eq!(refused, Err(CellError::NotCommitted(Error::Retryable("disk full".to_owned()))));
    store.refuse.store(false, Ordering::SeqCst);
    assert_eq!(add(&cell, 1, None).await, Ok(6));
    assert!(matches!(add(&cell, 0, None).await, Err(CellError::NotCommitted(_))));
    assert_eq!(add(&cell, 1, None).await, Ok(7));
    let again = start(&store).await;
    assert_eq!(add(&again, 1, None).await, Ok(8));
}

#[tokio::test]
async fn a_replaced_owner_writes_nothing() {
    let store = Arc::new(Refusing::default());
    let old = start(&store).await;
    let new = start(&store).await;
    assert_eq!(add(&old, 5, None).await, Err(CellError::NotCommitted(Error::Fenced)));
    assert_eq!(add(&old, 5, None).await, Err(CellError::Stopped));
    assert_eq!(add(&new, 5, None).await, Ok(5));
}

#[tokio::test]
async fn an_effect_delivered_twice_is_done_once() {
    let store = Arc::new(Refusing::default());
    let cell = start(&store).await;
    let effect = outbox_key("engine/0", 3);
    let mut batch = Batch::new();
    batch.put(effect.clone(), vec![1]);
    store.commit(batch).await.unwrap();
    assert_eq!(add(&cell, 5, Some(&effect)).await, Ok(5));
    assert_eq!(add(&cell, 1, None).await, Ok(6));
    assert_eq!(add(&cell, 5, Some(&effect)).await, Ok(5));
    let again = start(&store).await;
    assert_eq!(add(&again, 5, Some(&effect)).await, Ok(5));
    assert_eq!(add(&again, 1, None).await, Ok(7));
}

#[test]
fn inbox_records_go_when_the_sender_has_forgotten() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let mut core = Core::claim("sum", Sum::default(), store.clone()).unwrap();
    let effects: Vec<_> = (0..2).map(|n| outbox_key("engine/0", n)).collect();
    let mut batch = Batch::new();
    for effect in &effects {
        batch.put(effect.clone(), vec![1]);
    }
    store.commit(batch).wait().unwrap();
    let mut turn = |inputs: Vec<Add>, clock: &ManualClock| {
        let mut outcome = core.turn(inputs, base::Clock::now(clock)).unwrap();
        store.commit(std::mem::take(&mut outcome.batch)).wait().unwrap();
        outcome.release(Ok(()));
    };
    turn(effects.iter().map(|e| Add { n: 1, effect: Some(e.clone()), reply: Reply::channel().0 }).collect(), &clock);
    let records = || store.scan(&Range::prefix(Key::new("inbox").as_bytes())).unwrap().len();
    assert_eq!(records(), 2);
    let mut batch = Batch::new();
    batch.delete(effects[0].clone());
    store.commit(batch).wait().unwrap();
    clock.advance(std::time::Duration::from_secs(61));
    turn(Vec::new(), &clock);
    assert_eq!(records(), 1);
}

#[test]
fn a_turn_reads_its_own_writes() {
    let store = MemoryStore::new();
    let mut batch = Batch::new();
    for n in 0..10u64 {
        batch.put(Key::new("k").u64(n), vec![0]);
    }
    store.commit(batch).wait().unwrap();
    let mut turn = Turn::new(Timestamp::from_millis(0), "c", &store);
    turn.delete(Key::new("k").u64(1));
    turn.put(Key::new("k").u64(3), vec![1]);
    turn.put(Key::new("k").u64(20), vec![1]);
    turn.put(Key::new("k").u64(15), vec![1]);
    let key = |n: u64| Key::new("k").u64(n).build();
    let keys = |range: Range| turn.scan(&range).unwrap().into_iter().map(|(k, _)| k.to_vec()).collect::<Vec<_>>();
    let all = Range::prefix(Key::new("k").as_bytes());
    assert_eq!(keys(all.clone().limit(3)), [key(0), key(2), key(3)]);
    assert_eq!(keys(all.clone().reverse().limit(3)), [key(20), key(15), key(9)]);
    assert_eq!(keys(all.clone()).len(), 11);
    assert_eq!(keys(all.after(&key(8))), [key(9), key(15), key(20)]);
    assert_eq!(turn.get(&key(1)).unwrap(), None);
}

#[test]
fn shards_are_even_and_fixed() {
    let mut counts = [0; 4];
    for n in 0..4000u32 {
        counts[shard_of(format!("arn:aws:states:us-east-1:000000000000:execution:m:{n}").as_bytes(), 4)] += 1;
    }
    assert!(counts.iter().all(|c| (800..1200).contains(c)), "{counts:?}");
    assert_eq!(shard_of(b"a", 16), shard_of(b"a", 16));
}

#[tokio::test]
async fn who_waits_behind_an_input_that_fails_the_turn_is_told_to_try_again() {
    let cell = start(&Arc::new(Refusing::default())).await;
    // Both are taken in one turn: the cell's loop shares this thread.
    let (first, second) = tokio::join!(add(&cell, 0, None), add(&cell, 5, None));
    assert!(matches!(first, Err(CellError::NotCommitted(_))));
    assert!(matches!(second, Err(CellError::NotCommitted(Error::Retryable(_)))), "{second:?}");
    assert_eq!(add(&cell, 5, None).await, Ok(5));
}

/// Writes values of a given size.
struct Fill(u64);

impl Machine for Fill {
    type Input = (usize, Reply<()>);

    fn load(&mut self, _: &mut Turn<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn apply(&mut self, (bytes, reply): Self::Input, turn: &mut Turn<'_>) -> Result<(), Error> {
        self.0 += 1;
        turn.put(Key::new("fill").u64(self.0), vec![0; bytes]);
        turn.reply(reply, ());
        Ok(())
    }
}

#[test]
fn a_turn_writes_no_more_than_a_batch_holds() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut core = Core::claim("fill", Fill(0), store).unwrap();
    let mut inputs: Vec<_> = (0..20).map(|_| (1 << 20, Reply::channel().0)).collect();
    let mut sizes = Vec::new();
    while core.is_behind() || !inputs.is_empty() {
        let outcome = core.turn(std::mem::take(&mut inputs), Timestamp::from_millis(0)).unwrap();
        sizes.push(outcome.batch.writes.len());
        outcome.release(Ok(()));
    }
    assert_eq!(sizes, [8, 8, 4]);
}

#[test]
fn a_sweep_of_many_records_goes_on_until_it_is_done() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut batch = Batch::new();
    for n in 0..10_000 {
        batch.put(Key::new("inbox").str("sum").bytes(&outbox_key("engine/0", n)), vec![0]);
    }
    store.commit(batch).wait().unwrap();
    let mut core = Core::claim("sum", Sum::default(), store.clone()).unwrap();
    for n in 0..3 {
        let mut outcome = core.turn(Vec::new(), Timestamp::from_millis(n * 100)).unwrap();
        store.commit(std::mem::take(&mut outcome.batch)).wait().unwrap();
        outcome.release(Ok(()));
    }
    assert_eq!(store.scan(&Range::prefix(Key::new("inbox").as_bytes())).unwrap().len(), 0);
}
