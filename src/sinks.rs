//! The sinks this binary knows. The only file that names plugin crates.
