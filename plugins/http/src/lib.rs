//! Sends deliveries over HTTP.
