/// The deepest nesting that is taken, the event's own object included.
pub(super) const MAX_DEPTH: usize = 64;

/// How deep a document nests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Within the limit, as far as brackets tell.
    Fine,
    /// Every bracket is closed, but there are too many inside each other.
    TooDeep,
    /// Too many inside each other, and they do not even close.
    Unclosed,
}

/// Measures whether it nests at most so deep, without recursion and without memory, before anything looks at the document: strings are
/// respected, the rest of the syntax is not looked at.
pub(super) fn depth(json: &str, most: usize) -> Depth {
    if memchr::memchr2_iter(b'{', b'[', json.as_bytes()).take(most + 1).count() <= most {
        return Depth::Fine;
    }
    let (mut now, mut deepest, mut underrun) = (0usize, 0usize, false);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while let Some(inside) = bytes.next() {
                    match inside {
                        b'\\' => {
                            bytes.next();
                        }
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => match now.checked_sub(1) {
                Some(less) => now = less,
                None => underrun = true,
            },
            _ => {}
        }
    }
    if deepest <= most {
        Depth::Fine
    } else if now == 0 && !underrun {
        Depth::TooDeep
    } else {
        Depth::Unclosed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depth(json: &str) -> Depth {
        super::depth(json, MAX_DEPTH)
    }

    #[test]
    fn it_counts_brackets_but_not_those_in_strings() {
        let nested = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
        assert_eq!(depth(&nested(64)), Depth::Fine);
        assert_eq!(depth(&nested(65)), Depth::TooDeep);
        assert_eq!(depth(&"[".repeat(100_000)), Depth::Unclosed);
        assert_eq!(depth(&format!("]{}", nested(65))), Depth::Unclosed);
        assert_eq!(depth(&format!(r#"{{"a":"{}\"[[\\"}}"#, "[".repeat(100))), Depth::Fine);
        assert_eq!(depth(r#""\"#), Depth::Fine);
    }
}
