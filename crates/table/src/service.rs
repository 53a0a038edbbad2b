use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use base::{Clock, Entropy};
use cell::{CellOptions, Cells};
use service::Service;
use store::{Error, Store};

use crate::catalog::Catalog;
use crate::machine::{MachineOptions, TableMachine};
use crate::operations::{self, State};

/// What the cells of tables are called; the name is part of the stored state.
const CELL_NAME: &str = "dynamodb";
/// How many cells tables are spread over; the number is part of the stored state.
const CELLS: usize = 4;

/// How the service is bounded.
#[derive(Clone, Debug)]
pub struct TableOptions {
    pub cell: CellOptions,
    /// Tables that one account may have in one region.
    pub tables_max: usize,
    /// How often expired items are looked for.
    pub ttl_sweep_interval_ms: u64,
    /// Items or keys that background work (filling indexes, removing dropped tables) handles in one turn.
    pub background_items_per_turn: usize,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            cell: CellOptions::default(),
            tables_max: 2500,
            ttl_sweep_interval_ms: 10_000,
            background_items_per_turn: 512,
        }
    }
}

/// DynamoDB, running.
#[derive(Clone)]
pub struct Tables {
    state: Arc<State>,
}

impl Tables {
    /// Starts the cells of all tables on the current runtime; returns when their state is loaded.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<Entropy>,
        options: TableOptions,
    ) -> Result<Tables, Error> {
        let catalog = Arc::new(Catalog::default());
        let machine_options = MachineOptions {
            ttl_sweep_interval: Duration::from_millis(options.ttl_sweep_interval_ms),
            background_items_per_turn: options.background_items_per_turn.max(1),
        };
        let make = |index| TableMachine::new(index, CELLS, catalog.clone(), machine_options.clone());
        let cells = Cells::start(CELL_NAME, CELLS, make, &store, &clock, &options.cell).await?;
        let state = State {
            store,
            clock,
            entropy,
            catalog,
            cells,
            cell_count: CELLS,
            tables_max: options.tables_max,
            transactions: AtomicU64::new(1),
        };
        Ok(Tables { state: Arc::new(state) })
    }

    /// The operations, to be added to a registry under `dynamodb`.
    pub fn service(&self) -> Service {
        operations::service(&self.state)
    }
}

/// The name of the cell with that index.
pub(crate) fn cell_name(index: usize) -> String {
    format!("{CELL_NAME}/{index}")
}
