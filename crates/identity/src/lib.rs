//! STS, IAM and Secrets Manager: who calls, what is allowed, what is secret.
