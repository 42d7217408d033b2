/// Follows the framing of a connection's requests beside the HTTP library, and notices what the library forgives:
/// a line that ends without a carriage return, `Content-Length` together with `Transfer-Encoding`, either of them
/// repeated, a coding that is not exactly `chunked`. A proxy in front that reads such a request another way could
/// be made to smuggle a second one past its own checks.
///
/// It sees every byte once, keeps at most [`KEPT`] of the current line, and never rejects by itself: it says from
/// which request on the connection cannot be trusted.
#[derive(Debug, Default)]
pub(super) struct Guard {
    state: State,
    line: Vec<u8>,
    length: Option<u64>,
    endless: bool,
    chunked: bool,
    flaw: Option<&'static str>,
    heads: u64,
    distrust: Option<(u64, &'static str)>,
}

/// Bytes kept of a line: the longest one that matters is a `transfer-encoding` with some white space.
const KEPT: usize = 96;

/// The largest `Content-Length` that the library reads as one; it calls a head with a larger one too large.
const LONGEST: u64 = u64::MAX - 2;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the request line: empty lines are skipped (RFC 9112 section 2.2).
    #[default]
    Start,
    /// In the head, after the request line.
    Head,
    /// So many bytes of a body, or of a chunk and its line end, remain.
    Body(u64),
    Chunk(u64),
    /// At the line with a chunk's size.
    Size,
    /// After the last chunk.
    Trailer,
    /// Nothing more can be said.
    Lost,
}

impl Guard {
    /// Takes the next bytes that arrived.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state {
                State::Lost => return,
                State::Body(left) | State::Chunk(left) => {
                    let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(left);
                    let (_, rest) = bytes.split_at(usize::try_from(here).unwrap_or(bytes.len()));
                    bytes = rest;
                    self.state = match (self.state, left - here) {
                        (State::Chunk(_), 0) => State::Size,
                        (State::Chunk(_), left) => State::Chunk(left),
                        (_, 0) => State::Start,
                        (_, left) => State::Body(left),
                    };
                }
                State::Start | State::Head | State::Size | State::Trailer => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (line, rest) = end.map_or((bytes, None), |at| {
                        let (line, rest) = bytes.split_at(at);
                        (line, rest.get(1..))
                    });
                    let Some(rest) = rest else {
                        self.keep(line);
                        return;
                    };
                    bytes = rest;
                    if self.line.is_empty() {
                        self.line_ended(line);
                    } else {
                        self.keep(line);
                        let whole = std::mem::take(&mut self.line);
                        self.line_ended(&whole);
                        self.line = whole;
                        self.line.clear();
                    }
                }
            }
        }
    }

    /// Why request number `request` (from 0) must not be answered with anything but a 400.
    pub(super) fn distrusts(&self, request: u64) -> Option<&'static str> {
        self.distrust.filter(|(from, _)| request >= *from).map(|(_, why)| why)
    }

    /// Whether a head announced a body of more bytes than the library counts.
    pub(super) const fn is_endless(&self) -> bool {
        self.endless
    }

    /// Keeps the beginning of a line and its last byte, which tells how it ends.
    fn keep(&mut self, part: &[u8]) {
        let Some(last) = part.last() else { return };
        let room = KEPT.saturating_sub(self.line.len());
        if part.len() > room {
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            if let Some(kept) = self.line.last_mut() {
                *kept = *last;
            }
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn line_ended(&mut self, line: &[u8]) {
        let (text, clean) = match line.strip_suffix(b"\r") {
            Some(text) => (text, true),
            None => (line, false),
        };
        if !clean {
            self.flaw.get_or_insert("a line ends with a line feed alone");
        }
        match self.state {
            State::Start if text.is_empty() && clean => {}
            State::Start => self.state = State::Head,
            State::Head if text.is_empty() => self.head_ended(),
            State::Head => self.field(text),
            State::Size => self.size(text, clean),
            State::Trailer if text.is_empty() && clean => self.state = State::Start,
            State::Trailer if clean => {}
            _ => self.lose("the framing of the request before is broken"),
        }
    }

    fn field(&mut self, text: &[u8]) {
        // Only two names matter, and they begin with letters that few others begin with.
        if !matches!(text.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return;
        }
        let Some(colon) = text.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = text.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                self.flaw.get_or_insert("content-length is given twice");
            }
            let digits =
                std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            match digits.and_then(|text| text.parse().ok()) {
                Some(length) => {
                    self.length = Some(length);
                    self.endless |= length > LONGEST;
                }
                None => {
                    self.flaw.get_or_insert("content-length is not a number");
                }
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked {
                self.flaw.get_or_insert("transfer-encoding is given twice");
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                self.flaw.get_or_insert("the only transfer-encoding that is taken is chunked");
            }
            self.chunked = true;
        }
    }

    fn head_ended(&mut self) {
        let (length, chunked) = (self.length.take(), std::mem::take(&mut self.chunked));
        if length.is_some() && chunked {
            self.flaw.get_or_insert("content-length and transfer-encoding are both given");
        }
        if let Some(flaw) = self.flaw.take() {
            self.distrust = Some((self.heads, flaw));
            self.state = State::Lost;
            return;
        }
        self.heads += 1;
        self.state = match (length, chunked) {
            (_, true) => State::Size,
            (Some(length), _) if length > 0 => State::Body(length),
            _ => State::Start,
        };
    }

    fn size(&mut self, text: &[u8], clean: bool) {
        let digits = text.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        match size {
            Some(0) if plain && clean => self.state = State::Trailer,
            // The chunk and the line end behind it.
            Some(size) if plain && clean => self.state = State::Chunk(size.saturating_add(2)),
            _ => self.lose("a chunk's size is not a number"),
        }
    }

    /// The body in flight is broken: whatever would follow it is not a request.
    fn lose(&mut self, why: &'static str) {
        self.distrust = Some((self.heads, why));
        self.state = State::Lost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(bytes: &[u8], step: usize) -> Guard {
        let mut guard = Guard::default();
        for part in bytes.chunks(step) {
            guard.feed(part);
        }
        guard
    }

    const CLEAN: &[u8] = b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na\nb\nc\
        POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nab\ncd\r\n0\r\nt: 1\r\n\r\n\
        GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn it_follows_bodies_chunks_and_trailers_however_the_bytes_arrive() {
        for step in [1, 2, 3, 7, 1000] {
            let guard = fed(CLEAN, step);
            assert_eq!((guard.heads, guard.distrust), (3, None), "step {step}");
        }
    }

    #[test]
    fn it_names_what_is_wrong_and_from_which_request_on() {
        for (bad, why) in [
            ("Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "content-length is given twice"),
            ("Content-Length: 1, 1\r\n\r\n", "content-length is not a number"),
            ("Content-Length: +1\r\n\r\n", "content-length is not a number"),
            ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "are both given"),
            ("Content-Length: 1\r\nTRANSFER-ENCODING:chunked\r\n\r\n", "are both given"),
            ("Transfer-Encoding: gzip, chunked\r\n\r\n", "chunked"),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "twice"),
            ("X: y\nZ: z\r\n\r\n", "line feed alone"),
            ("X: y\r\n\n", "line feed alone"),
        ] {
            let bytes = [CLEAN, b"POST / HTTP/1.1\r\n", bad.as_bytes()].concat();
            for step in [1, 5, 1000] {
                let guard = fed(&bytes, step);
                assert_eq!(guard.distrusts(2), None, "{bad}");
                let said = guard.distrusts(3).unwrap_or_else(|| panic!("{bad:?} passed"));
                assert!(said.contains(why), "{bad:?}: {said}");
                assert_eq!(guard.distrusts(4), Some(said));
            }
        }
    }

    #[test]
    fn a_line_of_any_length_costs_no_memory_and_keeps_its_end() {
        let long = [b"GET / HTTP/1.1\r\nCookie: ".as_slice(), &[b'x'; 10_000], b"\r\n\r\n"].concat();
        let guard = fed(&long, 13);
        assert_eq!((guard.heads, guard.distrust), (1, None));
        assert!(guard.line.capacity() <= 2 * KEPT);
    }
}
