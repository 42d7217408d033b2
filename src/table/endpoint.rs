use super::{Filter, SinkSpec};
use crate::ids::Identity;
use crate::policy::DeliverySettings;
use std::sync::Arc;

/// One endpoint as its file and the defaults say it: checked, and comparable, so that a reload knows what changed. There
/// may be a hundred thousand of them, most without work: what many have in common they share.
#[derive(Debug, Clone, PartialEq)]
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
    pub delivery: Arc<DeliverySettings>,
    /// Its sink; none only in a draft.
    pub sink: Option<SinkSpec>,
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
    Some(Arc<[Arc<str>]>),
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
        self.sink.as_ref().map(|sink| sink.fingerprint())
    }
}
