//! RDS Data API over an embedded SQL database or PostgreSQL.
