//! CloudFormation and SAM templates to resources.
pub mod template;
pub mod sam;
