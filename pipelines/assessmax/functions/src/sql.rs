//! A job's rows through the RDS Data API, in one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use assessmax_core::failure::{Failure, Kind};
use assessmax_core::session::Session;
use assessmax_core::sql::{self, Row, Value};
use aws_sdk_rdsdata::Client;
use aws_sdk_rdsdata::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_rdsdata::types::{Field, SqlParameter};

use crate::aws;

/// Rows of one call: the API takes 1,000.
const ROWS_MAX: usize = 500;
/// PostgreSQL may refuse `CREATE TABLE IF NOT EXISTS` when two do it at once; the second try finds the table.
const CREATES_MAX: usize = 3;

/// The database that `RDS_DATABASE_ARN` and `RDS_SECRET_ARN` name.
#[derive(Clone)]
pub(crate) struct Database {
    client: Client,
    resource_arn: String,
    secret_arn: String,
    name: Option<String>,
    created: Arc<AtomicBool>,
}

impl Database {
    /// None where the two variables are not set: publishing to SQL is optional.
    pub fn from_environment() -> Result<Option<Database>, Failure> {
        let (Some(resource_arn), Some(secret_arn)) =
            (aws::optional("RDS_DATABASE_ARN"), aws::optional("RDS_SECRET_ARN"))
        else {
            return Ok(None);
        };
        let (client, name) = (aws::rdsdata()?, aws::optional("RDS_DATABASE_NAME"));
        Ok(Some(Database { client, resource_arn, secret_arn, name, created: Arc::default() }))
    }

    /// Replaces a job's rows; readers see all of them or those before.
    pub async fn publish(&self, session: &Session, result_key: &str) -> Result<(), Failure> {
        self.create_tables().await?;
        let begun = self
            .client
            .begin_transaction()
            .resource_arn(&self.resource_arn)
            .secret_arn(&self.secret_arn)
            .set_database(self.name.clone())
            .send()
            .await
            .map_err(|error| failed("begin the transaction", &error))?;
        let transaction = begun.transaction_id().unwrap_or_default().to_owned();
        if let Err(failure) = self.write(session, result_key, &transaction).await {
            // The transaction ends by itself if this does not reach the database.
            let _ = self
                .client
                .rollback_transaction()
                .resource_arn(&self.resource_arn)
                .secret_arn(&self.secret_arn)
                .transaction_id(&transaction)
                .send()
                .await;
            return Err(failure);
        }
        self.client
            .commit_transaction()
            .resource_arn(&self.resource_arn)
            .secret_arn(&self.secret_arn)
            .transaction_id(&transaction)
            .send()
            .await
            .map_err(|error| failed("commit the transaction", &error))?;
        Ok(())
    }

    async fn write(&self, session: &Session, result_key: &str, transaction: &str) -> Result<(), Failure> {
        let job: Row = vec![("job_id", Value::Text(session.job_id.clone()))];
        self.execute(sql::CLEAR, job, Some(transaction)).await?;
        self.execute(sql::PUT_SESSION, sql::session_row(session, result_key), Some(transaction)).await?;
        for rows in sql::score_rows(session).chunks(ROWS_MAX) {
            let sets: Vec<Vec<SqlParameter>> = rows.iter().map(parameters).collect();
            self.client
                .batch_execute_statement()
                .resource_arn(&self.resource_arn)
                .secret_arn(&self.secret_arn)
                .set_database(self.name.clone())
                .transaction_id(transaction)
                .sql(sql::PUT_SCORE)
                .set_parameter_sets(Some(sets))
                .send()
                .await
                .map_err(|error| failed("write the scores", &error))?;
        }
        Ok(())
    }

    async fn execute(&self, statement: &str, row: Row, transaction: Option<&str>) -> Result<(), Failure> {
        self.client
            .execute_statement()
            .resource_arn(&self.resource_arn)
            .secret_arn(&self.secret_arn)
            .set_database(self.name.clone())
            .set_transaction_id(transaction.map(str::to_owned))
            .sql(statement)
            .set_parameters((!row.is_empty()).then(|| parameters(&row)))
            .send()
            .await
            .map_err(|error| failed(&format!("execute {}", first_words(statement)), &error))?;
        Ok(())
    }

    /// Once in the life of a worker.
    async fn create_tables(&self) -> Result<(), Failure> {
        if self.created.load(Ordering::Relaxed) {
            return Ok(());
        }
        for statement in sql::CREATE {
            let mut tries = 1;
            while let Err(failure) = self.execute(statement, Row::new(), None).await {
                if tries == CREATES_MAX || !failure.kind.is_transient() {
                    return Err(failure);
                }
                tries += 1;
            }
        }
        self.created.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// What the database refuses for good: the caller (class 28), the database's name (3D), the statement (42, but for a
/// table that somebody else has just made).
fn failed<E, R>(what: &str, error: &SdkError<E, R>) -> Failure
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let mut failure = aws::failed(what, error);
    let state = failure.message.split_once("SQLState: ").map(|(_, state)| state.trim_start());
    if state.is_some_and(|s| ["28", "3D", "42"].iter().any(|class| s.starts_with(class)) && !s.starts_with("42P07")) {
        failure.kind = Kind::Misconfigured;
    }
    failure
}

fn first_words(statement: &str) -> String {
    statement.split_whitespace().take(6).collect::<Vec<_>>().join(" ")
}

fn parameters(row: &Row) -> Vec<SqlParameter> {
    row.iter()
        .map(|(name, value)| {
            let field = match value {
                Value::Text(text) => Field::StringValue(text.clone()),
                Value::Integer(number) => Field::LongValue(*number),
                Value::Double(number) => Field::DoubleValue(*number),
                Value::Null => Field::IsNull(true),
            };
            SqlParameter::builder().name(*name).value(field).build()
        })
        .collect()
}
