use super::kit::{table, text};
use crate::NatsSinkFactory;
use nkeys::KeyPair;
use postrider_sink::{Secret, SinkFactory, Table, Value};

fn errors(table: &Table) -> Vec<String> {
    let errors = NatsSinkFactory::new().check(table).err().unwrap_or_default();
    errors.iter().map(ToString::to_string).collect()
}

fn inner<const N: usize>(entries: [(&str, &str); N]) -> Value {
    let secret = |value: &str| Value::Secret(Secret::new(value.to_owned()));
    Value::Table(entries.map(|(key, value)| (key.to_owned(), secret(value))).into())
}

#[test]
fn every_error_is_told_at_once_with_its_key() {
    let mut wrong = table(4222);
    wrong.insert("servers".into(), Value::Array(vec![text("nats://good:4222"), text("http://bad")]));
    wrong.insert("subject".into(), text("events.*"));
    wrong.insert("jetstream".into(), Value::Boolean(false));
    wrong.insert("stream".into(), text("EVENTS"));
    wrong.insert("auth".into(), inner([("username", "acme"), ("token", "x")]));
    wrong.insert("tls".into(), inner([("ca", "no certificate")]));
    wrong.insert("serves".into(), text("x"));
    let found = errors(&wrong);
    for key in ["servers.1:", "subject:", "stream:", "auth:", "tls:", "tls.ca:", "serves:"] {
        assert!(found.iter().any(|error| error.starts_with(key)), "{key} {found:?}");
    }
    assert_eq!(found.len(), 7, "{found:?}");
    assert_eq!(errors(&Table::new()), [": servers is missing", ": subject is missing"]);
    assert!(errors(&table(4222)).is_empty());
}

#[test]
fn who_connects_is_said_in_one_way_and_looked_at() {
    let with = |auth: Value| {
        let mut table = table(4222);
        table.insert("auth".into(), auth);
        errors(&table)
    };
    for (auth, wanted) in [
        (inner([]), "auth: auth says nothing"),
        (inner([("username", "acme")]), "auth: password is missing"),
        (inner([("password", "x")]), "auth: username is missing"),
        (inner([("nkey", "SUABC")]), "auth.nkey: not the seed of an NKEY"),
        (
            inner([("nkey", &KeyPair::new_account().seed().unwrap())]),
            "auth.nkey: the seed of an NKEY that is not a user's",
        ),
        (inner([("credentials", "x")]), "auth.credentials: not the text of a .creds file"),
        (inner([("tokn", "x"), ("token", "x")]), "auth.tokn: unknown key"),
    ] {
        let found = with(auth);
        assert!(found.len() == 1 && found[0].starts_with(wanted), "{wanted}: {found:?}");
    }
    assert!(with(inner([("nkey", &KeyPair::new_user().seed().unwrap())])).is_empty());
}

#[test]
fn the_fingerprint_changes_with_where_it_goes_and_who_connects() {
    let print = |key: &str, value: Value| {
        let mut table = table(4222);
        table.insert(key.to_owned(), value);
        NatsSinkFactory::new().check(&table).map(|plan| plan.fingerprint()).unwrap()
    };
    let plain = print("jetstream", Value::Boolean(true));
    let mut all = vec![
        plain,
        print("jetstream", Value::Boolean(false)),
        print("subject", text("other")),
        print("stream", text("EVENTS")),
        print("auth", inner([("token", "a")])),
        print("auth", inner([("token", "b")])),
        print("auth", inner([("username", "a"), ("password", "b")])),
        print("servers", Value::Array(vec![text("tls://nats.example:4222")])),
    ];
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 8);
    assert_eq!(plain, print("subject", text("events.{event}")));
}
