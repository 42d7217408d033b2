//! Endpoints as the API shows and takes them.

use super::status::{ConfigIssue, EndpointStatus};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The settings of an endpoint: the keys of its file, as JSON.
pub type Settings = Map<String, Value>;

/// Stands for [`Settings`] in the OpenAPI document, which puts the table of keys in its place.
pub(super) struct SettingsSchema;

impl utoipa::PartialSchema for SettingsSchema {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        utoipa::openapi::Object::new().into()
    }
}

impl ToSchema for SettingsSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "Settings".into()
    }
}

/// An endpoint in full.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EndpointDetail {
    /// How it is.
    #[serde(flatten)]
    pub status: EndpointStatus,
    /// Its file, from the configuration's folder.
    pub file: String,
    /// Changes with every change of the file. Send it back in `If-Match`.
    pub etag: String,
    /// What the file says. A secret is `{"fingerprint": "9f3c"}`, beside `file`, `env` or `credential` where it is
    /// given by reference; sent back like that, it stays as it is. None where the file is no TOML.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Settings>,
    /// The file's text, with fingerprints where secrets are written out.
    pub toml: String,
    /// What holds, once defaults are merged, and where each value comes from.
    pub effective: Vec<EffectiveSetting>,
    /// What is wrong with the file as it is now. What ran before still runs.
    pub errors: Vec<ConfigIssue>,
    /// Its last changes, the newest first.
    pub changes: Vec<EndpointChange>,
}

/// One value that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EffectiveSetting {
    /// Its key, from the top of the endpoint's file: `retry.jitter`.
    pub key: String,
    /// The value as TOML; a secret as `fingerprint 9f3c`.
    pub value: String,
    /// `endpoints/acme.toml:5`, `postrider.toml:15` or `default`.
    pub origin: String,
}

/// One change of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EndpointChange {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The endpoint.
    pub endpoint: String,
    /// The account it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// `page`, `api` or `file`, with the login where there is one: `page: anna`.
    pub by: String,
    /// What changed, a line each, without secrets.
    pub what: Vec<String>,
}

/// A page of endpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EndpointList {
    /// In the order of their names.
    pub endpoints: Vec<EndpointStatus>,
    /// How many fit the filters, on every page together.
    pub total: u64,
    /// Ask again with `after` set to this for the next page.
    pub next: Option<String>,
}

/// What an edit expects of the endpoint's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// `If-Match`: it is one of these versions; empty: `*`, any.
    Match(Vec<String>),
    /// `If-None-Match: *`: there is none.
    Absent,
    /// Nothing is expected.
    None,
}

/// The state that a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Collect and send.
    Activate,
    /// Collect and hold.
    Pause,
    /// Send again: a pause, a suspension or a block is over.
    Resume,
}

/// A test event with settings that are not saved.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsavedTest {
    /// The saved endpoint whose secrets `{"fingerprint": …}` stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The settings, as for a PUT.
    #[schema(value_type = SettingsSchema)]
    pub settings: Settings,
    /// The event's name; one of the settings' where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The product it comes from; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The event's `data`; the bytes go out as they came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Box<RawValue>>,
}

/// One thing that is wrong with settings that were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SettingIssue {
    /// JSON pointer (RFC 6901) into the settings.
    pub pointer: String,
    /// The same as a key of the file: `http.url`.
    pub key: String,
    /// What is wrong.
    pub detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Both sides of an edit that met another one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Collision {
    /// What was sent, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub yours: Option<Settings>,
    /// What the file says now; absent: it is gone, or no TOML.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub theirs: Option<Settings>,
    /// The version of `theirs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What the file said in the version that the edit started from, if that is still known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub base: Option<Settings>,
}

/// Why an endpoint was not shown or changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EndpointError {
    /// There is none of this name, or none that the caller may see.
    #[error("no endpoint is called {0:?}")]
    NotFound(String),
    /// The name is another one's.
    #[error("the name {0:?} cannot be used: enter another name")]
    NameTaken(String),
    /// The file is not in the version that was expected.
    #[error(
        "{0} is not what you expect: it changed on disk, or is there already. Compare both before you save"
    )]
    Changed(String, Box<Collision>),
    /// The settings are invalid.
    #[error("the settings are invalid: nothing was changed")]
    Invalid(Vec<SettingIssue>),
    /// The folder cannot be written: the text to put there by hand, without secrets.
    #[error("{file} cannot be written ({reason}): copy the TOML and put it where your files come from")]
    ReadOnly {
        /// The file.
        file: String,
        /// Why.
        reason: String,
        /// What it would say.
        toml: String,
    },
    /// What was asked makes no sense in this state.
    #[error("{0}")]
    Unfit(String),
    /// The file was written, and the daemon did not take it.
    #[error("{0}")]
    Failed(String),
}
