//! What was settled: compact rows for people to search.
