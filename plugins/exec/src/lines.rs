use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A whole line, in the buffer, without its line feed.
    Line,
    /// The line is longer than the limit; what of it fits is in the buffer, and the rest was thrown away.
    TooLong,
    /// Nothing more comes. The buffer holds what came after the last line feed.
    End,
}

/// Reads a line of at most `limit` bytes onto `line`, whatever the other side sends. The caller empties `line` once it
/// has the whole of it: a call that was cancelled is continued by the next.
pub(crate) async fn read(
    from: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<Read> {
    let mut cut = false;
    loop {
        let chunk = from.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(Read::End);
        }
        let feed = chunk.iter().position(|byte| *byte == b'\n');
        let part = chunk.get(..feed.unwrap_or(chunk.len())).unwrap_or_default();
        let room = limit.saturating_sub(line.len());
        cut |= part.len() > room;
        line.extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
        let used = part.len() + usize::from(feed.is_some());
        from.consume(used);
        if feed.is_some() {
            return Ok(if cut { Read::TooLong } else { Read::Line });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_half_a_line_at_the_end_is_told() {
        let text: &[u8] = b"one\n\nlonger than ten\nexactly 10\nhalf";
        let mut from = tokio::io::BufReader::with_capacity(4, text);
        let mut line = Vec::new();
        let mut seen = Vec::new();
        loop {
            let read = read(&mut from, &mut line, 10).await.unwrap();
            let end = read == Read::End;
            seen.push((read, String::from_utf8(std::mem::take(&mut line)).unwrap()));
            if end {
                break;
            }
        }
        let seen: Vec<(&Read, &str)> = seen.iter().map(|(read, line)| (read, line.as_str())).collect();
        let wanted = [
            (&Read::Line, "one"),
            (&Read::Line, ""),
            (&Read::TooLong, "longer tha"),
            (&Read::Line, "exactly 10"),
            (&Read::End, "half"),
        ];
        assert_eq!(seen, wanted);
    }
}
