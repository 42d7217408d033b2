use super::*;
use crate::ids::Identity;
use crate::table::{Filter, Selection};

fn entry(number: u32, account: Option<&str>, events: Selection, products: Selection) -> Entry {
    let spec = EndpointSpec {
        identity: Identity { name: format!("e{number}").into(), account: account.map(Into::into) },
        lifecycle: [Lifecycle::Active, Lifecycle::Paused, Lifecycle::Draft][number as usize % 7 % 3],
        events,
        products,
        filter: (number % 11 == 3).then(|| Arc::new(Filter::compile("true").unwrap())),
        delivery: Arc::default(),
        sink: None,
    };
    Entry { uid: EndpointUid(number), spec: Arc::new(spec) }
}

/// Which of the names, as the bits of `number` say; all ones: whatever there is.
fn some(names: &[Arc<str>], number: u32) -> Selection {
    if number % 16 == 15 {
        return Selection::All;
    }
    let chosen = names.iter().zip(0..).filter(|(_, bit)| number >> bit & 1 == 1);
    Selection::Some(chosen.map(|(name, _)| name.clone()).collect())
}

#[test]
fn candidates_are_exactly_those_who_want_an_event_of_a_product_in_accounts_of_every_size() {
    let catalogue = Catalogue::default();
    // One account has one endpoint, one as many as are asked one by one, one more than that, one very many.
    let sizes = [("one", 1), ("few", FEW), ("more", FEW + 1), ("many", 300)];
    let accounts = sizes.iter().flat_map(|(name, size)| vec![Some(*name); *size]).chain(vec![None; 50]);
    let entries: Vec<Entry> = (0..)
        .zip(accounts)
        .map(|(number, account)| {
            let (events, products) =
                (some(&catalogue.events, number * 7 + 1), some(&catalogue.products, number * 5 + 3));
            entry(number, account, events, products)
        })
        .collect();
    let table = Table::new(Generation(1), catalogue.clone(), entries.clone());
    let mut found_any = 0;
    for event in catalogue.events.iter().map(AsRef::as_ref).chain(["clicked"]) {
        for product in catalogue.products.iter().map(AsRef::as_ref).chain(["fax"]) {
            for account in [None, Some("one"), Some("few"), Some("more"), Some("many"), Some("nobody")] {
                let known = catalogue.event(event).is_some() && catalogue.product(product).is_some();
                let wants = |entry: &&Entry| {
                    let spec = &entry.spec;
                    known
                        && spec.lifecycle != Lifecycle::Draft
                        && spec.events.contains(event)
                        && spec.products.contains(product)
                        && (spec.identity.account.is_none() || spec.identity.account.as_deref() == account)
                };
                let mut wanted: Vec<EndpointUid> =
                    entries.iter().filter(wants).map(|entry| entry.uid).collect();
                let filtered = entries.iter().filter(wants).any(|entry| entry.spec.filter.is_some());
                let candidates = table.candidates(event, product, account);
                let mut found: Vec<EndpointUid> = candidates.iter().map(|entry| entry.uid).collect();
                wanted.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, wanted, "{event} of {product} for {account:?}");
                assert_eq!(candidates.filtered(), filtered, "{event} of {product} for {account:?}");
                found_any += found.len();
            }
        }
    }
    assert!(found_any > 1000, "{found_any}");
}
