//! Writes deliveries as JSON lines.
