//! Reads JSON that the strict reader refuses although it is JSON: a publisher may send numbers that no machine holds, and
//! text that was cut in the middle of a character. Neither must hide the rest of an event from a filter.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Error, Map, Value, from_str};
use std::fmt;

/// The value, with a replacement character for half a character and null for a number that is out of range. What nests
/// too deep is refused by the reader below, as everywhere.
pub(super) fn read(raw: &RawValue) -> Result<Value, Error> {
    let json = raw.get();
    Ok(match json.bytes().next() {
        Some(b'{') => {
            let Members(members) = from_str(json)?;
            let read = members.into_iter().map(|(name, raw)| Ok((name.0, self::read(raw)?)));
            Value::Object(read.collect::<Result<Map<_, _>, Error>>()?)
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = from_str(json)?;
            Value::Array(elements.into_iter().map(self::read).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::String(from_str::<Text>(json)?.0),
        Some(b'-' | b'0'..=b'9') => from_str(json).unwrap_or(Value::Null),
        _ => from_str(json)?,
    })
}

/// A string, whatever is in it.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }
        // As bytes, half a character is no error.
        deserializer.deserialize_bytes(Bytes)
    }
}

/// The members of an object; of those that come twice the last one counts.
struct Members<'a>(Vec<(Text, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
