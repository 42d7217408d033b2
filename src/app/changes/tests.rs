use super::differences;
use crate::ids::Identity;
use crate::policy::{DeliverySettings, Ordering, Rate};
use crate::table::{EndpointSpec, Lifecycle, Selection};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

fn spec(change: impl FnOnce(&mut DeliverySettings)) -> EndpointSpec {
    let mut delivery = DeliverySettings::default();
    change(&mut delivery);
    EndpointSpec {
        identity: Identity { name: "acme".into(), account: None },
        lifecycle: Lifecycle::Active,
        events: Selection::All,
        products: Selection::All,
        filter: None,
        delivery: Arc::new(delivery),
        sink: None,
    }
}

type Change = fn(&mut DeliverySettings);

#[test]
fn a_change_of_any_delivery_setting_is_named() {
    let changes: [(&str, Change); 8] = [
        ("timeout", |settings| settings.timeout = Duration::from_secs(1)),
        ("connect_timeout", |settings| settings.connect_timeout = Duration::from_secs(1)),
        ("concurrency", |settings| settings.concurrency = NonZeroUsize::MIN),
        ("ordering", |settings| settings.ordering = Ordering::None),
        ("rate", |settings| {
            settings.rate = Some(Rate { count: NonZeroU32::MIN, per: Duration::from_secs(1) });
        }),
        ("keep_answer", |settings| settings.keep_answer = true),
        ("retry", |settings| settings.retry.jitter = 0.5),
        ("breaker", |settings| settings.breaker.ratio = 0.9),
    ];
    let before = spec(|_| {});
    for (key, change) in changes {
        assert_eq!(differences(&before, &spec(change)), [format!("{key} changed")]);
    }
}
