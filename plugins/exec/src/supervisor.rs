use crate::session::{self, End, Run, Session};
use crate::settings::Settings;
use postrider_sink::HostContext;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Whether there is a program to deliver to.
#[derive(Clone)]
pub(crate) enum State {
    Up(Arc<Session>),
    /// In a moment.
    Starting,
    /// It crashed again and again, and is left alone until then.
    Down {
        why: Arc<str>,
        until: Instant,
    },
}

/// The wait after so many crashes in a row.
pub(crate) fn backoff(crashes: u32) -> Duration {
    FIRST_WAIT.saturating_mul(1 << crashes.saturating_sub(1).min(16)).min(LONGEST_WAIT)
}

/// Why the program is down, for people.
pub(crate) fn story(crashes: u32, why: &str) -> String {
    match crashes {
        0 | 1 => format!("the program stopped: {why}"),
        _ => format!("crashed {crashes} times, last: {why}"),
    }
}

/// Keeps the program running until `dropped` ends, and leaves nothing of it behind.
pub(crate) async fn supervise(
    first: Run,
    settings: Arc<Settings>,
    host: HostContext,
    state: watch::Sender<State>,
    mut dropped: oneshot::Receiver<()>,
) {
    let mut crashes = 0;
    let mut next = Ok(first);
    loop {
        let (why, session) = match next {
            Ok(run) => {
                let session = Arc::clone(&run.session);
                state.send_replace(State::Up(Arc::clone(&session)));
                host.host.up("exec");
                match run.serve(&host.endpoint, &mut dropped).await {
                    End::Dropped => {
                        session.end(&"it was stopped".into());
                        return;
                    }
                    End::Crashed(why) => (why, Some(session)),
                }
            }
            Err(why) => (why, None),
        };
        // An answer is progress: what comes now is the first crash of another row.
        let progress = session.as_ref().is_some_and(|session| session.was_useful());
        crashes = if progress { 1 } else { crashes + 1 };
        let (why, wait): (Arc<str>, _) = (story(crashes, &why).into(), backoff(crashes));
        host.host.down("exec", &why);
        tracing::warn!(endpoint = %host.endpoint, %why, again_in = ?wait, "the program is not running");
        state.send_replace(match crashes {
            0 | 1 => State::Starting,
            _ => State::Down { why: Arc::clone(&why), until: Instant::now() + wait },
        });
        if let Some(session) = session {
            session.end(&why);
        }
        tokio::select! {
            _ = &mut dropped => return,
            () = sleep(wait) => {}
        }
        state.send_replace(State::Starting);
        next = tokio::select! {
            _ = &mut dropped => return,
            started = session::start(&settings, &host) => started.map_err(|failed| failed.why),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_minute() {
        let waits: Vec<u128> =
            [1, 2, 3, 10, 11, u32::MAX].map(|crashes| backoff(crashes).as_millis()).to_vec();
        assert_eq!(waits, [100, 200, 400, 51_200, 60_000, 60_000]);
    }
}
