//! The sinks this binary knows. The only file that names plugin crates.

use postrider_sink::SinkFactory;
use postrider_sink_file::FileSinkFactory;
use postrider_sink_http::HttpSinkFactory;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Sink factories by their kind: the name of their table in an endpoint file.
#[derive(Clone, Default)]
pub struct Sinks {
    factories: BTreeMap<&'static str, Arc<dyn SinkFactory>>,
}

impl Sinks {
    /// These kinds.
    #[must_use]
    pub fn new(factories: Vec<Arc<dyn SinkFactory>>) -> Self {
        Self { factories: factories.into_iter().map(|factory| (factory.kind(), factory)).collect() }
    }

    /// The built-in ones: `http` and `file`.
    #[must_use]
    pub fn standard() -> Self {
        Self::new(vec![Arc::new(HttpSinkFactory::new()), Arc::new(FileSinkFactory)])
    }

    /// Adds a sink, or takes the place of the one of the same kind.
    pub fn register(&mut self, factory: Arc<dyn SinkFactory>) {
        self.factories.insert(factory.kind(), factory);
    }

    /// The factory of a kind.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn SinkFactory>> {
        self.factories.get(kind)
    }

    /// Every kind there is, in alphabetical order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.factories.keys().copied()
    }
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kinds()).finish()
    }
}
