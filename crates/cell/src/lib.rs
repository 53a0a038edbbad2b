//! The loop that owns state: inputs in batches, one commit, then replies and effects.
