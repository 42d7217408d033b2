use super::until;
use postrider_checker::publish::{self, Publisher, Summary, To};
use postrider_checker::receive::{self, Receiver};
use postrider_checker::verify::{Report, Subscription, verify, verify_part, write_subscriptions};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// The checker's publisher and receiver around a daemon, on threads that outlive it.
pub(crate) struct Load {
    dir: TempDir,
    /// The subscribers.
    pub(crate) receiver: Receiver,
}

impl Load {
    /// Receivers for these subscriptions.
    pub(crate) fn new(subscriptions: &[Subscription]) -> Self {
        Self::failing(subscriptions, 0.0, 0)
    }

    /// Receivers that answer a share of all requests with 500.
    pub(crate) fn failing(subscriptions: &[Subscription], fail_share: f64, seed: u64) -> Self {
        let dir = TempDir::with_prefix("postrider-load-").expect("a folder");
        write_subscriptions(dir.path(), subscriptions).expect("written");
        let names = subscriptions.iter().map(|subscription| subscription.endpoint.clone()).collect();
        let options =
            receive::Options { fail_share, seed, ..receive::Options::new(names, dir.path().to_owned()) };
        Self { receiver: Receiver::start(options).expect("a receiver"), dir }
    }

    pub(crate) fn url(&self, endpoint: &str) -> String {
        format!("http://{}/{endpoint}", self.receiver.address())
    }

    /// Starts to post to the daemon that writes this ready file.
    pub(crate) fn publish(
        &self,
        ready_file: PathBuf,
        change: impl FnOnce(&mut publish::Options),
    ) -> Publisher {
        let mut options = publish::Options::new(To::ReadyFile(ready_file), self.dir.path().to_owned());
        change(&mut options);
        Publisher::start(options).expect("a publisher")
    }

    /// Waits until so many more events have been accepted.
    pub(crate) async fn accept(&self, publisher: &Publisher, more: u64, deadline: Duration) {
        let goal = publisher.accepted() + more;
        until(deadline, "events are accepted", async || publisher.accepted() >= goal).await;
    }

    /// Lets a publisher end, and takes its summary.
    pub(crate) async fn end(&self, publisher: Publisher, deadline: Duration) -> Summary {
        publisher.stop();
        self.finish(publisher, deadline).await
    }

    /// Waits until a publisher has ended by itself.
    pub(crate) async fn finish(&self, publisher: Publisher, deadline: Duration) -> Summary {
        until(deadline, "the publisher ends", async || publisher.is_finished()).await;
        publisher.join().expect("a summary")
    }

    /// What the logs say of the events with these numbers.
    pub(crate) fn report_part(&self, numbers: std::ops::Range<u64>) -> Report {
        verify_part(self.dir.path(), numbers).expect("the logs are readable")
    }

    /// Waits until nothing accepted is missing any more, and compares. What is still missing at the deadline is in
    /// the report.
    pub(crate) async fn report(&self, deadline: Duration) -> Report {
        let start = tokio::time::Instant::now();
        loop {
            // Lines on their way to the file follow within one flush.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let report = verify(self.dir.path()).expect("the logs are readable");
            if report.lost() == 0 || start.elapsed() > deadline {
                return report;
            }
        }
    }
}
