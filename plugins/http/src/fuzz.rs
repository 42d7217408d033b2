//! What must hold for any URL in a file and any answer of a server. Compiled for tests and for libFuzzer.

use crate::answer::judge;
use crate::settings::parse;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use postrider_sink::{Verdict, Wait};
use std::time::{Duration, SystemTime};
use url::{Host, Url};

/// The text of a destination.
///
/// # Panics
/// When something does not hold.
pub fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = Url::parse(text);
    let to = match parse(text) {
        Ok(to) => to,
        Err((why, _)) => {
            assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
            return;
        }
    };
    let url = read.expect("taken, and no URL");
    assert!(matches!(url.scheme(), "http" | "https") && (url.scheme() == "https") == to.tls.is_some());
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    let host = match url.host().expect("taken without a host") {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    assert_eq!(host, *to.host, "another host");
    assert_eq!(url.port_or_known_default(), Some(to.port), "another port");
    assert!(matches!(to.port, 80 | 443 | 1024..));
    assert_eq!(*to.url, *url.as_str());
    assert!(!to.shown.contains('?') && to.url.starts_with(&*to.shown));
    let target = to.target.to_string();
    let wanted = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    assert_eq!(target, wanted, "another path");
    assert!(target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic()), "{target:?}");
    let host = to.host_header.to_str().expect("ASCII");
    assert!(
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/@?#\\".contains(&byte))
    );
    let again = parse(&to.url).unwrap_or_else(|(why, _)| panic!("its own URL is refused: {why}"));
    assert_eq!((&again.url, &again.host, again.port), (&to.url, &to.host, to.port));
}

/// An answer: two bytes of status, and lines that are values of `Retry-After`; one that starts with `@` is a
/// `Location`.
///
/// # Panics
/// When something does not hold.
pub fn retry_after(input: &[u8]) {
    const NOW: Duration = Duration::from_secs(1_795_410_000);
    const HOUR: Duration = Duration::from_secs(3600);
    let Some(([high, low], lines)) = input.split_first_chunk::<2>() else { return };
    let status = 100 + u16::from_be_bytes([*high, *low]) % 900;
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::from_u16(status).expect("100 to 999");
    let mut values = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        match line.strip_prefix(b"@") {
            Some(place) => {
                if let Ok(place) = HeaderValue::from_bytes(place) {
                    answer.headers_mut().insert(LOCATION, place);
                }
            }
            None => {
                if let Ok(value) = HeaderValue::from_bytes(line) {
                    answer.headers_mut().append(RETRY_AFTER, value.clone());
                    values.push(value);
                }
            }
        }
    }
    let outcome = judge(&answer, NOW);
    assert!(outcome.reason.chars().count() <= 400 && !outcome.reason.contains(['\n', '\r', '?']));
    match (status, &outcome.verdict) {
        (200..=299, verdict) => assert_eq!(*verdict, Verdict::Delivered),
        (410, verdict) => assert_eq!(*verdict, Verdict::Suspend),
        (429 | 502..=504, Verdict::Failed { breaker, wait: Wait::Endpoint(wait), .. }) => {
            assert!(!breaker && *wait <= HOUR, "{wait:?}");
            let [value] = values.as_slice() else { panic!("a wait from {} values", values.len()) };
            let text = value.to_str().expect("ASCII");
            assert_eq!(Some(*wait), wanted(text, NOW), "{text:?}");
        }
        (429 | 502..=504, Verdict::Failed { breaker, wait, .. }) => {
            assert!(*breaker && *wait == Wait::None);
            if let [value] = values.as_slice() {
                let wait = value.to_str().ok().and_then(|text| wanted(text, NOW));
                assert!(wait.is_none_or(|wait| wait > HOUR), "{value:?} is passed over");
            }
        }
        (_, Verdict::Failed { wait, .. }) => assert_eq!(*wait, Wait::None),
        (_, verdict) => panic!("{status}: {verdict:?}"),
    }
}

/// How long a value says, read in another way: digits by hand, dates by the library alone.
fn wanted(text: &str, now: Duration) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text
            .bytes()
            .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
        return seconds.map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    date.checked_sub(now).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use postrider_fuzz::Target;

    #[test]
    fn fuzz_url_what_is_taken_leads_where_a_browser_would_go() {
        let words = [
            "http://",
            "https://",
            "//",
            "/",
            "\\",
            "?",
            "#",
            "@",
            ":",
            ":80",
            ":0",
            "[::1]",
            "127.1",
            "0x7f.1",
            "%2e",
            "%00",
            "..",
            "\t",
            "é",
            "xn--",
            "。",
            "a.example",
        ];
        Target { name: "url", words: &words, check: super::url }.hunt();
    }

    #[test]
    fn fuzz_retry_after_a_wait_is_at_most_an_hour_and_comes_from_one_value() {
        let words = [
            "0",
            "60",
            "3600",
            "3601",
            "-1",
            "+5",
            "1e3",
            "\n",
            "@https://a.example/?b",
            "Mon, 23 Nov 2026 05:10:00 GMT",
            "Monday, 23-Nov-26 05:10:00 GMT",
            "Mon Nov 23 05:10:00 2026",
            " ",
            "99999999999999999999",
        ];
        Target { name: "retry-after", words: &words, check: super::retry_after }.hunt();
    }
}
