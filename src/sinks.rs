//! The sinks this binary knows. The only file that names plugin crates.

use postrider_sink::SinkFactory;
use std::fmt;
use std::sync::Arc;

/// The kinds of sink an endpoint file may name.
#[derive(Clone, Default)]
pub struct Sinks(Vec<Arc<dyn SinkFactory>>);

impl Sinks {
    /// These kinds.
    #[must_use]
    pub const fn new(factories: Vec<Arc<dyn SinkFactory>>) -> Self {
        Self(factories)
    }

    /// The factory of a kind.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn SinkFactory>> {
        self.0.iter().find(|factory| factory.kind() == kind)
    }

    /// The names of the kinds, in the order they were given.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|factory| factory.kind())
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kinds()).finish()
    }
}
