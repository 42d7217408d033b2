//! Receivers that behave badly, as a table, and what must come of an attempt against each.
//!
//! A behaviour is a list of [`Step`]s that every connection goes through, behind TLS or not. The table grows by a
//! line; the tests that run it need not change. The receivers allocate little, so that a test may count what is
//! allocated on our side.

mod certificates;
mod keeper;
mod table;

pub use certificates::{Authority, Flaw};
pub use keeper::{Kept, keep};
pub use table::behaviours;

/// What a receiver does next.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Reads one request, head and body.
    Request,
    /// Reads so many bytes.
    Read(usize),
    /// Sends a text. `{canary}` stands for the address of a listener that nobody may connect to, `{in N}` for the date
    /// N seconds from now; `{rfc850 in N}` and `{asctime in N}` for its two other forms.
    Send(&'static str),
    /// Sends bytes as they are.
    Bytes(&'static [u8]),
    /// Sends bytes so many times.
    Repeat(&'static [u8], usize),
    /// Sends bytes again and again, as fast as they are taken.
    Flood(&'static [u8]),
    /// Sends a text byte by byte, one a second.
    Drip(&'static str),
    /// Does nothing any more.
    Hang,
    /// Closes its sending side.
    Finish,
    /// Ends the connection with a reset.
    Reset,
}

/// On what the steps are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// A TCP connection to an `http` URL.
    Plain,
    /// The same to an `https` URL: what comes is no handshake.
    Raw,
    /// A TLS connection, with a certificate that has this flaw.
    Tls(Flaw),
    /// Nobody takes connections, and there is no room for them to wait.
    Full,
}

/// What must come of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Taken.
    Delivered,
    /// An answer that is a failure, and counts for the breaker.
    Refused,
    /// An answer that is a failure of this event only.
    ThisEvent,
    /// An answer that asks to wait: at most so many seconds, and at most two fewer.
    Wait(u64),
    /// Gone for good.
    Gone,
    /// The connection failed or broke.
    Broken,
    /// The TLS handshake failed.
    Tls,
    /// No answer by the attempt's deadline.
    Late,
    /// No connection by the deadline for that.
    Unreached,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// Short, in words with hyphens.
    pub name: &'static str,
    /// On what the steps are played.
    pub ground: Ground,
    /// What every connection goes through; then it is closed.
    pub steps: &'static [Step],
    /// What must come of an attempt.
    pub expect: Expect,
}
