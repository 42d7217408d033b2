use crate::session;
use crate::settings::Settings;
use crate::supervisor::{State, backoff, story, supervise};
use postrider_sink::{
    BuildError, Delivery, FailureClass, HostContext, Outcome, Sink, Verdict, Wait, async_trait,
};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// How often a program that ends before it is ready is started until the endpoint is held.
const TRIES: u32 = 3;

/// Delivers to the program, while there is one.
pub(crate) struct ExecSink {
    state: watch::Receiver<State>,
    /// The program ends when this does.
    _alive: oneshot::Sender<()>,
}

impl ExecSink {
    /// Starts the program. One that cannot be started fails the build: the endpoint is held, and no attempt is spent.
    pub(crate) async fn start(settings: Arc<Settings>, host: HostContext) -> Result<Self, BuildError> {
        let mut tries = 0;
        let first = loop {
            let failed = match session::start(&settings, &host).await {
                Ok(run) => break run,
                Err(failed) => failed,
            };
            tries += 1;
            if tries == TRIES || !failed.started {
                let why = if failed.started { story(tries, &failed.why) } else { failed.why };
                host.host.down("exec", &why);
                return Err(BuildError(why));
            }
            tokio::time::sleep(backoff(tries)).await;
        };
        let (tell, state) = watch::channel(State::Starting);
        let (alive, dropped) = oneshot::channel();
        let owner = Arc::clone(&host.host);
        owner.spawn(Box::pin(supervise(first, settings, host, tell, dropped)));
        Ok(Self { state, _alive: alive })
    }
}

#[async_trait]
impl Sink for ExecSink {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let mut changes = self.state.clone();
        loop {
            let state = changes.borrow_and_update().clone();
            match state {
                State::Up(session) => return session.attempt(delivery).await,
                State::Down { why, until } => {
                    let left = until.saturating_duration_since(Instant::now());
                    let (class, wait) = (FailureClass::SinkError, Wait::Endpoint(left));
                    let verdict = Verdict::Failed { class, breaker: true, wait };
                    return Outcome { verdict, reason: why.to_string().into() };
                }
                State::Starting if changes.changed().await.is_err() => {
                    return Outcome::failed(FailureClass::SinkError, "the program was stopped");
                }
                State::Starting => {}
            }
        }
    }
}
