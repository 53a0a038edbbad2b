//! The bounds of a template, AWS's where AWS has one.

/// A template's text.
pub const TEMPLATE_BYTES_MAX: usize = 1024 * 1024;
pub const RESOURCES_MAX: usize = 500;
pub const PARAMETERS_MAX: usize = 200;
pub const OUTPUTS_MAX: usize = 200;
pub const MAPPINGS_MAX: usize = 200;
/// Attributes of one mapping.
pub const MAPPING_ATTRIBUTES_MAX: usize = 200;
pub const CONDITIONS_MAX: usize = 500;
pub const LOGICAL_ID_BYTES_MAX: usize = 255;
pub const DESCRIPTION_BYTES_MAX: usize = 1024;
pub const PARAMETER_VALUE_BYTES_MAX: usize = 4096;
/// Nested objects and lists, intrinsic functions included.
pub const DEPTH_MAX: usize = 100;
/// Values in a template once its aliases are expanded.
pub const NODES_MAX: usize = 500_000;
/// A text that `Fn::Join` or `Fn::Sub` makes.
pub const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
