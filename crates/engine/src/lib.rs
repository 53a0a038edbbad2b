//! Executions as cells that drive the interpreter; integrations and event source mappings.
