//! CloudWatch Logs: groups, streams, events, filter patterns.
