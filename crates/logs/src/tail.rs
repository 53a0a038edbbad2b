use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use service::Fault;
use tokio::sync::broadcast;

use crate::input::EventPosition;
use crate::logs::{FilterQuery, FilteredEvent, Logs};
use crate::machine::Announcement;
use crate::{GroupName, fault, read};

/// How long before now an event may have been stored that is announced only now.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(60);
/// How far back a follower that was too slow looks for what it missed.
const CATCH_UP: Duration = Duration::from_secs(3600);

/// Follows a log group: first what is stored, then what comes, each event once.
///
/// A group that is not there yet is waited for. What is stored comes in the order of time, what comes later in the
/// order in which it was stored.
pub struct Tail {
    logs: Logs,
    announcements: broadcast::Receiver<Arc<Announcement>>,
    group: GroupName,
    from: Timestamp,
    /// Reading from the store, from this position; `None` while listening.
    reading: Option<EventPosition>,
    /// When the reading began: later events are announced as well.
    reading_since: Timestamp,
    /// All events up to this number were given out. Numbers grow in the order of storing and of announcements.
    announced: Option<u64>,
    /// Numbers behind that which were read from the store and given out.
    ahead: BTreeSet<u64>,
    /// The largest number of this reading that is so old that none below it can still be announced.
    settled: Option<u64>,
    ready: VecDeque<FilteredEvent>,
}

impl Tail {
    pub(crate) fn new(
        logs: Logs,
        announcements: broadcast::Receiver<Arc<Announcement>>,
        group: GroupName,
        from: Timestamp,
    ) -> Tail {
        Tail {
            reading_since: logs.now(),
            logs,
            announcements,
            group,
            from,
            reading: Some(EventPosition::before(from)),
            announced: None,
            ahead: BTreeSet::new(),
            settled: None,
            ready: VecDeque::new(),
        }
    }

    /// The next event; waits until there is one.
    pub async fn next(&mut self) -> Result<FilteredEvent, Fault> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            match self.reading {
                Some(from) => self.read(from).await?,
                None => self.listen().await?,
            }
        }
    }

    /// Reads a page of what is stored.
    async fn read(&mut self, from: EventPosition) -> Result<(), Fault> {
        let query = FilterQuery { from: Some(from), ..FilterQuery::default() };
        let page = match self.logs.filter(&self.group, query).await {
            Ok(page) => page,
            Err(fault) if fault == fault::no_group() => {
                self.reading = None;
                return Ok(());
            }
            Err(fault) => return Err(fault),
        };
        self.reading = page.next;
        for event in page.events {
            let number = event.position.number;
            if Some(number) <= self.announced || self.ahead.contains(&number) {
                continue;
            }
            if event.ingested_at + COMMIT_TIME_MAX >= self.reading_since {
                self.ahead.insert(number);
            } else {
                self.settled = self.settled.max(Some(number));
            }
            self.ready.push_back(event);
        }
        if self.reading.is_none() {
            // Not before the end: a page is in the order of time, not of numbers.
            self.announced = self.announced.max(self.settled.take());
        }
        Ok(())
    }

    async fn listen(&mut self) -> Result<(), Fault> {
        match self.announcements.recv().await {
            Ok(news) if news.group == self.group => self.take(&news),
            Ok(_) => Ok(()),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                self.reading_since = self.logs.now();
                self.reading = Some(EventPosition::before((self.reading_since - CATCH_UP).max(self.from)));
                Ok(())
            }
            Err(broadcast::error::RecvError::Closed) => {
                Err(Fault::with_status(503, "ServiceUnavailableException", "the server is stopping"))
            }
        }
    }

    fn take(&mut self, news: &Announcement) -> Result<(), Fault> {
        for key in &news.chunks {
            // Deleted since: nothing to show.
            let Some(value) = self.logs.store().get(key).map_err(|e| fault::of_store(&e))? else {
                continue;
            };
            for event in read::open(key, &value).map_err(|e| fault::of_store(&e))? {
                let number = event.position.number;
                let given = Some(number) <= self.announced || self.ahead.remove(&number);
                self.announced = self.announced.max(Some(number));
                if !given && event.position.at >= self.from {
                    self.ready.push_back(FilteredEvent {
                        stream: news.stream.clone(),
                        position: event.position,
                        ingested_at: event.ingested_at,
                        message: event.message,
                    });
                }
            }
        }
        if let Some(announced) = self.announced {
            self.ahead = self.ahead.split_off(&announced);
        }
        Ok(())
    }
}
