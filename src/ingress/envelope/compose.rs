use crate::spool::DedupKey;
use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_128, xxh3_128_with_seed};

/// The body as subscribers get it: compact, `data` byte for byte as the publisher wrote it; only where it has no
/// `details` is an empty one put before its closing brace. `timestamp` is a JSON string, `data` an object that has
/// a member.
pub(super) fn body(event: &str, timestamp: &str, data: &str, has_details: bool) -> Bytes {
    let mut body = Vec::with_capacity(event.len() + timestamp.len() + data.len() + 64);
    body.extend_from_slice(br#"{"event":"#);
    // A string always has a JSON form, and a vector takes it.
    let _ = serde_json::to_writer(&mut body, event);
    body.extend_from_slice(br#","timestamp":"#);
    body.extend_from_slice(timestamp.as_bytes());
    body.extend_from_slice(br#","data":"#);
    let (data, details) = with_details(data, has_details);
    body.extend_from_slice(data.as_bytes());
    body.extend_from_slice(details.as_bytes());
    body.push(b'}');
    body.into()
}

/// `data`, an object that has a member, in two parts: where it has no `details`, an empty one is in the second.
pub(super) fn with_details(data: &str, has_details: bool) -> (&str, &'static str) {
    match data.strip_suffix('}') {
        Some(open) if !has_details => (open, r#","details":{}}"#),
        _ => (data, ""),
    }
}

/// What makes a repeat recognisable: the publisher with its own id, and everything it said, as it wrote it.
pub(super) fn dedup(publisher: &str, id: &str, said: [Option<&str>; 5]) -> DedupKey {
    let mut name = Vec::with_capacity(publisher.len() + 1 + id.len());
    name.extend_from_slice(publisher.as_bytes());
    name.push(0);
    name.extend_from_slice(id.as_bytes());
    DedupKey { key: xxh3_128(&name).to_le_bytes(), content: content(said) }
}

/// The same of a CloudEvent, which its source and its id name together. Never the key of an event of ours.
pub(super) fn cloud_dedup(publisher: &str, source: &str, id: &str, said: [Option<&str>; 5]) -> DedupKey {
    const CLOUD: u64 = 1;
    let mut name = Vec::with_capacity(publisher.len() + source.len() + id.len() + 9);
    name.extend_from_slice(publisher.as_bytes());
    name.push(0);
    // How long the source is: two ways to cut the same bytes must differ.
    name.extend_from_slice(&u64::try_from(source.len()).unwrap_or(u64::MAX).to_le_bytes());
    name.extend_from_slice(source.as_bytes());
    name.extend_from_slice(id.as_bytes());
    DedupKey { key: xxh3_128_with_seed(&name, CLOUD).to_le_bytes(), content: content(said) }
}

fn content(said: [Option<&str>; 5]) -> u64 {
    let mut content = Xxh3::new();
    for part in said {
        // A length before each part: two ways to cut the same bytes must differ, and nothing is not empty.
        let length = part.map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(u64::MAX));
        content.update(&length.to_le_bytes());
        content.update(part.unwrap_or_default().as_bytes());
    }
    content.digest()
}
