use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// Reads an object for some members, each as the bytes it is written with, and notices members that come twice.
pub(super) struct Pick<const N: usize> {
    /// The members.
    pub(super) names: [&'static str; N],
    /// What becomes of other members.
    pub(super) others: Others,
}

/// Members that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// None may be there.
    Refused,
    /// Each may be there once.
    Once,
    /// They are passed over.
    Any,
}

/// What [`Pick`] found.
pub(super) struct Members<'de, const N: usize> {
    /// In the order of the names.
    pub(super) values: [Option<&'de RawValue>; N],
    /// The names that come twice.
    pub(super) repeated: Vec<&'static str>,
    /// The other members that should not be there, or not again; at most [`MAX_UNKNOWN`].
    pub(super) unknown: Vec<String>,
}

/// Members that are named before one stops counting.
const MAX_UNKNOWN: usize = 16;

impl<const N: usize> Pick<N> {
    /// Reads a whole document.
    pub(super) fn read(self, json: &str) -> Result<Members<'_, N>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let members = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(members)
    }
}

impl<'de, const N: usize> DeserializeSeed<'de> for Pick<N> {
    type Value = Members<'de, N>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Pick<N> {
    type Value = Members<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { values: [None; N], repeated: Vec::new(), unknown: Vec::new() };
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(Key(&self.names))? {
            match key {
                Name::Known(position) => {
                    let value = map.next_value::<&RawValue>()?;
                    if let Some(slot) = members.values.get_mut(position)
                        && slot.replace(value).is_some()
                    {
                        members.repeated.extend(self.names.get(position));
                    }
                }
                Name::Other(name, whole) => {
                    let wrong = match self.others {
                        Others::Refused => true,
                        Others::Once => !seen.insert(whole),
                        Others::Any => false,
                    };
                    if wrong && members.unknown.len() < MAX_UNKNOWN {
                        members.unknown.push(name);
                    }
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        members.repeated.sort_unstable();
        members.repeated.dedup();
        Ok(members)
    }
}

/// A member's name, compared decoded: `\u0069d` is `id`.
struct Key<'n>(&'n [&'static str]);

enum Name {
    Known(usize),
    /// Its beginning, and a hash of all of it.
    Other(String, u64),
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        let known = self.0.iter().position(|known| *known == name);
        // Of a name that is too long only the beginning is ever shown.
        let other = || Name::Other(name.chars().take(80).collect(), xxh3_64(name.as_bytes()));
        Ok(known.map_or_else(other, Name::Known))
    }
}
