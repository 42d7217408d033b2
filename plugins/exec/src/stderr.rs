use crate::answer::tidy;
use crate::lines::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::process::ChildStderr;
use tokio::time::Instant;

/// Bytes of a line that are logged.
const LINE: usize = 1024;
/// Lines logged within a second; what is more is counted.
const A_SECOND: u32 = 20;
/// How long is listened to after the end; somebody else may hold the pipe open.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the program says on standard error: to the log, not more than a log can bear.
pub(crate) struct Stderr {
    from: BufReader<ChildStderr>,
    endpoint: Arc<str>,
    line: Vec<u8>,
    ended: bool,
    since: Instant,
    logged: u32,
    left_out: u64,
    /// The last line: in most languages, why the program ended.
    last: String,
}

impl Stderr {
    pub(crate) fn new(stderr: ChildStderr, endpoint: Arc<str>) -> Self {
        Self {
            from: BufReader::with_capacity(4096, stderr),
            endpoint,
            line: Vec::new(),
            ended: false,
            since: Instant::now(),
            logged: 0,
            left_out: 0,
            last: String::new(),
        }
    }

    /// Logs what is said, and never ends by itself.
    pub(crate) async fn log(&mut self) {
        self.finish().await;
        std::future::pending::<()>().await;
    }

    /// `why`, with what was said last.
    pub(crate) async fn explain(&mut self, why: String) -> String {
        let _ = tokio::time::timeout(PATIENCE, self.finish()).await;
        if self.last.is_empty() { why } else { format!("{why}, {}", self.last) }
    }

    async fn finish(&mut self) {
        while !self.ended {
            let read = lines::read(&mut self.from, &mut self.line, LINE).await;
            self.ended = !matches!(read, Ok(Read::Line | Read::TooLong));
            let words = tidy(&String::from_utf8_lossy(&self.line));
            self.line.clear();
            if !words.is_empty() {
                self.say(words);
            }
        }
    }

    fn say(&mut self, words: String) {
        if self.since.elapsed() >= Duration::from_secs(1) {
            if self.left_out > 0 {
                tracing::warn!(endpoint = %self.endpoint, lines = self.left_out, "the program said more than is logged");
            }
            (self.since, self.logged, self.left_out) = (Instant::now(), 0, 0);
        }
        if self.logged < A_SECOND {
            self.logged += 1;
            tracing::info!(endpoint = %self.endpoint, stderr = %words, "the program says");
        } else {
            self.left_out += 1;
        }
        self.last = words;
    }
}
