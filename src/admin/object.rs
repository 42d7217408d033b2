//! Objects that are objects: serde would take an array for a struct as well, its elements for the members in order.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::fmt::{Formatter, Result as Written};
use std::marker::PhantomData;

/// Reads a value whose members have names.
///
/// # Errors
/// It is no object, or none of this kind.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<T, D::Error> {
    reader.deserialize_map(Members(PhantomData))
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, text: &mut Formatter<'_>) -> Written {
        text.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

#[cfg(test)]
mod tests {
    use crate::admin::endpoints::parse;
    use crate::admin::{ReplayRequest, TestEvent};

    #[test]
    fn an_array_is_no_object_although_its_elements_would_fit() {
        assert!(parse::<TestEvent>(b"[null, null, null]", "a test").is_err());
        assert!(parse::<ReplayRequest>(br#"{"filter": [null, null]}"#, "a replay").is_err());
        let read: TestEvent = parse(br#" {"event": "read", "data": {"a": 1.0} } "#, "a test").unwrap();
        assert_eq!(read.data.unwrap().get(), r#"{"a": 1.0}"#, "byte for byte");
        let read: ReplayRequest = parse(br#"{"filter": {"endpoint": "acme"}}"#, "a replay").unwrap();
        assert_eq!(read.filter.endpoint.as_deref(), Some("acme"));
        assert!(parse::<TestEvent>(b"{} {}", "a test").is_err());
    }
}
