use std::borrow::Cow;

/// The text of a member or a header, where there is one. Err: why it cannot be read.
pub(super) type Attribute<'a> = Option<Result<Cow<'a, str>, String>>;

/// The text of a JSON string. Err: it is another kind of value, or cannot be decoded.
pub(super) fn text(raw: &str) -> Result<Cow<'_, str>, String> {
    let Some(inside) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(format!("must be a string, and is {}", kind(raw)));
    };
    if inside.contains('\\') {
        serde_json::from_str(raw)
            .map(Cow::Owned)
            .map_err(|_| "has an escape that is no character (a lone surrogate)".to_owned())
    } else {
        Ok(Cow::Borrowed(inside))
    }
}

/// What kind of value this is, for people.
pub(super) fn kind(raw: &str) -> &'static str {
    match raw.bytes().next() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Whether this is a date and time of RFC 3339 that exists: its grammar here, the calendar by `jiff`.
pub(super) fn is_rfc3339(text: &str) -> bool {
    let Some((head, tail)) = text.split_at_checked(19) else { return false };
    let shape = head.bytes().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        _ => byte == *form,
    });
    let offset = match tail.strip_prefix('.') {
        None => tail,
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
    };
    let zone = match offset.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit())
                && (*h1, *h2) <= (b'2', b'3')
                && *m1 <= b'5'
        }
        _ => false,
    };
    // Without the zone: the moments `jiff` knows end a day before the years do.
    shape && zone && head.parse::<jiff::civil::DateTime>().is_ok()
}

/// The names nearest to what was written, and all that there are: for a message.
pub(super) fn suggest<'a>(written: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = known
        .clone()
        .map(|name| (strsim::osa_distance(&written.to_lowercase(), name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min();
    let list = known.take(32).collect::<Vec<_>>().join(", ");
    match near {
        Some((_, name)) => format!("Did you mean {name:?}? Known: {list}."),
        None => format!("Known: {list}."),
    }
}

/// What a publisher wrote, short enough for a message and without control characters.
pub(super) fn shown(written: &str) -> String {
    let mut short: String = written.chars().take(40).collect();
    if short.len() < written.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// A member's name as a step of a JSON pointer (RFC 6901 section 3).
pub(super) fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_of_rfc_3339_that_exist_are_taken() {
        for good in [
            "2026-11-23T05:00:00Z",
            "2026-11-23t05:00:00z",
            "2026-11-23T05:00:00.123456789012Z",
            "2026-11-23T05:00:00+05:30",
            "2026-11-23T05:00:00.5-00:00",
            "2028-02-29T00:00:00Z",
            "2016-12-31T23:59:60Z",
            "0000-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.999-23:59",
        ] {
            assert!(is_rfc3339(good), "{good}");
        }
        for bad in [
            "",
            "2026-11-23",
            "2026-11-23T05:00:00",
            "2026-11-23 05:00:00Z",
            "2026-11-23T05:00Z",
            "2026-11-23T05:00:00.Z",
            "2026-11-23T05:00:00+0530",
            "2026-11-23T05:00:00+05",
            "2026-11-23T05:00:00+99:00",
            "2026-11-23T05:00:00Z[UTC]",
            "2026-02-30T05:00:00Z",
            "2026-13-01T05:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T23:59:61Z",
            "2026-00-23T05:00:00Z",
            "1900-02-29T05:00:00Z",
            "20261123T050000Z",
            "2026-11-23T05:00:00Zx",
            "２026-11-23T05:00:00Z",
            "1700000000",
        ] {
            assert!(!is_rfc3339(bad), "{bad}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised() {
        let known = ["sent", "delivered", "read", "failed"];
        assert!(suggest("delivred", known.into_iter()).starts_with(r#"Did you mean "delivered"?"#));
        assert!(suggest("bounced", known.into_iter()).starts_with("Known: sent, delivered"));
    }
}
