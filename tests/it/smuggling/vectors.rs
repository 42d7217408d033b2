//! Requests that two readers of HTTP may read in two ways, and some that only look like it.

/// An event to be posted.
pub(super) const EVENT: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;

/// What must become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// One answer that refuses it, and the connection is closed: nobody answers what comes behind it.
    Refused,
    /// It is taken, and so is what comes behind it.
    Taken,
}

pub(super) struct Vector {
    pub(super) bytes: Vec<u8>,
    pub(super) fate: Fate,
}

/// A complete request, the last of its connection.
pub(super) fn last() -> String {
    format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{EVENT}",
        EVENT.len()
    )
}

const HEAD: &str = "POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";

/// The event in one chunk.
fn chunked() -> String {
    format!("{:x}\r\n{EVENT}\r\n0\r\n\r\n", EVENT.len())
}

/// All of them.
pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    let mut add = |fate, bytes: String| all.push(Vector { bytes: bytes.into_bytes(), fate });
    codings(&mut add);
    lengths(&mut add);
    chunks(&mut add);
    hosts(&mut add);
    lines(&mut add);
    targets(&mut add);
    all.push(Vector { bytes: b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_vec(), fate: Fate::Refused });
    all.push(Vector { bytes: [HEAD.as_bytes(), b"X: \x80\xff\x0b\r\n\r\n"].concat(), fate: Fate::Refused });
    all
}

/// `Transfer-Encoding` in many spellings, alone and beside a `Content-Length` on either side.
fn codings(add: &mut impl FnMut(Fate, String)) {
    use Fate::{Refused, Taken};
    for (line, alone) in [
        ("Transfer-Encoding: chunked", Taken),
        ("transfer-encoding:chunked", Taken),
        ("Transfer-Encoding:\tchunked", Taken),
        ("Transfer-Encoding: chunked\t ", Taken),
        ("Transfer-Encoding: CHUNKED", Taken),
        ("Transfer-Encoding : chunked", Refused),
        (" Transfer-Encoding: chunked", Refused),
        ("Transfer-Encoding\t: chunked", Refused),
        ("Transfer-Encoding: xchunked", Refused),
        ("Transfer-Encoding: chunkedx", Refused),
        ("Transfer-Encoding: chunked, identity", Refused),
        ("Transfer-Encoding: identity, chunked", Refused),
        ("Transfer-Encoding: gzip, chunked", Refused),
        ("Transfer-Encoding: chunked, chunked", Refused),
        ("Transfer-Encoding: chunked;q=1", Refused),
        ("Transfer-Encoding: \"chunked\"", Refused),
        ("Transfer-Encoding: 'chunked'", Refused),
        ("Transfer-Encoding: identity", Refused),
        ("Transfer-Encoding:", Refused),
        ("Transfer-Encoding: ,chunked", Refused),
        ("Transfer-Encoding: chunked,", Refused),
        ("Transfer-Encoding:\u{b}chunked", Refused),
        ("Transfer-Encoding:\u{c}chunked", Refused),
        ("Transfer-Encoding: chunked\u{b}", Refused),
        ("Transfer-Encoding: \0chunked", Refused),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Refused),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", Refused),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", Refused),
        ("Transfer-Encoding:\r\n chunked", Refused),
        ("Transfer-Encoding: chunked\r\n ", Refused),
        ("X: a\nTransfer-Encoding: chunked", Refused),
        ("X: a\rTransfer-Encoding: chunked", Refused),
    ] {
        let length = format!("Content-Length: {}", EVENT.len());
        add(alone, format!("{HEAD}{line}\r\n\r\n{}", chunked()));
        add(Refused, format!("{HEAD}{length}\r\n{line}\r\n\r\n{}", chunked()));
        add(Refused, format!("{HEAD}{line}\r\n{length}\r\n\r\n{}", chunked()));
    }
    add(Refused, format!("{}Transfer-Encoding: chunked\r\n\r\n{}", HEAD.replace("1.1", "1.0"), chunked()));
}

/// `Content-Length` in many spellings; `N` is the right number.
fn lengths(add: &mut impl FnMut(Fate, String)) {
    use Fate::{Refused, Taken};
    for (lines, fate) in [
        ("Content-Length: N", Taken),
        ("content-length:N", Taken),
        ("Content-Length:\tN ", Taken),
        ("Content-Length: 00N", Taken),
        ("Content-Length: N\r\nContent-Length: N", Refused),
        ("Content-Length: N\r\nContent-Length: 0", Refused),
        ("Content-Length: 0\r\nContent-Length: N", Refused),
        ("Content-Length: N, N", Refused),
        ("Content-Length: N,0", Refused),
        ("Content-Length: ,N", Refused),
        ("Content-Length: +N", Refused),
        ("Content-Length: -N", Refused),
        ("Content-Length: -0", Refused),
        ("Content-Length: 0xN", Refused),
        ("Content-Length: N.0", Refused),
        ("Content-Length: Ne0", Refused),
        ("Content-Length: N N", Refused),
        ("Content-Length: N;x", Refused),
        ("Content-Length: \"N\"", Refused),
        ("Content-Length: ١", Refused),
        ("Content-Length:", Refused),
        ("Content-Length : N", Refused),
        ("Content-Length\t: N", Refused),
        (" Content-Length: N", Refused),
        ("Content-Length:\r\n N", Refused),
        ("Content-Length: N\0", Refused),
        ("Content-Length: \u{b}N", Refused),
        ("Content-Length: 18446744073709551616", Refused),
        ("Content-Length: 99999999999999999999999999", Refused),
        ("X: y\nContent-Length: N", Refused),
        ("X: y\rContent-Length: N", Refused),
    ] {
        let lines = lines.replace('N', &EVENT.len().to_string());
        add(fate, format!("{HEAD}{lines}\r\n\r\n{EVENT}"));
    }
}

/// Chunks; `N` is the right size.
fn chunks(add: &mut impl FnMut(Fate, String)) {
    use Fate::{Refused, Taken};
    for (body, fate) in [
        ("N\r\nE\r\n0\r\n\r\n", Taken),
        ("00N\r\nE\r\n000\r\n\r\n", Taken),
        ("N;x=y\r\nE\r\n0\r\n\r\n", Taken),
        ("N\r\nE\r\n0\r\nX: trailer\r\n\r\n", Taken),
        ("0xN\r\nE\r\n0\r\n\r\n", Refused),
        ("+N\r\nE\r\n0\r\n\r\n", Refused),
        ("-N\r\nE\r\n0\r\n\r\n", Refused),
        ("N\nE\r\n0\r\n\r\n", Refused),
        ("N\r\nE\n0\r\n\r\n", Refused),
        ("N\r\nEXX0\r\n\r\n", Refused),
        ("N\r\nE0\r\n\r\n", Refused),
        ("N\rE\r\n0\r\n\r\n", Refused),
        ("N;x\nE\r\n0\r\n\r\n", Refused),
        ("g\r\nE\r\n0\r\n\r\n", Refused),
        ("\r\nE\r\n0\r\n\r\n", Refused),
        ("\0N\r\nE\r\n0\r\n\r\n", Refused),
        ("fffffffffffffffff\r\nE\r\n0\r\n\r\n", Refused),
        ("1000000000000000N\r\nE\r\n0\r\n\r\n", Refused),
        ("N N\r\nE\r\n0\r\n\r\n", Refused),
        ("N,N\r\nE\r\n0\r\n\r\n", Refused),
    ] {
        let body = body.replace('N', &format!("{:x}", EVENT.len())).replace('E', EVENT);
        add(fate, format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{body}"));
    }
}

fn hosts(add: &mut impl FnMut(Fate, String)) {
    let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{EVENT}", EVENT.len());
    for host in ["Host: a\r\n", "Host: a:80\r\n", "Host: [::1]:80\r\n"] {
        add(Fate::Taken, format!("POST /v1/events HTTP/1.1\r\n{host}{rest}"));
    }
    for host in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host:\r\n",
        "Host: a, b\r\n",
        "Host: u@a\r\n",
        "Host: a/b\r\n",
        "Host: a\\b\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: a b\r\n",
        "Host : a\r\n",
        " Host: a\r\n",
        "Host: a\0\r\n",
        "Host:\r\n a\r\n",
        "Host: http://a\r\n",
    ] {
        add(Fate::Refused, format!("POST /v1/events HTTP/1.1\r\n{host}{rest}"));
    }
}

fn lines(add: &mut impl FnMut(Fate, String)) {
    let length = EVENT.len();
    add(Fate::Taken, format!("\r\n{HEAD}Content-Length: {length}\r\n\r\n{EVENT}"));
    add(Fate::Refused, format!("{}Content-Length: {length}\n\n{EVENT}", HEAD.replace("\r\n", "\n")));
    add(Fate::Refused, format!("{HEAD}Content-Length: {length}\r\n\n{EVENT}"));
    add(Fate::Refused, format!("{HEAD}Content-Length: {length}\n\r\n{EVENT}"));
    for header in [
        "no colon",
        ": no name",
        "X: \u{1}",
        "X\0: y",
        "X: y\0",
        "X y: z",
        "X(: y",
        "X\r: y",
        "X: y\r\n folded",
        "X: y\r\n\tfolded",
        "Upgrade: h2c",
        "Connection: upgrade\r\nUpgrade: websocket",
        "X\u{e9}: y",
    ] {
        add(Fate::Refused, format!("{HEAD}{header}\r\nContent-Length: {length}\r\n\r\n{EVENT}"));
    }
}

fn targets(add: &mut impl FnMut(Fate, String)) {
    for first in [
        "POST http://a/v1/events HTTP/1.1",
        "POST http://b/v1/events HTTP/1.1",
        "POST a:80 HTTP/1.1",
        "POST //v1/events@b HTTP/1.2",
        "CONNECT a:80 HTTP/1.1",
        "TRACE /v1/events HTTP/1.1",
        "P@ST /v1/events HTTP/1.1",
        "P(ST /v1/events HTTP/1.1",
        " POST /v1/events HTTP/1.1",
        "POST  /v1/events HTTP/1.1",
        "POST /v1/events  HTTP/1.1",
        "POST\t/v1/events HTTP/1.1",
        "POST /v1/events HTTP/1.2",
        "POST /v1/events HTTP/2.0",
        "POST /v1/events HTTP/1.1 ",
        "POST /v1/events HTTP/01.1",
        "POST /v1/events HTTX/1.1",
        "POST /v1/events http/1.1",
        "POST /v1/events",
        "POST /v1/ev ents HTTP/1.1",
        "POST /v1/events\0 HTTP/1.1",
        "POST /v1/events HTTP/1.1\r",
        "PRI * HTTP/2.0",
        "{\"event\":\"sent\"}",
    ] {
        let rest = HEAD.split_once("\r\n").expect("a line").1;
        add(Fate::Refused, format!("{first}\r\n{rest}Content-Length: {}\r\n\r\n{EVENT}", EVENT.len()));
    }
}
