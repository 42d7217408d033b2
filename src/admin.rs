//! The page, the API and the metrics.
