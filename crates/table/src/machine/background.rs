use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use cell::Turn;
use store::{Error, KeyReader, Range, successor};
use tracing::debug;

use super::write::{ttl_item_key, ttl_value};
use super::{ReturnValues, TableMachine, Write, WriteAction};
use crate::capacity::ReturnCapacity;
use crate::counts::{Count, Counts};
use crate::schema::{Fill, Table};
use crate::stored::{decode_item, encode_item};
use crate::{Item, item_size_bytes, key};

/// Stands for a whole table where a purge names an index.
pub(super) const WHOLE_TABLE: u64 = u64::MAX;
/// Items that have expired longer ago are kept: AWS takes such a time for a mistake.
const EXPIRED_MAX: Duration = Duration::from_secs(5 * 366 * 24 * 3600);
/// Pause before a fill that met a lock is tried again.
const LOCKED_PAUSE: Duration = Duration::from_millis(50);

/// What is to be done besides calls, and when.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Data of dropped tables and indexes is still there.
    pub purging: bool,
    fill_at: Timestamp,
    sweep_at: Timestamp,
    forget_at: Timestamp,
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule { purging: false, fill_at: Timestamp::MIN, sweep_at: Timestamp::MIN, forget_at: Timestamp::MAX }
    }
}

impl Schedule {
    pub fn load(turn: &Turn<'_>) -> Result<Schedule, Error> {
        let any = |prefix: Vec<u8>| Ok::<_, Error>(!turn.scan(&Range::prefix(&prefix).limit(1))?.is_empty());
        let forget_at = if any(key::tokens_by_time(turn.cell()))? { Timestamp::MIN } else { Timestamp::MAX };
        Ok(Schedule { purging: any(key::purges(turn.cell()))?, forget_at, ..Schedule::default() })
    }

    /// A client token was kept until `at`.
    pub fn token_expires(&mut self, at: Timestamp) {
        self.forget_at = self.forget_at.min(at);
    }
}

impl TableMachine {
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        let mut next = self.schedule.forget_at;
        if self.schedule.purging {
            next = Timestamp::MIN;
        }
        if self.tables.values().any(|t| t.is_filling()) {
            next = next.min(self.schedule.fill_at);
        }
        if self.tables.values().any(|t| t.time_to_live.is_some()) {
            next = next.min(self.schedule.sweep_at);
        }
        (next < Timestamp::MAX).then_some(next)
    }

    /// Does a bounded piece of everything that is due.
    pub(super) fn work_in_background(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        if self.schedule.purging {
            self.schedule.purging = self.purge(turn)?;
        }
        if self.schedule.fill_at <= turn.now() {
            self.fill(turn)?;
        }
        if self.schedule.sweep_at <= turn.now() {
            let more = self.sweep(turn)?;
            let pause = if more { Duration::ZERO } else { self.options.ttl_sweep_interval };
            self.schedule.sweep_at = turn.now() + pause;
        }
        if self.schedule.forget_at <= turn.now() {
            self.schedule.forget_at = self.forget_tokens(turn)?.unwrap_or(Timestamp::MAX);
        }
        Ok(())
    }

    /// Removes a piece of what dropped tables and indexes have left; whether there may be more.
    fn purge(&mut self, turn: &mut Turn<'_>) -> Result<bool, Error> {
        let prefix = key::purges(turn.cell());
        let Some((purge, _)) = turn.scan(&Range::prefix(&prefix).limit(1))?.into_iter().next() else {
            return Ok(false);
        };
        let mut reader = KeyReader::new(&purge[prefix.len()..]);
        let (table, index) = (reader.u64()?, reader.u64()?);
        let spaces = if index == WHOLE_TABLE {
            vec![key::items(table), key::all_entries(table), key::collections(table), key::all_counts(table)]
        } else {
            vec![key::entries(table, index)]
        };
        let mut left = self.options.background_items_per_turn;
        for space in spaces {
            let entries = turn.scan(&Range::prefix(&space).limit(left))?;
            left -= entries.len();
            entries.into_iter().for_each(|(key, _)| turn.delete(key));
            if left == 0 {
                return Ok(true);
            }
        }
        turn.delete(purge);
        Ok(true)
    }

    /// Fills new indexes with a piece of the items that were there before them.
    fn fill(&mut self, turn: &mut Turn<'_>) -> Result<(), Error> {
        let filling: Vec<Arc<Table>> = self.tables.values().filter(|t| t.is_filling()).cloned().collect();
        for table in filling {
            // A plan that another cell is about to write may have been made before this piece.
            if self.is_locked(table.id) {
                self.schedule.fill_at = turn.now() + LOCKED_PAUSE;
                continue;
            }
            let mut changed = Table::clone(&table);
            for at in 0..changed.indexes.len() {
                let index = changed.indexes[at].clone();
                if let Fill::Behind(last) = &index.fill {
                    let mut count = Count::default();
                    let fill = self.fill_piece(
                        &table,
                        last,
                        turn,
                        |item, _| {
                            let part = index.project(&table, item);
                            let size = item_size_bytes(&part);
                            let entry = index.entry_key(&table, item)?;
                            Some((entry, encode_item(&part, size), size))
                        },
                        &mut count,
                    )?;
                    let counts = Counts { indexes: [(index.id, count)].into(), ..Counts::default() };
                    self.count(table.id, &counts, turn)?;
                    changed.indexes[at].fill = fill;
                }
            }
            if let Some(ttl) = &mut changed.time_to_live
                && let Fill::Behind(last) = &ttl.fill
            {
                let entry = |item: &Item, key: &[u8]| Some((ttl.entry_key(&table, item)?, ttl_value(key), 0));
                ttl.fill = self.fill_piece(&table, last, turn, entry, &mut Count::default())?;
            }
            self.put_table(Some(&table), changed, turn);
        }
        Ok(())
    }

    fn fill_piece(
        &self,
        table: &Table,
        last: &[u8],
        turn: &mut Turn<'_>,
        entry: impl Fn(&Item, &[u8]) -> Option<(Vec<u8>, Vec<u8>, usize)>,
        count: &mut Count,
    ) -> Result<Fill, Error> {
        let prefix = key::items(table.id);
        let mut range =
            Range::between(prefix.clone(), successor(&prefix)).limit(self.options.background_items_per_turn);
        if !last.is_empty() {
            range = range.after(last);
        }
        let items = turn.scan(&range)?;
        for (key, value) in &items {
            let Some((entry, value, size)) = entry(&decode_item(value)?, key) else {
                continue;
            };
            // Written meanwhile with its item: counted then.
            if turn.get(&entry)?.is_none() {
                *count += Count { items: 1, bytes: i64::try_from(size).unwrap_or(i64::MAX) };
                turn.put(entry, value);
            }
        }
        Ok(match items.last() {
            Some((key, _)) if items.len() == range.limit => Fill::Behind(key.to_vec()),
            _ => Fill::Done,
        })
    }

    /// Deletes items that have expired; whether there may be more.
    fn sweep(&mut self, turn: &mut Turn<'_>) -> Result<bool, Error> {
        let now = turn.now().as_seconds();
        let oldest = (turn.now() - EXPIRED_MAX).as_seconds();
        let tables: Vec<Arc<Table>> = self.tables.values().filter(|t| t.time_to_live.is_some()).cloned().collect();
        let mut more = false;
        for table in tables {
            let Some(ttl) = table.time_to_live.as_ref() else {
                continue;
            };
            let due = Range::between(
                key::ttl_until(table.id, ttl.id, oldest),
                key::ttl_until(table.id, ttl.id, now.saturating_add(1)),
            );
            let entries = turn.scan(&due.limit(self.options.background_items_per_turn))?;
            more |= entries.len() == self.options.background_items_per_turn;
            for (entry, value) in entries {
                self.expire(&table, &entry, ttl_item_key(&value)?, turn)?;
            }
        }
        Ok(more)
    }

    fn expire(&mut self, table: &Arc<Table>, entry: &[u8], item_key: &[u8], turn: &mut Turn<'_>) -> Result<(), Error> {
        if self.locks.contains_key(item_key) {
            return Ok(());
        }
        let item = turn.get(item_key)?.map(|bytes| decode_item(&bytes)).transpose()?;
        let own_entry = |item: &Item| table.time_to_live.as_ref().and_then(|t| t.entry_key(table, item));
        let Some(item) = item.filter(|item| own_entry(item).is_some_and(|own| own == entry)) else {
            // Nobody's entry: it must not be met again and again.
            turn.delete(entry.to_vec());
            return Ok(());
        };
        let write = Write {
            table: table.table_name(),
            table_id: table.id,
            key: item_key.to_vec(),
            action: WriteAction::Delete(item),
            condition: None,
            return_values: ReturnValues::None,
            return_on_failure: false,
            return_capacity: ReturnCapacity::None,
            return_metrics: false,
        };
        match self.plan(&write, turn)? {
            Ok(mut plan) => self.carry_out(&mut plan, turn)?,
            Err(fault) => debug!(table.name, %fault, "expired item not deleted"),
        }
        Ok(())
    }
}
