use super::Filter;
use crate::ids::Identity;
use crate::policy::DeliverySettings;
use postrider_sink::{SinkPlan, Table as Settings};
use std::fmt;
use std::sync::Arc;

/// One endpoint as its file and the defaults say it: checked, and comparable, so that a reload knows what changed.
#[derive(Clone)]
pub struct EndpointSpec {
    /// Its name and account.
    pub identity: Identity,
    /// Whether it collects and sends.
    pub lifecycle: Lifecycle,
    /// Which events it wants.
    pub events: Selection,
    /// Of which products.
    pub products: Selection,
    /// And of those only the ones for which this holds.
    pub filter: Option<Arc<Filter>>,
    /// How deliveries are made.
    pub delivery: DeliverySettings,
    /// The kind of its sink; none only in a draft.
    pub sink: Option<SinkSpec>,
}

/// The sink's table of an endpoint file.
#[derive(Clone)]
pub struct SinkSpec {
    /// The table's name: `http`.
    pub kind: Arc<str>,
    /// What it says, secrets resolved.
    pub settings: Settings,
    /// The same, checked by the plugin.
    pub plan: Arc<dyn SinkPlan>,
}

/// Whether an endpoint collects and sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifecycle {
    /// Saved and incomplete perhaps: matches nothing.
    Draft,
    /// Matches and sends.
    #[default]
    Active,
    /// Matches and holds.
    Paused,
}

/// Some names of the catalogue, or all it has now and will have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// `"all"`.
    All,
    /// These.
    Some(Vec<Arc<str>>),
}

impl Selection {
    /// Whether `name` is in it.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.iter().any(|wanted| wanted.as_ref() == name),
        }
    }
}

impl EndpointSpec {
    /// Changes exactly when the destination or its credentials change; none in a draft without a sink.
    #[must_use]
    pub fn fingerprint(&self) -> Option<u64> {
        self.sink.as_ref().map(|sink| sink.plan.fingerprint())
    }
}

impl PartialEq for SinkSpec {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.settings == other.settings
    }
}

impl PartialEq for EndpointSpec {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.lifecycle == other.lifecycle
            && self.events == other.events
            && self.products == other.products
            && self.filter == other.filter
            && self.delivery == other.delivery
            && self.sink == other.sink
    }
}

impl fmt::Debug for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkSpec")
            .field("kind", &self.kind)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EndpointSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointSpec")
            .field("identity", &self.identity)
            .field("lifecycle", &self.lifecycle)
            .field("events", &self.events)
            .field("products", &self.products)
            .field("filter", &self.filter)
            .field("delivery", &self.delivery)
            .field("sink", &self.sink)
            .finish()
    }
}
