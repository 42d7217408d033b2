//! What must hold for anything that a program writes. Compiled for tests and for libFuzzer.

use crate::answer::{Answer, excerpt, ready, tidy};
use crate::lines::{Read, read};
use postrider_sink::{Verdict, Wait};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, BufReader};

const LIMIT: usize = 100;

/// What a program writes. The first byte says in pieces of which size it comes.
///
/// # Panics
/// When something does not hold.
pub fn plugin_lines(input: &[u8]) {
    let Some((size, text)) = input.split_first() else { return };
    let lines = all(text, text.len().max(1));
    assert_eq!(lines, all(text, usize::from(*size).max(1)), "it matters how the text is cut");
    let whole: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), whole.len(), "a line is made up or swallowed");
    for ((kind, line), whole) in lines.iter().zip(whole) {
        assert!(line.len() <= LIMIT && whole.starts_with(line));
        assert_eq!(*kind == Read::TooLong, whole.len() > LIMIT && *kind != Read::End);
    }
    for (_, line) in &lines {
        said(line);
    }
}

fn said(line: &[u8]) {
    let short = excerpt(line);
    assert!(short.chars().count() <= 60);
    if let Err(why) = ready(line) {
        assert!(!why.is_empty() && why.len() < 1000, "{why}");
    }
    let Some(answer) = Answer::read(line) else { return };
    let outcome = answer.outcome();
    assert!(outcome.reason.chars().count() <= 300 && !outcome.reason.chars().any(char::is_control));
    assert_eq!(tidy(&outcome.reason), outcome.reason.trim());
    if let Verdict::Failed { wait: Wait::Delivery(wait) | Wait::Endpoint(wait), .. } = outcome.verdict {
        assert!(!wait.is_zero() && wait <= Duration::from_secs(3600));
    }
}

/// Every line, read in pieces of this size.
fn all(text: &[u8], size: usize) -> Vec<(Read, Vec<u8>)> {
    let mut from = BufReader::with_capacity(size, Ready(text));
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        let polled = pin!(read(&mut from, &mut line, LIMIT)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(kind) = polled else { panic!("waits although all of it is there") };
        let kind = kind.expect("memory does not fail");
        let end = kind == Read::End;
        lines.push((kind, line));
        if end {
            return lines;
        }
    }
}

/// Bytes that are there at once.
struct Ready<'a>(&'a [u8]);

impl AsyncRead for Ready<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let (now, later) = self.0.split_at(into.remaining().min(self.0.len()));
        into.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use postrider_fuzz::Target;

    #[test]
    fn fuzz_plugin_lines_are_read_the_same_however_they_are_cut() {
        let words = [
            "\n",
            "{\"n\":1,\"result\":\"ok\"}",
            "\"result\":\"retry\"",
            "\"after_ms\":1000",
            "\"scope\":\"endpoint\"",
            "\"reason\":\"\\u0007\"",
            "{\"postrider\":1}",
            "}",
            "{",
            ",",
            "\\n",
            "é",
            "18446744073709551616",
        ];
        Target { name: "plugin-lines", words: &words, check: super::plugin_lines }.hunt();
    }
}
