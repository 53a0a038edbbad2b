//! The operations of `rds-data`.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use service::{Call, Fault};

use crate::cluster::{self, Cluster};
use crate::dialect::{to_embedded, to_postgres};
use crate::embedded;
use crate::engine::Deadline;
use crate::fault::{bad_request, database, database_state};
use crate::field::{Parameters, SqlParameter};
use crate::lexer::{Token, Verb, tokens, verb};
use crate::outcome::{Outcome, ResultOptions};
use crate::postgres::{self, Login, Server};
use crate::service::State;
use crate::transactions::{Inside, Live};

/// Length of a statement.
const SQL_BYTES_MAX: usize = 65_536;
/// Parameters of one statement.
const PARAMETERS_MAX: usize = 32_766;
/// The database that every cluster has.
const DEFAULT_DATABASE: &str = "postgres";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecuteInput {
    #[serde(flatten)]
    target: TargetInput,
    sql: Option<String>,
    parameters: Option<Vec<SqlParameter>>,
    transaction_id: Option<String>,
    include_result_metadata: Option<bool>,
    continue_after_timeout: Option<bool>,
    result_set_options: Option<ResultSetOptions>,
    format_records_as: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchInput {
    #[serde(flatten)]
    target: TargetInput,
    sql: Option<String>,
    parameter_sets: Option<Vec<Vec<SqlParameter>>>,
    transaction_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionInput {
    #[serde(flatten)]
    target: TargetInput,
    transaction_id: Option<String>,
}

/// Whom a call is for, and with which secret.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetInput {
    resource_arn: Option<String>,
    secret_arn: Option<String>,
    database: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultSetOptions {
    decimal_return_type: Option<String>,
    long_return_type: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct AnyInput {}

/// A cluster that a call may use, and the database of it.
struct Target {
    cluster: Cluster,
    arn: String,
    database: String,
    username: String,
    password: String,
}

pub(crate) async fn execute_statement(state: &Arc<State>, call: Call, input: ExecuteInput) -> Result<Value, Fault> {
    let options = result_options(&input)?;
    let sql = checked_sql(input.sql)?;
    let set = check_parameters(input.parameters.unwrap_or_default())?;
    let target = state.target(call, input.target).await?;
    let run_on = input.continue_after_timeout.unwrap_or(false);
    let run = Run { sets: vec![set], metadata: options.metadata, run_on };
    let mut outcomes = state.run(&target, input.transaction_id.as_deref(), &sql, run).await?;
    outcomes.pop().unwrap_or_default().answer(options)
}

pub(crate) async fn batch_execute_statement(state: &Arc<State>, call: Call, input: BatchInput) -> Result<Value, Fault> {
    let sql = checked_sql(input.sql)?;
    let sets = input.parameter_sets.unwrap_or_default();
    let sets = sets.into_iter().map(check_parameters).collect::<Result<Vec<_>, _>>()?;
    let target = state.target(call, input.target).await?;
    let runs = sets.len();
    // Without sets the statement runs once.
    let sets = if sets.is_empty() { vec![Parameters::new()] } else { sets };
    let run = Run { sets, metadata: false, run_on: false };
    state.run(&target, input.transaction_id.as_deref(), &sql, run).await?;
    let results: Vec<Value> = (0..runs).map(|_| json!({"generatedFields": []})).collect();
    Ok(json!({"updateResults": results}))
}

pub(crate) async fn begin_transaction(state: &Arc<State>, call: Call, input: TransactionInput) -> Result<Value, Fault> {
    let target = state.target(call, input.target).await?;
    state.transactions.check_room()?;
    let deadline = state.deadline(false);
    let live = match state.server(&target.cluster) {
        Some(server) => Live::Postgres(Box::new(server.begin(target.login(), deadline).await?)),
        None => Live::Embedded(state.database(&target)?.begin(deadline).await?),
    };
    Ok(json!({"transactionId": state.transactions.add(&target.arn, live)}))
}

pub(crate) async fn commit_transaction(
    state: &Arc<State>,
    call: Call,
    input: TransactionInput,
) -> Result<Value, Fault> {
    state.end(call, input, true).await
}

pub(crate) async fn rollback_transaction(
    state: &Arc<State>,
    call: Call,
    input: TransactionInput,
) -> Result<Value, Fault> {
    state.end(call, input, false).await
}

pub(crate) async fn execute_sql(_: &Arc<State>, _: Call, _: AnyInput) -> Result<Value, Fault> {
    Err(bad_request("ExecuteSql is deprecated. Use the BatchExecuteStatement or ExecuteStatement operation instead."))
}

fn result_options(input: &ExecuteInput) -> Result<ResultOptions, Fault> {
    let as_json = match input.format_records_as.as_deref() {
        None | Some("NONE") => false,
        Some("JSON") => true,
        Some(other) => return Err(bad_request(format!("Invalid formatRecordsAs: {other}"))),
    };
    let set = input.result_set_options.as_ref();
    Ok(ResultOptions {
        metadata: input.include_result_metadata.unwrap_or(false),
        as_json,
        longs_as_texts: set.is_some_and(|s| s.long_return_type.as_deref() == Some("STRING")),
        decimals_as_numbers: set.is_some_and(|s| s.decimal_return_type.as_deref() == Some("DOUBLE_OR_LONG")),
    })
}

fn checked_sql(sql: Option<String>) -> Result<String, Fault> {
    let sql = sql.ok_or_else(|| bad_request("sql is missing"))?;
    if sql.len() > SQL_BYTES_MAX {
        return Err(bad_request(format!("sql has {} bytes, at most {SQL_BYTES_MAX} are allowed", sql.len())));
    }
    Ok(sql)
}

fn check_parameters(parameters: Vec<SqlParameter>) -> Result<Parameters, Fault> {
    if parameters.len() > PARAMETERS_MAX {
        return Err(bad_request("Too many parameters"));
    }
    parameters.into_iter().map(SqlParameter::check).collect()
}

/// How a statement runs, and with which sets of parameters.
struct Run {
    sets: Vec<Parameters>,
    metadata: bool,
    run_on: bool,
}

impl Target {
    fn login(&self) -> Login {
        Login { database: self.database.clone(), username: self.username.clone(), password: self.password.clone() }
    }
}

impl State {
    /// Checks cluster and secret of a call.
    async fn target(&self, call: Call, input: TargetInput) -> Result<Target, Fault> {
        let arn = input.resource_arn.ok_or_else(|| bad_request("resourceArn is missing"))?;
        let secret_arn = input.secret_arn.ok_or_else(|| bad_request("secretArn is missing"))?;
        let (scope, identifier) =
            cluster::of_arn(&arn).ok_or_else(|| bad_request(format!("Invalid resourceArn: {arn}")))?;
        let cluster = self.cluster(&scope, &identifier)?;
        let cluster = cluster.ok_or_else(|| bad_request(format!("DB cluster {arn} is not found")))?;
        if !cluster.http_endpoint {
            let message =
                format!("HttpEndpoint is not enabled for cluster {identifier}. Please refer to the user guide.");
            return Err(Fault::client("HttpEndpointNotEnabledException", message));
        }
        let (username, password) = self.secret(call, &secret_arn).await?;
        let default = match self.server(&cluster) {
            Some(server) => cluster.database_name.as_deref().or(server.default_database()),
            None => cluster.database_name.as_deref(),
        };
        let database = input.database.filter(|d| !d.is_empty());
        let database = database.unwrap_or_else(|| default.unwrap_or(DEFAULT_DATABASE).to_owned());
        Ok(Target { arn: cluster.arn().as_str().to_owned(), cluster, database, username, password })
    }

    /// The user and password in a secret.
    async fn secret(&self, mut call: Call, arn: &str) -> Result<(String, String), Fault> {
        // Reading it is no effect of its own.
        call.effect = None;
        let found = (self.secrets)(call, "GetSecretValue", json!({"SecretId": arn})).await;
        let found = found.map_err(|f| {
            let code = if f.is_sender() { "SecretsErrorException" } else { "ServiceUnavailableError" };
            Fault::with_status(
                if f.is_sender() { 400 } else { 503 },
                code,
                format!("Error fetching secret {arn} : {}", f.message),
            )
        })?;
        let invalid = || {
            let message = format!("The secret {arn} must be JSON with username and password");
            Fault::client("InvalidSecretException", message)
        };
        let text = found["SecretString"].as_str().ok_or_else(invalid)?;
        let secret: Value = serde_json::from_str(text).map_err(|_| invalid())?;
        match (secret["username"].as_str(), secret["password"].as_str()) {
            (Some(username), Some(password)) => Ok((username.to_owned(), password.to_owned())),
            _ => Err(invalid()),
        }
    }

    fn server(&self, cluster: &Cluster) -> Option<&Arc<Server>> {
        self.servers.get(&cluster.identifier).or(self.default_server.as_ref())
    }

    fn deadline(&self, run_on: bool) -> Deadline {
        Deadline::after(self.statement_timeout, run_on)
    }

    /// The embedded database that a call is for.
    fn database(&self, target: &Target) -> Result<Arc<crate::engine::Database>, Fault> {
        let known =
            target.database == DEFAULT_DATABASE || target.cluster.database_name.as_ref() == Some(&target.database);
        let found = self.engine.database(&target.cluster.resource_id, &target.database, known)?;
        found
            .ok_or_else(|| database(format!("FATAL: database \"{}\" does not exist; SQLState: 3D000", target.database)))
    }

    async fn run(
        self: &Arc<Self>,
        target: &Target,
        transaction: Option<&str>,
        sql: &str,
        run: Run,
    ) -> Result<Vec<Outcome>, Fault> {
        let deadline = self.deadline(run.run_on);
        let tokens = tokens(sql)?;
        let verb = verb(&tokens);
        if verb == Verb::Transaction {
            return Err(bad_request(
                "Transaction statements are not supported; use BeginTransaction, CommitTransaction and \
                 RollbackTransaction",
            ));
        }
        let server = self.server(&target.cluster);
        let Some(id) = transaction.filter(|t| !t.is_empty()) else {
            return match server {
                Some(server) => server.execute(target.login(), postgres_work(sql, run, &tokens), deadline).await,
                None => self.run_embedded(target, run, &tokens, verb, deadline).await,
            };
        };
        let mut inside = self.transactions.enter(id, &target.arn)?;
        if inside.aborted {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(database_state(message, "25P02"));
        }
        let statement = match &inside.live {
            Some(Live::Postgres(_)) => Statement::Postgres(postgres_work(sql, run, &tokens)),
            _ => Statement::Embedded(embedded_work(run, &tokens, verb)?, verb != Verb::Read),
        };
        let state = self.clone();
        let id = id.to_owned();
        // A job of its own: a caller that goes away leaves the transaction whole.
        let job = tokio::spawn(async move {
            let result = inside.execute(statement, deadline).await;
            inside.aborted = result.is_err();
            drop(inside);
            state.transactions.used(&id);
            result
        });
        job.await.map_err(|e| crate::fault::internal(format!("statement: {e}")))?
    }

    async fn run_embedded(
        &self,
        target: &Target,
        run: Run,
        tokens: &[Token<'_>],
        verb: Verb,
        deadline: Deadline,
    ) -> Result<Vec<Outcome>, Fault> {
        if let [create, database, name] = tokens
            && create.is_word("create")
            && database.is_word("database")
        {
            let name = name.text.trim_matches('"');
            if let Some(made) = self.engine.database(&target.cluster.resource_id, name, true)? {
                made.make(deadline).await?;
            }
            return Ok(vec![Outcome::default()]);
        }
        let work = embedded_work(run, tokens, verb)?;
        self.database(target)?.execute(work, verb != Verb::Read, deadline).await
    }

    async fn end(self: &Arc<Self>, call: Call, input: TransactionInput, commit: bool) -> Result<Value, Fault> {
        let id = input.transaction_id.ok_or_else(|| bad_request("transactionId is missing"))?;
        let target = self.target(call, input.target).await?;
        let mut inside = self.transactions.enter(&id, &target.arn)?;
        let commits = commit && !inside.aborted;
        let live = inside.live.take();
        self.transactions.remove(&id);
        let deadline = self.deadline(false);
        let job = tokio::spawn(async move {
            match live {
                Some(Live::Embedded(transaction)) => transaction.end(commits, deadline).await,
                Some(Live::Postgres(transaction)) => transaction.end(commits).await,
                None => Ok(()),
            }
        });
        job.await.map_err(|e| crate::fault::internal(format!("end of transaction: {e}")))??;
        let status = if commits { "Transaction Committed" } else { "Rollback Complete" };
        Ok(json!({"transactionStatus": status}))
    }
}

enum Statement {
    Embedded(embedded::Work, bool),
    Postgres(postgres::Work),
}

impl Inside {
    async fn execute(&mut self, statement: Statement, deadline: Deadline) -> Result<Vec<Outcome>, Fault> {
        match (&mut self.live, statement) {
            (Some(Live::Embedded(live)), Statement::Embedded(work, writes)) => {
                live.execute(work, writes, deadline).await
            }
            (Some(Live::Postgres(live)), Statement::Postgres(work)) => live.execute(work, deadline).await,
            _ => Err(bad_request("the transaction has ended")),
        }
    }
}

fn postgres_work(source: &str, run: Run, tokens: &[Token<'_>]) -> postgres::Work {
    let (sql, names) = to_postgres(source, tokens);
    postgres::Work { sql, names, parameters: run.sets, metadata: run.metadata }
}

fn embedded_work(run: Run, tokens: &[Token<'_>], verb: Verb) -> Result<embedded::Work, Fault> {
    if verb == Verb::Forbidden {
        let word = tokens.first().map(|t| t.text.to_uppercase()).unwrap_or_default();
        return Err(database_state(format_args!("{word} is not supported by the embedded database"), "0A000"));
    }
    Ok(embedded::Work { statement: to_embedded(tokens), parameters: run.sets, counts: verb == Verb::Write })
}
