//! The sinks this binary knows. The only file that names plugin crates.

use postrider_sink::SinkFactory;
use postrider_sink_file::FileSinkFactory;
use postrider_sink_http::HttpSinkFactory;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sink factories by their kind: the name of their table in an endpoint file.
#[derive(Clone, Default)]
pub struct Sinks {
    factories: BTreeMap<&'static str, Arc<dyn SinkFactory>>,
}

impl Sinks {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The built-in ones: `http` and `file`.
    #[must_use]
    pub fn standard() -> Self {
        let mut sinks = Self::none();
        sinks.register(Arc::new(HttpSinkFactory::new()));
        sinks.register(Arc::new(FileSinkFactory));
        sinks
    }

    /// Adds a sink, or takes the place of the one of the same kind.
    pub fn register(&mut self, factory: Arc<dyn SinkFactory>) {
        self.factories.insert(factory.kind(), factory);
    }

    /// The same, with one more sink.
    #[must_use]
    pub fn with(mut self, factory: Arc<dyn SinkFactory>) -> Self {
        self.register(factory);
        self
    }

    /// The factory of a kind.
    #[must_use]
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn SinkFactory>> {
        self.factories.get(kind)
    }

    /// Every kind there is, in alphabetical order.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static str> {
        self.factories.keys().copied().collect()
    }
}
