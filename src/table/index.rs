use super::{Catalogue, EndpointSpec, Lifecycle};
use crate::ids::{EndpointUid, Generation};
use std::collections::HashMap;
use std::sync::Arc;

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
    entries: Vec<Entry>,
    by_name: HashMap<Arc<str>, u32>,
    by_uid: HashMap<EndpointUid, u32>,
    index: HashMap<Arc<str>, HashMap<Arc<str>, Subscribers>>,
}

/// Who wants one event of one product.
#[derive(Debug, Default)]
struct Subscribers {
    of_every_account: List,
    of_account: HashMap<Arc<str>, List>,
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
        self.every.iter().chain(self.own).filter_map(move |position| self.entries.get(*position as usize))
    }
}

impl Table {
    /// Builds the index.
    #[must_use]
    pub fn new(generation: Generation, catalogue: Catalogue, entries: Vec<Entry>) -> Self {
        let mut index: HashMap<Arc<str>, HashMap<Arc<str>, Subscribers>> = HashMap::new();
        for event in &catalogue.events {
            let products = index.entry(event.clone()).or_default();
            for product in &catalogue.products {
                products.insert(product.clone(), Subscribers::default());
            }
        }
        let (mut by_name, mut by_uid) = (HashMap::new(), HashMap::new());
        for (position, entry) in (0u32..).zip(&entries) {
            let spec = &entry.spec;
            by_name.insert(spec.identity.name.clone(), position);
            by_uid.insert(entry.uid, position);
            if spec.lifecycle == Lifecycle::Draft {
                continue;
            }
            for (event, products) in &mut index {
                if !spec.events.contains(event) {
                    continue;
                }
                for (product, subscribers) in products {
                    if spec.products.contains(product) {
                        subscribers.add(position, spec.identity.account.as_ref(), spec.filter.is_some());
                    }
                }
            }
        }
        Self { generation, catalogue, entries, by_name, by_uid, index }
    }

    /// The endpoints that an event is for, filters aside. Paused ones are among them, drafts are not.
    #[must_use]
    pub fn candidates(&self, event: &str, product: &str, account: Option<&str>) -> Candidates<'_> {
        static NOBODY: List = List { positions: Vec::new(), filtered: false };
        let subscribers = self.index.get(event).and_then(|products| products.get(product));
        let every = subscribers.map_or(&NOBODY, |subscribers| &subscribers.of_every_account);
        let own = subscribers.and_then(|subscribers| subscribers.of_account.get(account?)).unwrap_or(&NOBODY);
        Candidates {
            entries: &self.entries,
            every: &every.positions,
            own: &own.positions,
            filtered: every.filtered || own.filtered,
        }
    }

    /// All endpoints, drafts included.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The endpoint whose file has this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Entry> {
        self.entries.get(*self.by_name.get(name)? as usize)
    }

    /// The endpoint that the spool calls so.
    #[must_use]
    pub fn with_uid(&self, uid: EndpointUid) -> Option<&Entry> {
        self.entries.get(*self.by_uid.get(&uid)? as usize)
    }
}

impl Subscribers {
    fn add(&mut self, position: u32, account: Option<&Arc<str>>, filtered: bool) {
        let list = match account {
            None => &mut self.of_every_account,
            Some(account) => self.of_account.entry(account.clone()).or_default(),
        };
        list.positions.push(position);
        list.filtered |= filtered;
    }
}
