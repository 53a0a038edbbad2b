//! The embedded engine: one SQLite file for each database, in WAL mode, synced at every commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Clock, Entropy};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags, Statement, ToSql, ffi};
use service::Fault;

use crate::dialect::Embedded;
use crate::fault::{database, database_state, internal, timeout};
use crate::field::{Hint, Parameter, Parameters, Value};
use crate::outcome::{Budget, Column, ColumnType, Outcome};

/// Stored in each file as `user_version`.
const FORMAT_VERSION: i32 = 1;
/// Statements that a connection keeps prepared.
const STATEMENTS_CACHED_MAX: usize = 64;

/// Where `now()` and `gen_random_uuid()` come from.
#[derive(Clone)]
pub(crate) struct Sources {
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<Entropy>,
}

/// One connection to one database. All calls block.
pub(crate) struct Session {
    connection: Connection,
}

/// Stops a statement that runs too long.
pub(crate) struct Stop {
    handle: InterruptHandle,
    stopped: Arc<AtomicBool>,
}

impl Stop {
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.handle.interrupt();
    }
}

/// A statement and how often it runs.
pub(crate) struct Work {
    pub statement: Embedded,
    pub parameters: Vec<Parameters>,
    /// Whether the rows changed are its own count; otherwise it has none.
    pub counts: bool,
}

impl Session {
    /// Opens the database in that file, making it if need be.
    pub fn open(path: &Path, sources: &Sources) -> Result<Session, Fault> {
        let is_new = !path.exists();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| fault(&e))?;
        let session = Session { connection };
        session.set_up(sources).map_err(|e| fault(&e))?;
        if is_new {
            sync_folder(path)?;
        }
        session.check_version()?;
        Ok(session)
    }

    fn set_up(&self, sources: &Sources) -> rusqlite::Result<()> {
        let c = &self.connection;
        c.pragma_update(None, "journal_mode", "WAL")?;
        c.pragma_update(None, "synchronous", "FULL")?;
        c.pragma_update(None, "foreign_keys", true)?;
        c.pragma_update(None, "case_sensitive_like", true)?;
        c.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
        let volatile = FunctionFlags::SQLITE_UTF8;
        let constant = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        let (clock, entropy) = (sources.clock.clone(), sources.entropy.clone());
        c.create_scalar_function("now", 0, volatile, move |_| Ok(shown_time(clock.now())))?;
        c.create_scalar_function("gen_random_uuid", 0, volatile, move |_| Ok(entropy.uuid()))?;
        c.create_scalar_function("stepwell_int", 1, constant, |ctx| to_int(ctx.get_raw(0)))?;
        c.create_scalar_function("stepwell_bool", 1, constant, |ctx| to_bool(ctx.get_raw(0)))?;
        // `X MATCH Y` calls match(Y, X): what ILIKE is rewritten to.
        c.create_scalar_function("match", 2, constant, |ctx| {
            let (pattern, text) = (ctx.get::<Option<String>>(0)?, ctx.get::<Option<String>>(1)?);
            Ok(text.zip(pattern).map(|(t, p)| like(&t.to_lowercase(), &p.to_lowercase())))
        })
    }

    fn check_version(&self) -> Result<(), Fault> {
        let read = |name: &str| self.connection.pragma_query_value(None, name, |r| r.get::<_, i32>(0));
        match read("user_version").map_err(|e| fault(&e))? {
            FORMAT_VERSION => Ok(()),
            0 => self.connection.pragma_update(None, "user_version", FORMAT_VERSION).map_err(|e| fault(&e)),
            other => Err(internal(format!("database file of format {other}, this server knows {FORMAT_VERSION}"))),
        }
    }

    pub fn stopper(&self) -> Stop {
        Stop { handle: self.connection.get_interrupt_handle(), stopped: Arc::new(AtomicBool::new(false)) }
    }

    /// Begins a transaction; one that will write takes the only place for writers now.
    pub fn begin(&self, writes: bool) -> Result<(), Fault> {
        self.run(if writes { "BEGIN IMMEDIATE" } else { "BEGIN DEFERRED" })
    }

    pub fn commit(&self) -> Result<(), Fault> {
        self.run("COMMIT")
    }

    /// Rolls back; without effect if nothing was begun.
    pub fn rollback(&self) -> Result<(), Fault> {
        if self.connection.is_autocommit() { Ok(()) } else { self.run("ROLLBACK") }
    }

    fn run(&self, statement: &str) -> Result<(), Fault> {
        self.connection.execute_batch(statement).map_err(|e| fault(&e))
    }

    /// Runs a statement once for each set of parameters. Outside a transaction all runs are one of their own.
    pub fn work(&self, work: &Work, stop: &Stop) -> Result<Vec<Outcome>, Fault> {
        let own = self.connection.is_autocommit() && work.parameters.len() > 1;
        if own {
            self.begin(true)?;
        }
        let result = self.work_inside(work, stop);
        if own {
            match &result {
                Ok(_) => self.commit()?,
                Err(_) => self.rollback()?,
            }
        }
        result
    }

    fn work_inside(&self, work: &Work, stop: &Stop) -> Result<Vec<Outcome>, Fault> {
        let failed = |e: rusqlite::Error| if stop.stopped.load(Ordering::SeqCst) { timeout() } else { fault(&e) };
        let mut statement = self.connection.prepare_cached(&work.statement.sql).map_err(failed)?;
        let mut outcomes = Vec::with_capacity(work.parameters.len());
        for set in &work.parameters {
            if stop.stopped.load(Ordering::SeqCst) {
                return Err(timeout());
            }
            for (at, name) in work.statement.parameters.iter().enumerate() {
                let (_, parameter) = set
                    .iter()
                    .find(|(n, _)| n == name)
                    .ok_or_else(|| crate::fault::bad_request(format!("Cannot find parameter: {name}")))?;
                statement.raw_bind_parameter(at + 1, Bound(parameter)).map_err(failed)?;
            }
            outcomes.push(self.run_once(&mut statement, work.counts, &failed)?);
        }
        Ok(outcomes)
    }

    fn run_once(
        &self,
        statement: &mut Statement<'_>,
        counts: bool,
        failed: &impl Fn(rusqlite::Error) -> Fault,
    ) -> Result<Outcome, Fault> {
        if statement.column_count() == 0 {
            statement.raw_execute().map_err(failed)?;
            let updated = if counts { self.connection.changes() } else { 0 };
            return Ok(Outcome { updated, ..Outcome::default() });
        }
        let mut columns: Vec<Column> = statement
            .columns()
            .map(|c| Column::expression(c.name(), ColumnType::named(declared(c.decl_type().unwrap_or("")))))
            .collect();
        let mut rows = Vec::new();
        let mut budget = Budget::default();
        let mut found = statement.raw_query();
        while let Some(row) = found.next().map_err(failed)? {
            let mut values = Vec::with_capacity(columns.len());
            for (at, column) in columns.iter_mut().enumerate() {
                let value = row.get_ref(at).map_err(failed)?;
                if column.kind.name.is_empty() && value != ValueRef::Null {
                    column.kind = ColumnType::named(kind_of(value));
                }
                values.push(read(value, &column.kind.name));
            }
            budget.take(&values)?;
            rows.push(values);
        }
        for column in columns.iter_mut().filter(|c| c.kind.name.is_empty()) {
            column.kind = ColumnType::named("text");
        }
        Ok(Outcome { columns, rows, updated: 0 })
    }
}

/// A new file is there for good only when its folder says so.
fn sync_folder(path: &Path) -> Result<(), Fault> {
    let folder: PathBuf = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let synced = std::fs::File::open(&folder).and_then(|f| f.sync_all());
    synced.map_err(|e| internal(format!("sync {}: {e}", folder.display())))
}

/// A time as PostgreSQL shows it in UTC.
fn shown_time(now: base::Timestamp) -> String {
    let text = now.to_rfc3339();
    format!("{}+00", text.trim_end_matches('Z').replace('T', " "))
}

struct Bound<'a>(&'a Parameter);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let borrowed = |value| Ok(ToSqlOutput::Borrowed(value));
        match self.0 {
            Parameter::Null => borrowed(ValueRef::Null),
            Parameter::Boolean(value) => borrowed(ValueRef::Integer(i64::from(*value))),
            Parameter::Long(value) => borrowed(ValueRef::Integer(*value)),
            Parameter::Double(value) => borrowed(ValueRef::Real(*value)),
            Parameter::Text(text, Some(Hint::Decimal)) => match (text.parse(), text.parse()) {
                (Ok(long), _) => borrowed(ValueRef::Integer(long)),
                (Err(_), Ok(double)) => borrowed(ValueRef::Real(double)),
                _ => borrowed(ValueRef::Text(text.as_bytes())),
            },
            Parameter::Text(text, _) => borrowed(ValueRef::Text(text.as_bytes())),
            Parameter::Blob(bytes) => borrowed(ValueRef::Blob(bytes)),
        }
    }
}

/// The PostgreSQL type that a column was declared with; empty if it is none's.
fn declared(declared: &str) -> &'static str {
    let upper = declared.to_ascii_uppercase();
    let base = upper.split(['(', ' ']).next().unwrap_or_default();
    match base {
        "BOOLEAN" | "BOOL" => "bool",
        "SMALLINT" | "INT2" => "int2",
        "INT" | "INT4" => "int4",
        "INTEGER" => "int4",
        "BIGINT" | "INT8" => "int8",
        "REAL" | "FLOAT4" => "float4",
        "DOUBLE" | "FLOAT8" | "FLOAT" => "float8",
        "NUMERIC" | "DECIMAL" => "numeric",
        "TEXT" => "text",
        "VARCHAR" => "varchar",
        "CHAR" | "CHARACTER" => "bpchar",
        "BYTEA_BLOB" | "BLOB" => "bytea",
        "DATE_TEXT" => "date",
        "TIME_TEXT" => "time",
        "TIMETZ_TEXT" => "timetz",
        "TIMESTAMP_TEXT" => "timestamp",
        "TIMESTAMPTZ_TEXT" => "timestamptz",
        "UUID_TEXT" => "uuid",
        "JSON_TEXT" => "json",
        "JSONB_TEXT" => "jsonb",
        "INTERVAL_TEXT" => "interval",
        "ARRAY_TEXT" => "_text",
        _ => "",
    }
}

/// The type of a value that is no column's.
fn kind_of(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Integer(_) => "int8",
        ValueRef::Real(_) => "float8",
        ValueRef::Blob(_) => "bytea",
        ValueRef::Null | ValueRef::Text(_) => "text",
    }
}

fn read(value: ValueRef<'_>, kind: &str) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) if kind == "bool" => Value::Boolean(n != 0),
        ValueRef::Integer(n) if kind == "numeric" => Value::Text(n.to_string()),
        ValueRef::Integer(n) if kind == "float8" || kind == "float4" => Value::Double(n as f64),
        ValueRef::Integer(n) => Value::Long(n),
        ValueRef::Real(n) if kind == "numeric" => Value::Text(n.to_string()),
        ValueRef::Real(n) => Value::Double(n),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            // The Data API shows moments in UTC, without a zone.
            let shown = if kind == "timestamptz" { text.strip_suffix("+00").unwrap_or(&text) } else { &text };
            Value::Text(shown.to_owned())
        }
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

fn refuse<T>(message: String) -> rusqlite::Result<T> {
    Err(rusqlite::Error::UserFunctionError(message.into()))
}

/// `x::int`: rounded, and refused where it is no number.
fn to_int(value: ValueRef<'_>) -> rusqlite::Result<Option<i64>> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(n) => Ok(Some(n)),
        ValueRef::Real(n) if n.abs() < 9.2e18 => Ok(Some(n.round_ties_even() as i64)),
        ValueRef::Text(bytes) => match String::from_utf8_lossy(bytes).trim().parse() {
            Ok(n) => Ok(Some(n)),
            Err(_) => refuse(format!("invalid input syntax for type integer: \"{}\"", String::from_utf8_lossy(bytes))),
        },
        _ => refuse("integer out of range".to_owned()),
    }
}

/// `x::bool`.
fn to_bool(value: ValueRef<'_>) -> rusqlite::Result<Option<bool>> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(n) => Ok(Some(n != 0)),
        ValueRef::Text(bytes) => {
            let text = String::from_utf8_lossy(bytes).trim().to_lowercase();
            match text.as_str() {
                "t" | "true" | "y" | "yes" | "on" | "1" => Ok(Some(true)),
                "f" | "false" | "n" | "no" | "off" | "0" => Ok(Some(false)),
                _ => refuse(format!("invalid input syntax for type boolean: \"{text}\"")),
            }
        }
        _ => refuse("cannot cast to boolean".to_owned()),
    }
}

/// SQL's LIKE: `%` any text, `_` any character, a backslash before what stands for itself.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p, mut back) = (0, 0, None);
    while t < text.len() {
        let (one, width) = match pattern.get(p) {
            Some('%') => {
                back = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some('_') => (true, 1),
            Some('\\') if p + 1 < pattern.len() => (pattern[p + 1] == text[t], 2),
            Some(c) => (*c == text[t], 1),
            None => (false, 0),
        };
        match (one, back) {
            (true, _) => (t, p) = (t + 1, p + width),
            (false, Some((after, from))) => {
                back = Some((after, from + 1));
                (t, p) = (from + 1, after);
            }
            (false, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

/// An error of the engine in PostgreSQL's words.
pub(crate) fn fault(error: &rusqlite::Error) -> Fault {
    let rusqlite::Error::SqliteFailure(code, message) = error else {
        return match error {
            rusqlite::Error::SqlInputError { msg, .. } => input_fault(msg),
            other => database_state(other, "XX000"),
        };
    };
    let message = message.as_deref().unwrap_or("the database failed");
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            let columns = message.rsplit(": ").next().unwrap_or(message);
            let text = format!("duplicate key value violates unique constraint on {columns}");
            return database_state(text, "23505");
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => {
            let column = message.rsplit(": ").next().unwrap_or(message);
            let (table, column) = column.split_once('.').unwrap_or(("", column));
            let text =
                format!("null value in column \"{column}\" of relation \"{table}\" violates not-null constraint");
            return database_state(text, "23502");
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return database_state("a foreign key constraint is violated", "23503"),
        ffi::SQLITE_CONSTRAINT_CHECK => {
            let name = message.rsplit(": ").next().unwrap_or(message);
            return database_state(format_args!("new row violates check constraint \"{name}\""), "23514");
        }
        ffi::SQLITE_BUSY_SNAPSHOT => {
            return database_state("could not serialize access due to concurrent update", "40001");
        }
        _ => {}
    }
    match code.code {
        ErrorCode::OperationInterrupted => timeout(),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => database_state("could not obtain lock", "55P03"),
        ErrorCode::DiskFull => database_state("could not extend the database: no space left on device", "53100"),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => internal("the database file is damaged"),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly => {
            internal(format!("database file: {message}"))
        }
        _ => input_fault(message),
    }
}

/// An error in what the statement says.
fn input_fault(message: &str) -> Fault {
    let name = message.rsplit(": ").next().unwrap_or(message);
    if message.starts_with("no such table") {
        return database_state(format_args!("relation \"{name}\" does not exist"), "42P01");
    }
    if message.starts_with("no such column") {
        return database_state(format_args!("column \"{name}\" does not exist"), "42703");
    }
    if message.starts_with("no such function") {
        return database_state(format_args!("function {name} does not exist in the embedded database"), "42883");
    }
    if message.contains("already exists") {
        return database_state(message, "42P07");
    }
    if message.starts_with("invalid input syntax") {
        return database_state(message, "22P02");
    }
    if message.contains("syntax error") || message.starts_with("unrecognized token") {
        return database(format!(
            "ERROR: {message}; SQLState: 42601; Hint: the embedded database knows a part of PostgreSQL's dialect, a \
             PostgreSQL URL can be configured instead"
        ));
    }
    database_state(message, "XX000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_as_sql_has_it() {
        for (text, pattern, fits) in [
            ("", "", true),
            ("", "%", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "a_c", true),
            ("abc", "a_", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("aXbXc", "%X%X%", true),
            ("aaa", "%aab", false),
            ("é", "_", true),
        ] {
            assert_eq!(like(text, pattern), fits, "{text} {pattern}");
        }
    }
}
