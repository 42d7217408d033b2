use std::time::Duration;

/// What one client, and all together, may take. None of it is configuration: the numbers are promises, and tests
/// shorten them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From the connection to its first byte. 5 s.
    pub first_byte: Duration,
    /// The TLS handshake, where the listener has TLS. 10 s.
    pub handshake: Duration,
    /// From the first byte of a request's head to its last. 10 s.
    pub head: Duration,
    /// Between two reads of a body. 10 s.
    pub body_idle: Duration,
    /// From the end of the head to the end of the body. 30 s.
    pub body_total: Duration,
    /// When the minimum rate of a body begins to count. 5 s.
    pub body_rate_after: Duration,
    /// Bytes per second that a body must bring on average. 1 KiB.
    pub body_rate: u32,
    /// How long a client may take to read an answer. 30 s.
    pub answer: Duration,
    /// How long a connection may wait for its next request. 60 s.
    pub idle: Duration,
    /// How old a connection may get; what is in flight then is finished. 10 min.
    pub age: Duration,
    /// How long we read on after our side is closed, so that a client that still writes gets the answer. 2 s.
    pub linger: Duration,
    /// Connections at once. 4,096.
    pub connections: usize,
    /// Connections of one address at once. 1,024.
    pub connections_per_ip: usize,
    /// Bytes of a request's head. 64 KiB.
    pub head_bytes: usize,
    /// Bytes of bodies between their arrival and their commit, all together. 64 MiB.
    pub bytes_in_flight: u32,
    /// Events between their arrival and their commit, all together. 16,384.
    pub events_in_flight: u32,
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Limits {
    /// The caps of a daemon that may open so many descriptors: connections take at most half of them, and those of
    /// one address at most half of these. The others are for the spool and for the way out.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let connections = usize::try_from(descriptors / 2).unwrap_or(usize::MAX).min(self.connections).max(2);
        Self { connections, connections_per_ip: self.connections_per_ip.min(connections / 2), ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: secs(5),
            handshake: secs(10),
            head: secs(10),
            body_idle: secs(10),
            body_total: secs(30),
            body_rate_after: secs(5),
            body_rate: 1024,
            answer: secs(30),
            idle: secs(60),
            age: secs(600),
            linger: secs(2),
            connections: 4096,
            connections_per_ip: 1024,
            head_bytes: 64 * 1024,
            bytes_in_flight: 64 * 1024 * 1024,
            events_in_flight: 16_384,
        }
    }
}
