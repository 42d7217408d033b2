use postrider_sink::async_trait;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Looks names up. The seam where a simulation or a test stands in.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a name, in the order in which they should be tried.
    ///
    /// # Errors
    /// The name has none, or nobody answered.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The resolver of this machine (`getaddrinfo`): `/etc/hosts`, search domains and all.
///
/// It blocks, so each lookup occupies a thread of the blocking pool until the system gives up; at most
/// [`SystemResolver::LOOKUPS`] do so at once, and the file operations of the daemon keep their threads.
#[derive(Debug)]
pub struct SystemResolver {
    slots: Arc<Semaphore>,
}

impl SystemResolver {
    /// Lookups at once, of the whole daemon.
    pub const LOOKUPS: usize = 64;

    /// A resolver with all its slots free.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(Self::LOOKUPS)) }
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            // The slot is free when the system has answered, not when somebody has stopped waiting for it.
            let _slot = slot;
            let found = (host.as_str(), 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}
