use postrider_sink::Outcome;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// Silent deadlines in a row after which a program counts as hung.
const HUNG: u32 = 3;

/// The attempts that one run of the program has not answered yet.
#[derive(Default)]
pub(crate) struct Pending {
    inner: Mutex<Inner>,
    /// Told when the program has let [`HUNG`] deadlines pass in a row, without any answer between them.
    pub(crate) hung: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
    next: u64,
    /// Why nothing is taken any more.
    ended: Option<Arc<str>>,
    silent: u32,
    /// Deadlines of attempts before this one are a part of the silence that was counted.
    counted: u64,
}

/// An attempt that waits for its answer. Dropped before, it was given up.
pub(crate) struct Waiting<'a> {
    pub(crate) n: u64,
    pending: &'a Pending,
    answer: oneshot::Receiver<Outcome>,
}

impl Pending {
    /// Registers an attempt, unless the program has ended.
    pub(crate) fn begin(&self) -> Result<Waiting<'_>, Arc<str>> {
        let mut inner = self.lock();
        if let Some(reason) = &inner.ended {
            return Err(Arc::clone(reason));
        }
        inner.next += 1;
        let n = inner.next;
        let (tell, answer) = oneshot::channel();
        inner.waiting.insert(n, tell);
        Ok(Waiting { n, pending: self, answer })
    }

    /// Whether this attempt still waits.
    pub(crate) fn waits(&self, n: u64) -> bool {
        self.lock().waiting.contains_key(&n)
    }

    /// Hands an answer over. False: nobody waits for it.
    pub(crate) fn answer(&self, n: u64, outcome: Outcome) -> bool {
        let mut inner = self.lock();
        let Some(tell) = inner.waiting.remove(&n) else { return false };
        inner.silent = 0;
        drop(inner);
        tell.send(outcome).is_ok()
    }

    /// The program has ended: what waits fails for this reason, and whatever comes.
    pub(crate) fn end(&self, reason: &Arc<str>) {
        let mut inner = self.lock();
        inner.ended = Some(Arc::clone(reason));
        inner.waiting.clear();
    }

    fn give_up(&self, n: u64) {
        let mut inner = self.lock();
        if inner.waiting.remove(&n).is_none() || n < inner.counted {
            return;
        }
        inner.silent += 1;
        inner.counted = inner.next + 1;
        if inner.silent >= HUNG {
            self.hung.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// The answer, or why there will be none.
    pub(crate) async fn outcome(&mut self) -> Result<Outcome, Arc<str>> {
        match (&mut self.answer).await {
            Ok(outcome) => Ok(outcome),
            Err(_) => Err(self.pending.lock().ended.clone().unwrap_or_else(|| "it was stopped".into())),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pending.give_up(self.n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_goes_to_its_attempt_once_and_nowhere_else() {
        let pending = Pending::default();
        let (mut first, mut second) = (pending.begin().unwrap(), pending.begin().unwrap());
        assert!(pending.answer(second.n, Outcome::reject("no")));
        assert!(!pending.answer(second.n, Outcome::delivered("".into())), "a second answer");
        assert!(!pending.answer(77, Outcome::delivered("".into())), "never asked");
        assert_eq!(second.outcome().await.unwrap(), Outcome::reject("no"));
        pending.end(&"exit 1".into());
        assert_eq!(&*first.outcome().await.unwrap_err(), "exit 1");
        assert!(pending.begin().is_err());
    }

    #[tokio::test]
    async fn only_deadlines_one_after_the_other_make_a_program_hung() {
        let pending = Pending::default();
        let hung = || std::pin::pin!(pending.hung.notified()).as_mut().now();
        drop((0..16).map(|_| pending.begin().unwrap()).collect::<Vec<_>>());
        drop(pending.begin().unwrap());
        let late = pending.begin().unwrap();
        pending.answer(late.n, Outcome::delivered("".into()));
        drop(pending.begin().unwrap());
        drop(pending.begin().unwrap());
        assert!(!hung(), "an answer came in between");
        drop(pending.begin().unwrap());
        assert!(hung());
    }

    trait Now {
        fn now(self) -> bool;
    }

    impl<F: Future> Now for std::pin::Pin<&mut F> {
        fn now(self) -> bool {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            self.poll(&mut context).is_ready()
        }
    }
}
