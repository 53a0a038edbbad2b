//! CloudFormation and SAM templates to resources, through the CloudFormation API or in process.
//!
//! [`template`] reads templates and applies their functions, [`sam`] transforms SAM's resources: both are pure.
//! [`provider`] says what each resource type means in calls of the services' registry. The engine carries stack
//! operations out step by step, so that a stop in the middle is gone on with; [`Deployer::service`] are CloudFormation's
//! API operations over it, and [`Deployer::deploy_local`] deploys a template with its local code and definitions.
//!
//! Refuses, by name and line: resource types that no provider makes, nested stacks, macros, stack policies, imports,
//! container images. Knows nothing of HTTP, and nothing of a service but its operations.
//!
//! **Invariants**
//! - What is wrong with a template is found before anything is made: form, references, types, properties.
//! - Before each call its intent is stored, and after it the outcome: an operation interrupted at any moment goes on at
//!   the next start, and makes no resource twice.
//! - Every failure of a creation or an update leads back to what was there, unless its caller chose otherwise.
//! - Texts, depths, counts, waits and retries have the bounds of [`template::limits`] and of this crate's constants.

mod api;
pub mod build;
mod engine;
mod local;
#[cfg(test)]
mod local_tests;
pub mod provider;
pub mod sam;
pub mod template;
#[cfg(test)]
mod testing;

pub use api::SERVICE_ID;
pub use engine::{Deployer, Options, StackEvent, StackStatus};
pub use local::{DeployError, Deployed, LocalRequest, Progress};
