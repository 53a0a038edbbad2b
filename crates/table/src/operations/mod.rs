//! The operations of the API: what each takes and answers.

mod batch;
mod definition;
mod describe;
mod items;
mod query;
mod request;
mod settings;
mod tables;
mod transact;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Clock, Entropy};
use cell::Cells;
use service::{Call, Fault, Service};
use store::Store;

use crate::catalog::Catalog;
use crate::fault;
use crate::machine::{Input, TransactionId};
use crate::schema::{Table, TableName};

/// What every operation works with.
pub(crate) struct State {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<Entropy>,
    pub catalog: Arc<Catalog>,
    pub cells: Cells<Input>,
    pub cell_count: usize,
    pub tables_max: usize,
    pub transactions: AtomicU64,
}

impl State {
    /// The table of an item operation.
    fn table(&self, name: &TableName) -> Result<Arc<Table>, Fault> {
        self.catalog.get(name).ok_or_else(fault::no_table)
    }

    /// The index of the cell that owns a table.
    fn cell_of(&self, name: &TableName) -> usize {
        cell::shard_of(&name.cell_key(), self.cell_count)
    }

    fn next_transaction(&self) -> TransactionId {
        self.transactions.fetch_add(1, Ordering::Relaxed)
    }
}

/// Registers all operations.
pub(crate) fn service(state: &Arc<State>) -> Service {
    let mut service = Service::new("dynamodb");
    macro_rules! operations {
        ($($name:literal => $function:path),* $(,)?) => {
            $({
                let state = state.clone();
                service.operation($name, move |call: Call, input| {
                    let state = state.clone();
                    async move { $function(&state, call, input).await }
                });
            })*
        };
    }
    operations! {
        "BatchGetItem" => batch::batch_get_item,
        "BatchWriteItem" => batch::batch_write_item,
        "CreateTable" => tables::create_table,
        "DeleteItem" => items::delete_item,
        "DeleteTable" => tables::delete_table,
        "DescribeContinuousBackups" => settings::describe_continuous_backups,
        "DescribeLimits" => settings::describe_limits,
        "DescribeTable" => tables::describe_table,
        "DescribeTimeToLive" => settings::describe_time_to_live,
        "GetItem" => items::get_item,
        "ListTables" => tables::list_tables,
        "ListTagsOfResource" => settings::list_tags_of_resource,
        "PutItem" => items::put_item,
        "Query" => query::query,
        "Scan" => query::scan,
        "TagResource" => settings::tag_resource,
        "TransactGetItems" => transact::transact_get_items,
        "TransactWriteItems" => transact::transact_write_items,
        "UntagResource" => settings::untag_resource,
        "UpdateItem" => items::update_item,
        "UpdateTable" => tables::update_table,
        "UpdateTimeToLive" => settings::update_time_to_live,
    }
    service
}
