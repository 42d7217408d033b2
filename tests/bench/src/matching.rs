//! What matching an event costs: the same ten endpoints want it, among few others or among very many.

use anyhow::{Result, ensure};
use postrider::ids::{EndpointUid, Generation, Identity};
use postrider::table::{Catalogue, EndpointSpec, Entry, Lifecycle, Selection, Table};
use std::hint::black_box;
use std::sync::Arc;

/// Endpoints that want the event.
const WANT_IT: u32 = 10;

/// How many endpoints there are, and how many events are matched.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Endpoints configured, those that want the event among them.
    #[arg(long, default_value_t = 10)]
    endpoints: u32,
    #[arg(long, default_value_t = 10_000)]
    events: u32,
}

/// Builds a table and matches. The instructions of [`match_events`] are counted from outside.
pub(crate) fn run(options: &Options) -> Result<()> {
    let table = table(options.endpoints.max(WANT_IT));
    let matched = match_events(&table, options.events);
    ensure!(matched == u64::from(options.events) * u64::from(WANT_IT), "{matched} deliveries");
    println!("{matched} deliveries of {} events among {} endpoints", options.events, options.endpoints);
    Ok(())
}

/// Matches the same event over and over; how many deliveries that makes.
#[inline(never)]
fn match_events(table: &Table, events: u32) -> u64 {
    let mut deliveries = 0;
    for _ in 0..events {
        let candidates = table.candidates(black_box("sent"), black_box("crm"), black_box(Some("acme")));
        assert!(!candidates.filtered(), "none has a filter");
        let targets: Vec<EndpointUid> = candidates.iter().map(|entry| entry.uid).collect();
        deliveries += u64::try_from(black_box(targets).len()).unwrap_or_default();
    }
    deliveries
}

/// Half of those that want it are of its account, half of every one. The others want the same event for other
/// accounts, or another event.
fn table(endpoints: u32) -> Table {
    let entry = |number: u32| {
        let even = number.is_multiple_of(2);
        let account = match number {
            _ if number < WANT_IT / 2 => None,
            _ if number < WANT_IT => Some("acme".into()),
            _ if even => Some(format!("account-{number}").into()),
            _ => None,
        };
        let event = if number < WANT_IT || even { "sent" } else { "read" };
        let spec = EndpointSpec {
            identity: Identity { name: format!("endpoint-{number}").into(), account },
            lifecycle: Lifecycle::Active,
            events: Selection::Some([event.into()].into()),
            products: Selection::All,
            filter: None,
            delivery: Arc::default(),
            sink: None,
        };
        Entry { uid: EndpointUid(number), spec: Arc::new(spec) }
    };
    Table::new(Generation(1), Catalogue::default(), (0..endpoints).map(entry).collect())
}
