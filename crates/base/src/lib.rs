//! Ids, ARNs, time and chance: the words that every other crate uses.
//!
//! Refuses to do I/O. Time enters the product through one [`Clock`], randomness and ids through one
//! [`Entropy`], so that the simulator can own both.

mod arn;
mod clock;
mod entropy;
mod scope;
mod timestamp;

pub use arn::{Arn, ArnError};
pub use clock::{Clock, ManualClock, SystemClock};
pub use entropy::Entropy;
pub use scope::{DEFAULT_ACCOUNT, DEFAULT_REGION, Scope};
pub use timestamp::{Timestamp, TimestampError};
