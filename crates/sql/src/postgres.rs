//! The same over PostgreSQL.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt as _;
use service::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{CancelToken, Client, Config, NoTls};

use crate::engine::Deadline;
use crate::fault::{bad_request, database, internal, timeout};
use crate::field::{Hint, Parameter, Parameters};
use crate::outcome::{Budget, Column, Outcome};
use crate::postgres_types::{Raw, column_type, read};

/// Connections that stay open for the next statement, for each database.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// How long a cancelled statement may take to end before its connection is given up.
const CANCEL_WAIT: Duration = Duration::from_secs(5);

/// A PostgreSQL server that stands behind one or all clusters.
pub(crate) struct Server {
    config: Config,
    connections: Arc<Semaphore>,
    idle: Mutex<BTreeMap<Login, Vec<Connection>>>,
}

/// Who connects to which database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Login {
    pub database: String,
    pub username: String,
    pub password: String,
}

struct Connection {
    client: Client,
    cancel: CancelToken,
    _permit: OwnedSemaphorePermit,
}

/// A statement for PostgreSQL and how often it runs.
pub(crate) struct Work {
    pub sql: String,
    pub names: Vec<String>,
    pub parameters: Vec<Parameters>,
    pub metadata: bool,
}

/// A transaction that was begun.
pub(crate) struct Transaction {
    server: Arc<Server>,
    login: Login,
    connection: Option<Connection>,
}

impl Server {
    /// Reads the URL; connects when the first statement comes.
    pub fn new(url: &str, connections: usize) -> Result<Server, String> {
        let mut config: Config = url.parse().map_err(|e: tokio_postgres::Error| e.to_string())?;
        config.application_name("stepwell");
        Ok(Server { config, connections: Arc::new(Semaphore::new(connections)), idle: Mutex::default() })
    }

    /// Host and port, as a cluster's endpoint shows them.
    pub fn address(&self) -> (String, u16) {
        let host = match self.config.get_hosts().first() {
            Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
            _ => "localhost".to_owned(),
        };
        (host, self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// The database that the URL names.
    pub fn default_database(&self) -> Option<&str> {
        self.config.get_dbname()
    }

    /// Runs a statement in a transaction of its own.
    pub async fn execute(
        self: &Arc<Self>,
        login: Login,
        work: Work,
        deadline: Deadline,
    ) -> Result<Vec<Outcome>, Fault> {
        let connection = self.connect(&login, deadline).await?;
        let cancel = connection.cancel.clone();
        let running = async move {
            let result = connection.work(&work).await;
            (connection, result)
        };
        let (connection, result) = within(running, cancel, deadline).await?;
        self.give_back(login, connection);
        result
    }

    pub async fn begin(self: &Arc<Self>, login: Login, deadline: Deadline) -> Result<Transaction, Fault> {
        let connection = self.connect(&login, deadline).await?;
        connection.client.batch_execute("BEGIN").await.map_err(|e| fault(&e))?;
        Ok(Transaction { server: self.clone(), login, connection: Some(connection) })
    }

    async fn connect(&self, login: &Login, deadline: Deadline) -> Result<Connection, Fault> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(login).and_then(Vec::pop);
            match idle {
                Some(connection) if connection.client.is_closed() => {}
                Some(connection) => return Ok(connection),
                None => break,
            }
        }
        let permit = tokio::time::timeout_at(deadline.at, self.connections.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| timeout())?.map_err(|_| internal("the server is stopping"))?;
        let mut config = self.config.clone();
        config.dbname(&login.database);
        if config.get_user().is_none() {
            config.user(&login.username).password(&login.password);
        }
        let connecting = tokio::time::timeout_at(deadline.at, config.connect(NoTls)).await;
        let (client, wire) = connecting.map_err(|_| timeout())?.map_err(|e| fault(&e))?;
        // Ends with the client; what it meets, the client's calls meet, too.
        tokio::spawn(wire);
        let cancel = client.cancel_token();
        Ok(Connection { client, cancel, _permit: permit })
    }

    fn give_back(&self, login: Login, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let of_login = idle.entry(login).or_default();
        if of_login.len() < IDLE_CONNECTIONS_MAX && !connection.client.is_closed() {
            of_login.push(connection);
        }
    }
}

type Ran = (Connection, Result<Vec<Outcome>, Fault>);

/// Waits for a statement until the deadline, then asks the server to cancel it and waits for that.
async fn within(
    running: impl Future<Output = Ran> + Send + 'static,
    cancel: CancelToken,
    deadline: Deadline,
) -> Result<Ran, Fault> {
    let failed = |e: tokio::task::JoinError| internal(format!("statement: {e}"));
    // A job of its own: a caller that goes away leaves no half-read connection behind.
    let mut job = tokio::spawn(running);
    match tokio::time::timeout_at(deadline.at, &mut job).await {
        Ok(done) => done.map_err(failed),
        Err(_) if deadline.run_on => Err(timeout()),
        Err(_) => {
            let cancelled = async {
                // If the server cannot be told, the statement may end by itself.
                let _ = cancel.cancel_query(NoTls).await;
                (&mut job).await
            };
            match tokio::time::timeout(CANCEL_WAIT, cancelled).await {
                Ok(done) => Ok((done.map_err(failed)?.0, Err(timeout()))),
                Err(_) => {
                    job.abort();
                    Err(timeout())
                }
            }
        }
    }
}

impl Transaction {
    pub async fn execute(&mut self, work: Work, deadline: Deadline) -> Result<Vec<Outcome>, Fault> {
        let connection = self.connection.take().ok_or_else(lost)?;
        let cancel = connection.cancel.clone();
        let running = async move {
            let result = connection.work_inside(&work).await;
            (connection, result)
        };
        let (connection, result) = within(running, cancel, Deadline { run_on: false, ..deadline }).await?;
        self.connection = Some(connection);
        result
    }

    pub async fn end(mut self, commit: bool) -> Result<(), Fault> {
        let connection = self.connection.take().ok_or_else(lost)?;
        let statement = if commit { "COMMIT" } else { "ROLLBACK" };
        connection.client.batch_execute(statement).await.map_err(|e| fault(&e))?;
        self.server.give_back(self.login.clone(), connection);
        Ok(())
    }
}

fn lost() -> Fault {
    database("FATAL: the connection of the transaction is lost; SQLState: 08006")
}

impl Connection {
    async fn work(&self, work: &Work) -> Result<Vec<Outcome>, Fault> {
        if work.parameters.len() <= 1 {
            return self.work_inside(work).await;
        }
        self.client.batch_execute("BEGIN").await.map_err(|e| fault(&e))?;
        let result = self.work_inside(work).await;
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.client.batch_execute(end).await.map_err(|e| fault(&e))?;
        result
    }

    async fn work_inside(&self, work: &Work) -> Result<Vec<Outcome>, Fault> {
        let mut outcomes = Vec::with_capacity(work.parameters.len());
        let mut prepared: Option<(Vec<Type>, tokio_postgres::Statement)> = None;
        for set in &work.parameters {
            let values = work
                .names
                .iter()
                .map(|name| {
                    let found = set.iter().find(|(n, _)| n == name).map(|(_, p)| p);
                    found.ok_or_else(|| bad_request(format!("Cannot find parameter: {name}")))
                })
                .collect::<Result<Vec<_>, _>>()?;
            let types: Vec<Type> = values.iter().map(|p| type_of(p)).collect();
            let statement = match prepared.take().filter(|(of, _)| *of == types) {
                Some((_, statement)) => statement,
                None => self.client.prepare_typed(&work.sql, &types).await.map_err(|e| fault(&e))?,
            };
            outcomes.push(self.run_once(&statement, &values, work.metadata).await?);
            prepared = Some((types, statement));
        }
        Ok(outcomes)
    }

    async fn run_once(
        &self,
        statement: &tokio_postgres::Statement,
        values: &[&Parameter],
        metadata: bool,
    ) -> Result<Outcome, Fault> {
        let bound: Vec<Bound<'_>> = values.iter().map(|p| Bound(p)).collect();
        let parameters = bound.iter().map(|b| b as &(dyn ToSql + Sync));
        if statement.columns().is_empty() {
            let parameters: Vec<_> = parameters.collect();
            let updated = self.client.execute(statement, &parameters).await.map_err(|e| fault(&e))?;
            return Ok(Outcome { updated, ..Outcome::default() });
        }
        let mut columns: Vec<Column> =
            statement.columns().iter().map(|c| Column::expression(c.name(), column_type(c))).collect();
        let found = self.client.query_raw(statement, parameters).await.map_err(|e| fault(&e))?;
        let mut found = pin!(found);
        let (mut rows, mut budget) = (Vec::new(), Budget::default());
        while let Some(row) = found.next().await {
            let row = row.map_err(|e| fault(&e))?;
            let values = (0..row.len())
                .map(|at| {
                    let raw: Option<Raw<'_>> = row.try_get(at).map_err(|e| fault(&e))?;
                    read(raw, row.columns()[at].type_())
                })
                .collect::<Result<Vec<_>, _>>()?;
            budget.take(&values)?;
            rows.push(values);
        }
        if metadata {
            self.describe(statement, &mut columns).await?;
        }
        Ok(Outcome { columns, rows, updated: 0 })
    }

    /// Adds what the catalogue says about the columns that are tables'.
    async fn describe(&self, statement: &tokio_postgres::Statement, columns: &mut [Column]) -> Result<(), Fault> {
        let places: Vec<(u32, i16)> =
            statement.columns().iter().map(|c| (c.table_oid().unwrap_or(0), c.column_id().unwrap_or(0))).collect();
        let tables: Vec<u32> = places.iter().map(|(t, _)| *t).filter(|t| *t != 0).collect();
        if tables.is_empty() {
            return Ok(());
        }
        let query = "SELECT a.attrelid, a.attnum, a.attname::text, c.relname::text, n.nspname::text, a.attnotnull, \
                     a.attidentity <> '' OR COALESCE(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false) \
                     FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = \
                     c.relnamespace LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
                     WHERE a.attrelid = ANY($1)";
        for row in self.client.query(query, &[&tables]).await.map_err(|e| fault(&e))? {
            let (table, number): (u32, i16) = (row.get(0), row.get(1));
            for (column, _) in columns.iter_mut().zip(&places).filter(|(_, p)| **p == (table, number)) {
                column.name = row.get(2);
                column.table = row.get(3);
                column.schema = row.get(4);
                column.nullable = Some(!row.get::<_, bool>(5));
                column.auto_increment = row.get(6);
            }
        }
        Ok(())
    }
}

/// The type that a parameter is sent as, as the Data API does it.
fn type_of(parameter: &Parameter) -> Type {
    match parameter {
        Parameter::Null => Type::UNKNOWN,
        Parameter::Boolean(_) => Type::BOOL,
        Parameter::Long(_) => Type::INT8,
        Parameter::Double(_) => Type::FLOAT8,
        Parameter::Text(_, None) => Type::VARCHAR,
        Parameter::Text(_, Some(hint)) => match hint {
            Hint::Date => Type::DATE,
            Hint::Time => Type::TIME,
            Hint::Timestamp => Type::TIMESTAMP,
            Hint::Decimal => Type::NUMERIC,
            Hint::Json => Type::JSON,
            Hint::Uuid => Type::UUID,
        },
        Parameter::Blob(_) => Type::BYTEA,
    }
}

/// A parameter as text, which PostgreSQL reads for every type.
#[derive(Debug)]
struct Bound<'a>(&'a Parameter);

impl ToSql for Bound<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Parameter::Null => return Ok(IsNull::Yes),
            Parameter::Boolean(value) => out.extend_from_slice(if *value { b"t" } else { b"f" }),
            Parameter::Long(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Parameter::Double(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Parameter::Text(text, _) => out.extend_from_slice(text.as_bytes()),
            Parameter::Blob(bytes) => {
                out.extend_from_slice(b"\\x");
                bytes.iter().for_each(|b| out.extend_from_slice(format!("{b:02x}").as_bytes()));
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.to_sql(kind, out)
    }
}

/// An error as the Data API words it.
fn fault(error: &tokio_postgres::Error) -> Fault {
    let Some(db) = error.as_db_error() else {
        let cause = error.source().map_or_else(|| error.to_string(), |s| format!("{error}: {s}"));
        if error.is_closed() || error.source().is_some_and(|s| s.is::<std::io::Error>()) {
            return Fault::with_status(504, "DatabaseUnavailableException", cause);
        }
        return database(format!("ERROR: {cause}"));
    };
    let mut message = format!("{}: {}", db.severity(), db.message());
    if let Some(detail) = db.detail() {
        message.push_str(&format!("; Detail: {detail}"));
    }
    if let Some(hint) = db.hint() {
        message.push_str(&format!("; Hint: {hint}"));
    }
    if let Some(tokio_postgres::error::ErrorPosition::Original(position)) = db.position() {
        message.push_str(&format!("; Position: {position}"));
    }
    database(format!("{message}; SQLState: {}", db.code().code()))
}
