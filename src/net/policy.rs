use ipnet::IpNet;
use std::sync::Arc;

/// `[network]`: which addresses beyond the public ones sinks may reach. Only the operator's file says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkPolicy {
    /// Ranges that every endpoint may reach.
    pub allow: Vec<IpNet>,
    /// Ranges that one endpoint may reach.
    pub exceptions: Vec<(Arc<str>, IpNet)>,
}
