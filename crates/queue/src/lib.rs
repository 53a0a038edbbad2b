//! SQS: queues, messages, visibility, redrive.
