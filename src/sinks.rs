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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_sinks_are_there_and_one_of_the_same_kind_takes_a_place() {
        let sinks = Sinks::standard().with(Arc::new(FileSinkFactory));
        assert_eq!(sinks.kinds(), ["file", "http"]);
        assert_eq!(sinks.get("http").map(|factory| factory.kind()), Some("http"));
        assert!(sinks.get("kafka").is_none());
    }
}
