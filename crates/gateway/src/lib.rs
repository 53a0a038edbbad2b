//! HTTP on one port: SigV4, AWS JSON, Query and REST protocols to operations.
