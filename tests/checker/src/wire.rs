//! HTTP/1.1 by hand, just as much as is needed.

use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const MAX_HEAD: usize = 64 * 1024;
const READ: usize = 16 * 1024;

/// HTTP/1.1 messages with a `content-length`, one after another on one connection.
pub struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
    taken: usize,
}

/// A message, as it lies in the buffer.
pub struct Message<'a> {
    head: &'a [u8],
    /// Its body.
    pub body: &'a [u8],
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Messages on this stream.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(READ), taken: 0 }
    }

    /// Sends a message that is spelled already.
    ///
    /// # Errors
    /// As the stream says.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next message, or none where the other side closed between two.
    ///
    /// # Errors
    /// The stream ended in the middle of one, or what came is not understood.
    pub async fn next(&mut self) -> Result<Option<Message<'_>>> {
        self.buffer.drain(..self.taken.min(self.buffer.len()));
        self.taken = 0;
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(Error::new(ErrorKind::InvalidData, "the head is too large"));
            }
            if !self.fill().await? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(ErrorKind::UnexpectedEof.into());
            }
        };
        let length = length_of(self.buffer.get(..head).unwrap_or_default())?;
        let total = head.saturating_add(length);
        while self.buffer.len() < total {
            if !self.fill().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        self.taken = total;
        let (head, rest) = self.buffer.split_at(head);
        Ok(Some(Message { head, body: rest.get(..length).unwrap_or_default() }))
    }

    async fn fill(&mut self) -> Result<bool> {
        self.buffer.reserve(READ);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

impl Message<'_> {
    /// Word `index` of the first line.
    #[must_use]
    pub fn word(&self, index: usize) -> &str {
        let line = self.head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let word = line.split(|&byte| byte == b' ').nth(index).unwrap_or_default();
        std::str::from_utf8(word).unwrap_or("")
    }

    /// The status code of an answer; 0 where there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }

    /// Whether the sender closes the connection after this message.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

fn length_of(head: &[u8]) -> Result<usize> {
    if header(head, "transfer-encoding").is_some() {
        return Err(Error::new(ErrorKind::InvalidData, "only bodies with a content-length are understood"));
    }
    match header(head, "content-length") {
        None => Ok(0),
        Some(text) => {
            text.parse().map_err(|_error| Error::new(ErrorKind::InvalidData, "an odd content-length"))
        }
    }
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (key, value) = line.split_at(colon);
        if !key.eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        Some(std::str::from_utf8(value.get(1..)?).ok()?.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_whatever_their_case() {
        let head = b"POST /acme HTTP/1.1\r\nContent-Length: 12\r\nX: y\r\n\r\n";
        assert_eq!(header(head, "content-length"), Some("12"));
        assert_eq!(header(head, "x"), Some("y"));
        assert_eq!(header(head, "host"), None);
        let message = Message { head, body: b"" };
        assert_eq!(message.word(1), "/acme");
    }

    #[test]
    fn a_body_of_unknown_length_is_an_error() {
        assert!(length_of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(length_of(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n").is_err());
    }
}
