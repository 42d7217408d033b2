//! Configuration in passes, each with a type of its own.
//!
//! 1. *parse*: text to a tree of values that know where they stand;
//! 2. *validate*: the tree against what is allowed, every error at once; it touches nothing;
//! 3. *compile*: secrets resolved, paths absolute, the sink's own table checked by its plugin.
//!
//! The daemon's file is all or nothing. Each endpoint file stands alone. What always holds: an error says file,
//! line, column and what to do, and no error shows a secret.

mod access;
mod check;
mod daemon;
mod daemon_file;
mod delivery;
mod edit;
mod effective;
mod endpoint_file;
mod error;
mod filter;
mod form;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod keys;
mod load;
mod mask;
mod schema;
mod secrets;
mod section;
mod shared;
mod sink_table;
mod source;
mod tls;
mod tree;
mod units;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use check::{FileReport, Report, check};
pub use daemon::{
    AdminConfig, Credential, DaemonConfig, IngressConfig, LimitsConfig, Login, Publisher, ReloadConfig,
    ShutdownConfig, SpoolConfig,
};
pub use daemon_file::DaemonFile;
pub use edit::{
    EditError, NewSecret, edit, kept_secrets, new_references, new_secrets, set_state, without_secrets,
};
pub use effective::{
    AllEffective, Effective, EffectiveValue, effective, effective_all, effective_of, fingerprint,
};
pub use endpoint_file::{CompiledEndpoint, Context, compile_endpoint};
pub use error::{ConfigError, ConfigErrors};
pub use form::{Form, account_of, keys_at};
pub use load::{EndpointText, Files, Loaded, LoadedEndpoint, Loader, MAX_FILE, is_endpoint_name, load};
pub(crate) use load::{each_toml, list_toml};
pub(crate) use mask::is_secret_name;
pub use schema::{FileKind, manual, schema};
pub use secrets::{MAX_SECRET, SecretSource, SystemSecrets};
pub use shared::Shared;
pub(crate) use units::{duration as parse_duration, rate as parse_rate};
