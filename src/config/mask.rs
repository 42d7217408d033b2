//! Hides what looks like a secret in the text that is shown beside an error. Lengths stay, so that carets fit.

use super::tree::{Item, Node};

const WORDS: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "credential",
    "token",
    "bearer",
    "auth",
    "basic",
    "signing",
    "api-key",
    "key",
];
/// What stands beside a secret and is none.
const BESIDE: [&str; 5] = ["username", "user", "name", "file", "env"];

/// Whether the value of such a key is kept from sight.
pub(crate) fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    // `value` is that of a header which proves who is calling.
    key == "value"
        || WORDS.iter().any(|word| key.contains(word))
        || ["password", "secrets"].iter().any(|word| strsim::damerau_levenshtein(&key, word) <= 2)
}

/// Whether what an entry of a table holds is kept from sight. `within`: what the table stands for is. A key that is
/// misspelt there, or that does not belong there, may hold the secret.
pub(crate) fn is_secret(key: &str, text: Option<&str>, within: bool) -> bool {
    let pasted = || text.is_some_and(|text| text.contains(':'));
    is_secret_name(key)
        || (within && (!BESIDE.contains(&key) || pasted()))
        || (key == "proxy" && text.is_some_and(|text| text.contains('@')))
}

/// The text with secrets masked: values of keys that sound secret, and user information in URLs.
pub(super) fn text(text: &str) -> String {
    let problems = super::source::Problems::unshown(text);
    let Some(root) = super::tree::parse(text, &problems) else { return blank(text) };
    let mut masked = text.as_bytes().to_vec();
    walk(&root, false, &mut masked);
    String::from_utf8(masked).unwrap_or_default()
}

/// The text with everything masked that is not on `line`; nothing if the line may hold a part of a secret.
pub(super) fn broken(text: &str, line: usize) -> Option<String> {
    let shown = text.lines().nth(line.checked_sub(1)?)?;
    let many_lines = text.contains("\"\"\"") || text.contains("'''");
    let lower = shown.to_ascii_lowercase();
    let url_with_user = lower.contains("://") && lower.contains(['@', '?']);
    if many_lines || url_with_user || WORDS.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let kept =
        |(index, other): (usize, &str)| if index + 1 == line { other.to_owned() } else { blank(other) };
    Some(text.split_inclusive('\n').enumerate().map(kept).collect())
}

pub(super) fn blank(text: &str) -> String {
    text.chars().flat_map(|c| std::iter::repeat_n(if c == '\n' { c } else { '*' }, c.len_utf8())).collect()
}

fn walk(node: &Node, secret: bool, masked: &mut [u8]) {
    match &node.item {
        Item::Table(entries) => {
            let reference = super::secrets::reference(node);
            for entry in entries {
                // What should name a secret and does not look like a name may be the secret.
                let secret = match &reference {
                    Some(reference) => !reference.is_plain(),
                    None => is_secret(&entry.key, entry.node.text(), secret),
                };
                walk(&entry.node, secret, masked);
            }
        }
        Item::Array(elements) => elements.iter().for_each(|element| walk(element, secret, masked)),
        Item::Boolean(_) => {}
        Item::String(text) if text.contains("://") && text.contains('@') => cover(node.span.clone(), masked),
        _ if secret => cover(node.span.clone(), masked),
        Item::String(text) if text.contains("://") && text.contains('?') => {
            // Without its query, which may hold a secret; all of it where the question mark is written as an escape.
            let written = masked.get(node.span.clone()).unwrap_or_default();
            let kept = written.iter().position(|byte| *byte == b'?').map_or(0, |at| at + 1);
            cover(node.span.start + kept..node.span.end, masked);
        }
        _ => {}
    }
}

/// Stars instead of everything but line ends; one per byte, so that offsets stay.
fn cover(span: std::ops::Range<usize>, masked: &mut [u8]) {
    for byte in masked.get_mut(span).unwrap_or_default() {
        if *byte != b'\n' {
            *byte = b'*';
        }
    }
}
