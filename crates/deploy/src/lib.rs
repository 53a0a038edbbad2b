//! CloudFormation and SAM templates to resources.
pub mod provider;
pub mod sam;
pub mod template;
