use super::{Catalogue, EndpointSpec, Lifecycle};
use crate::ids::{EndpointUid, Generation};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;

/// Endpoints of one account that are asked one by one; of more there is an index.
const FEW: usize = 16;

/// An endpoint of a table, with the number the spool knows it by.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the spool calls it.
    pub uid: EndpointUid,
    /// What its file says.
    pub spec: Arc<EndpointSpec>,
}

/// One generation of subscriptions.
#[derive(Debug, Default)]
pub struct Table {
    /// Which.
    pub generation: Generation,
    /// The names that events may use.
    pub catalogue: Catalogue,
    /// In the order of their names.
    entries: Vec<Entry>,
    by_uid: FxHashMap<EndpointUid, u32>,
    /// Those for events of every account.
    every: Pairs,
    of_account: HashMap<Arc<str>, Owned>,
}

/// Who wants one event of one product.
type Pairs = HashMap<Arc<str>, HashMap<Arc<str>, List>>;

/// The endpoints of one account. Most accounts have a few, and there may be very many accounts: an index of each by events
/// and products would be most of what a configured endpoint takes in memory.
#[derive(Debug)]
enum Owned {
    One(u32),
    /// So few that each is asked.
    #[expect(
        clippy::box_collection,
        reason = "most accounts have one endpoint, and this is the room of each"
    )]
    Few(Box<Vec<u32>>),
    Many(Box<Pairs>),
}

/// Endpoints by their position.
#[derive(Debug, Default)]
struct List {
    positions: Vec<u32>,
    /// Whether one of them has a filter.
    filtered: bool,
}

/// The endpoints that an event is for as far as its names say.
#[derive(Debug, Clone, Copy)]
pub struct Candidates<'a> {
    entries: &'a [Entry],
    every: &'a [u32],
    own: &'a [u32],
    /// What those of `own` are to be asked for; none: they want it.
    asked: Option<(&'a str, &'a str)>,
    filtered: bool,
}

impl<'a> Candidates<'a> {
    /// Whether one of them has a filter that must be asked too.
    #[must_use]
    pub const fn filtered(&self) -> bool {
        self.filtered
    }

    /// Them.
    pub fn iter(self) -> impl Iterator<Item = &'a Entry> {
        let entry = move |position: &u32| self.entries.get(*position as usize);
        self.every.iter().filter_map(entry).chain(self.own())
    }

    fn own(self) -> impl Iterator<Item = &'a Entry> {
        let wants = move |entry: &&Entry| match self.asked {
            None => true,
            Some((event, product)) => {
                entry.spec.events.contains(event) && entry.spec.products.contains(product)
            }
        };
        self.own.iter().filter_map(move |position| self.entries.get(*position as usize)).filter(wants)
    }
}

impl Table {
    /// Builds the index.
    #[must_use]
    pub fn new(generation: Generation, catalogue: Catalogue, mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| a.spec.identity.name.cmp(&b.spec.identity.name));
        entries.shrink_to_fit();
        let mut by_uid = FxHashMap::with_capacity_and_hasher(entries.len(), FxBuildHasher);
        let mut every = pairs(&catalogue);
        let mut of_account: HashMap<Arc<str>, Owned> = HashMap::new();
        for (position, entry) in (0u32..).zip(&entries) {
            let spec = &entry.spec;
            by_uid.insert(entry.uid, position);
            if spec.lifecycle == Lifecycle::Draft {
                continue;
            }
            let Some(account) = &spec.identity.account else {
                add(&mut every, position, spec);
                continue;
            };
            let owned = match of_account.entry(account.clone()) {
                Place::Vacant(place) => {
                    place.insert(Owned::One(position));
                    continue;
                }
                Place::Occupied(place) => place.into_mut(),
            };
            match owned {
                Owned::One(first) => *owned = Owned::Few(Box::new(vec![*first, position])),
                Owned::Few(few) if few.len() < FEW => few.push(position),
                Owned::Many(many) => add(many, position, spec),
                Owned::Few(_) => {
                    let mut many = pairs(&catalogue);
                    for position in owned.few().iter().copied().chain([position]) {
                        if let Some(entry) = entries.get(position as usize) {
                            add(&mut many, position, &entry.spec);
                        }
                    }
                    *owned = Owned::Many(Box::new(many));
                }
            }
        }
        Self { generation, catalogue, entries, by_uid, every, of_account }
    }

    /// The endpoints that an event is for, filters aside. Paused ones are among them, drafts are not.
    #[must_use]
    pub fn candidates<'a>(
        &'a self,
        event: &'a str,
        product: &'a str,
        account: Option<&str>,
    ) -> Candidates<'a> {
        static NOBODY: List = List { positions: Vec::new(), filtered: false };
        let of = |pairs: &'a Pairs| pairs.get(event).and_then(|products| products.get(product));
        // A name that the catalogue does not have is nobody's, not even theirs who want all.
        let every = of(&self.every);
        let own = account.filter(|_| every.is_some()).and_then(|account| self.of_account.get(account));
        let every = every.unwrap_or(&NOBODY);
        let (own, asked, filtered) = match own {
            None => (&NOBODY.positions[..], None, false),
            Some(Owned::Many(many)) => {
                let own = of(many).unwrap_or(&NOBODY);
                (&own.positions[..], None, own.filtered)
            }
            Some(owned) => (owned.few(), Some((event, product)), false),
        };
        let mut found = Candidates { entries: &self.entries, every: &every.positions, own, asked, filtered };
        found.filtered |=
            every.filtered || asked.is_some() && found.own().any(|entry| entry.spec.filter.is_some());
        found
    }

    /// All endpoints, drafts included.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The endpoint whose file has this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Entry> {
        let place = self.entries.binary_search_by(|entry| (*entry.spec.identity.name).cmp(name));
        self.entries.get(place.ok()?)
    }

    /// The endpoint that the spool calls so.
    #[must_use]
    pub fn with_uid(&self, uid: EndpointUid) -> Option<&Entry> {
        self.entries.get(*self.by_uid.get(&uid)? as usize)
    }
}

impl Owned {
    fn few(&self) -> &[u32] {
        match self {
            Self::One(position) => std::slice::from_ref(position),
            Self::Few(few) => few,
            Self::Many(_) => &[],
        }
    }
}

/// Nobody, for every event and product of a catalogue.
fn pairs(catalogue: &Catalogue) -> Pairs {
    let products = || catalogue.products.iter().map(|product| (product.clone(), List::default())).collect();
    catalogue.events.iter().map(|event| (event.clone(), products())).collect()
}

fn add(pairs: &mut Pairs, position: u32, spec: &EndpointSpec) {
    for (event, products) in pairs {
        if !spec.events.contains(event) {
            continue;
        }
        for (product, list) in products {
            if spec.products.contains(product) {
                list.positions.push(position);
                list.filtered |= spec.filter.is_some();
            }
        }
    }
}

#[cfg(test)]
mod tests;
