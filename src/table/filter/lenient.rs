//! JSON that nobody has to refuse, made into JSON that every reader takes: a number beyond what a double holds becomes
//! the largest double, and half of a surrogate pair the sign for what cannot be shown. Senders cut texts in the middle of
//! an emoji; a filter shall still see the rest of their event.

/// The document with those replaced. It was found to be JSON before.
pub(super) fn readable(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut rest, mut in_string) = (json, false);
    while let Some((byte, after)) = rest.split_first() {
        let taken = match byte {
            b'\\' if in_string => escape(rest, &mut out),
            b'-' | b'0'..=b'9' if !in_string => number(rest, &mut out),
            byte => {
                in_string ^= *byte == b'"';
                out.push(*byte);
                1
            }
        };
        rest = rest.get(taken..).unwrap_or(after);
    }
    out
}

/// Copies an escape, a pair of surrogates as one; how many bytes it has.
fn escape(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(unit) = unit(rest) else {
        out.extend_from_slice(rest.get(..2).unwrap_or(rest));
        return 2;
    };
    let follows = || rest.get(6..).and_then(self::unit).is_some_and(|low| (0xDC00..=0xDFFF).contains(&low));
    let length = match unit {
        0xD800..=0xDBFF if follows() => 12,
        0xD800..=0xDFFF => {
            out.extend_from_slice(b"\\ufffd");
            return 6;
        }
        _ => 6,
    };
    out.extend_from_slice(rest.get(..length).unwrap_or(rest));
    length
}

/// The code unit of an escape `\uXXXX`, if it is one.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Copies a number that a double can hold, else the largest there is; how many bytes it has.
fn number(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let ends = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = rest.iter().position(ends).unwrap_or(rest.len());
    let text = rest.get(..length).unwrap_or(rest);
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    match value {
        Some(value) if value.is_infinite() => {
            out.extend_from_slice(format!("{:e}", f64::MAX.copysign(value)).as_bytes());
        }
        _ => out.extend_from_slice(text),
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_readers_refuse_is_replaced_and_all_else_stays() {
        for same in [
            r#"{"a":[1,-2.50,1e300,{"b":"1e999 \\u \" \n \u0041"}],"c":"\ud83d\ude00","d":null}"#,
            r#""\\ud800""#,
            "-0",
            "",
        ] {
            assert_eq!(readable(same.as_bytes()), same.as_bytes());
        }
        let most = "1.7976931348623157e308";
        let digits = "9".repeat(400);
        for (json, expected) in [
            (
                r#"["\ud83d","\ude00x","\ud83d\u0041","\ud83d\ud83d\ude00"]"#.to_owned(),
                r#"["\ufffd","\ufffdx","\ufffd\u0041","\ufffd\ud83d\ude00"]"#.to_owned(),
            ),
            (
                format!(r#"{{"a":1e999,"b":-1e999,"c":{digits}}}"#),
                format!(r#"{{"a":{most},"b":-{most},"c":{most}}}"#),
            ),
            (r#"{"\ud800":1}"#.to_owned(), r#"{"\ufffd":1}"#.to_owned()),
        ] {
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_err(), "{json}");
            let readable = readable(json.as_bytes());
            assert_eq!(String::from_utf8(readable.clone()).unwrap(), expected);
            serde_json::from_slice::<serde_json::Value>(&readable).unwrap();
        }
    }
}
