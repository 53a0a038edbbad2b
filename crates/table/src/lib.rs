//! DynamoDB: tables, items, expressions, indexes.
