//! The way out to the network: names are resolved, every address is checked, and the checked address is the one
//! connected to.

mod policy;

pub use policy::NetworkPolicy;
