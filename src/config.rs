//! Configuration in passes, each with a type of its own: parse, validate, compile.

mod daemon;

pub use daemon::{
    AdminConfig, Credential, DaemonConfig, IngressConfig, Login, Publisher, ReloadConfig, ShutdownConfig,
    SpoolConfig,
};
