//! What endpoints are called, and their numbers. Very many may ever have been registered: each name is there once.

use crate::ids::{EndpointUid, Identity};
use hashbrown::HashTable;
use rustc_hash::FxHashMap;
use std::hash::{BuildHasher, RandomState};

/// Every endpoint that was ever registered.
#[derive(Default)]
pub(super) struct Names {
    identities: FxHashMap<EndpointUid, Identity>,
    /// The same numbers, to be found by what they are called.
    numbers: HashTable<EndpointUid>,
    /// People choose names.
    hashing: RandomState,
}

impl Names {
    /// Who an endpoint is.
    pub(super) fn identity(&self, uid: EndpointUid) -> Option<&Identity> {
        self.identities.get(&uid)
    }

    /// The number of an endpoint.
    pub(super) fn number(&self, identity: &Identity) -> Option<EndpointUid> {
        let hash = self.hashing.hash_one(identity);
        self.numbers.find(hash, |uid| self.identities.get(uid) == Some(identity)).copied()
    }

    /// Notes who an endpoint is. Of two with one identity the later counts.
    pub(super) fn insert(&mut self, uid: EndpointUid, identity: Identity) {
        let Self { identities, numbers, hashing } = self;
        let hash = hashing.hash_one(&identity);
        if let Some(before) = identities.get(&uid).filter(|before| **before != identity)
            && let Ok(found) = numbers.find_entry(hashing.hash_one(before), |known| *known == uid)
        {
            found.remove();
        }
        match numbers.find_mut(hash, |known| identities.get(known) == Some(&identity)) {
            Some(known) => *known = uid,
            None => {
                let hash_of =
                    |known: &EndpointUid| identities.get(known).map_or(0, |it| hashing.hash_one(it));
                numbers.insert_unique(hash, uid, hash_of);
            }
        }
        identities.insert(uid, identity);
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (EndpointUid, &Identity)> {
        self.identities.iter().map(|(uid, identity)| (*uid, identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn identity(name: &str, account: Option<&str>) -> Identity {
        Identity { name: Arc::from(name), account: account.map(Arc::from) }
    }

    #[test]
    fn endpoints_are_found_by_name_and_by_number_through_every_change() {
        let mut names = Names::default();
        for number in 0..1000 {
            names.insert(EndpointUid(number), identity(&format!("e{number}"), None));
        }
        names.insert(EndpointUid(1000), identity("e7", Some("acme")));
        for number in 0..1000 {
            assert_eq!(names.number(&identity(&format!("e{number}"), None)), Some(EndpointUid(number)));
        }
        assert_eq!(names.number(&identity("e7", Some("acme"))), Some(EndpointUid(1000)));
        assert_eq!(names.number(&identity("e8", Some("acme"))), None);
        names.insert(EndpointUid(3), identity("other", None));
        assert_eq!(names.number(&identity("e3", None)), None);
        assert_eq!(names.number(&identity("other", None)), Some(EndpointUid(3)));
        names.insert(EndpointUid(2000), identity("e4", None));
        assert_eq!(names.number(&identity("e4", None)), Some(EndpointUid(2000)));
        assert_eq!(names.identity(EndpointUid(4)), Some(&identity("e4", None)));
        assert_eq!(names.iter().count(), 1002);
    }
}
