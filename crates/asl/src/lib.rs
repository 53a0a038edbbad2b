//! Amazon States Language: parse and validate with source spans, JSONPath, intrinsic functions.
