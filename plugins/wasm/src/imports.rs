//! What is imported from `postrider:sink`.

use crate::state::State;
use crate::wit::{Sink, clock, config, http, log, types};
use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker};

pub(crate) fn define(linker: &mut Linker<State>) -> Result<()> {
    Sink::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

impl types::Host for State {}

impl config::Host for State {
    fn endpoint(&mut self) -> Result<String> {
        Ok(self.shared.endpoint.to_string())
    }

    fn settings(&mut self) -> Result<String> {
        Ok(self.shared.settings.clone())
    }
}

impl clock::Host for State {
    fn now(&mut self) -> Result<u64> {
        let now = self.shared.clock.as_ref().map(|clock| clock.unix().as_millis());
        Ok(now.and_then(|now| u64::try_from(now).ok()).unwrap_or_default())
    }

    fn left(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.time_left().as_millis()).unwrap_or(u64::MAX))
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        self.shared.log.say(level, &message);
        Ok(())
    }
}

impl http::Host for State {
    async fn send(&mut self, request: http::Request) -> Result<Result<http::Response, http::Error>> {
        let shared = std::sync::Arc::clone(&self.shared);
        let Some(client) = &shared.client else {
            let message = String::from("nothing is sent while settings are checked");
            return Ok(Err(http::Error { kind: http::ErrorKind::Refused, message }));
        };
        let sent = client.send(request, self.time_left(), &self.trail).await;
        Ok(sent.map_err(|failed| {
            if let Some(refusal) = failed.refusal() {
                self.refused = Some(refusal);
            }
            failed.error
        }))
    }
}
