//! A list of an endpoint's file that settings change.

use super::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The text that says what `change` makes of the settings of a text.
fn edited(text: &str, change: impl FnOnce(&mut Map<String, Value>)) -> String {
    let root = Path::new("/etc/postrider/postrider.toml");
    let loader = Loader::new(root, sinks(), Arc::new(FakeSecrets::default()));
    let form = loader.form(text);
    let mut wanted = form.settings.clone().expect("it is TOML");
    change(&mut wanted);
    let changed = edit(text, &form, &wanted).expect("it can be written");
    assert_eq!(loader.form(&changed).settings, Some(wanted), "{changed}");
    changed
}

/// The text with another list of events.
fn with_events(text: &str, events: &[&str]) -> String {
    edited(text, |settings| drop(settings.insert("events".to_owned(), json!(events))))
}

const COMMENTED: &str = r#"# Who: Anna
events = [ # what they asked for
    "sent",      # goes out
    'delivered', # lands

    # bad news
    "failed",    # tell support
    # no more for now
]   # 2026
products = "all"
"#;

#[test]
fn an_element_that_is_added_to_a_list_leaves_its_lines_and_comments_alone() {
    for (wanted, place, line) in [
        (["sent", "delivered", "read", "failed"], "\n\n    # bad news", "\n    \"read\","),
        (["read", "sent", "delivered", "failed"], "\n    \"sent\",", "\n    \"read\","),
        (["sent", "delivered", "failed", "read"], "\n    # no more for now", "\n    \"read\","),
    ] {
        let expected = COMMENTED.replace(place, &format!("{line}{place}"));
        assert_eq!(with_events(COMMENTED, &wanted), expected);
    }
}

#[test]
fn an_element_that_is_removed_takes_its_own_comments_along_and_no_others() {
    let without_delivered = COMMENTED.replace("    'delivered', # lands\n", "");
    assert_eq!(with_events(COMMENTED, &["sent", "failed"]), without_delivered);
    let without_failed = COMMENTED.replace("\n    # bad news\n    \"failed\",    # tell support\n", "");
    assert_eq!(with_events(COMMENTED, &["sent", "delivered"]), without_failed);
    let without_sent = COMMENTED.replace("    \"sent\",      # goes out\n", "");
    assert_eq!(with_events(COMMENTED, &["delivered", "failed"]), without_sent);
    let another = COMMENTED.replace("'delivered'", "\"read\"");
    assert_eq!(with_events(COMMENTED, &["sent", "read", "failed"]), another, "in the place of one");
    let turned =
        "events = [ # what they asked for\n    'delivered', # lands\n    \"sent\",      # goes out\n";
    assert!(with_events(COMMENTED, &["delivered", "sent", "failed"]).contains(turned));
    let none = with_events(COMMENTED, &[]);
    assert!(none.contains("# what they asked for") && none.contains("# no more for now"), "{none}");
}

#[test]
fn a_last_line_without_a_comma_stays_one() {
    let text = "events = [\n  \"sent\",\n  \"failed\"  # bad news\n]\n";
    let longer = "events = [\n  \"sent\",\n  \"failed\",  # bad news\n  \"read\"\n]\n";
    assert_eq!(with_events(text, &["sent", "failed", "read"]), longer);
    assert_eq!(with_events(text, &["sent"]), "events = [\n  \"sent\"\n]\n");
    assert_eq!(with_events(text, &["failed"]), "events = [\n  \"failed\"  # bad news\n]\n");
}

#[test]
fn a_list_on_one_line_stays_there_and_well_formed() {
    let cases: [(&str, &[&str], &str); 9] = [
        ("['sent']", &["sent", "read"], "['sent', \"read\"]"),
        ("['sent']", &["read", "sent"], "[\"read\", 'sent']"),
        ("[ 'sent', 'read' ]", &["read"], "[ 'read' ]"),
        ("[ 'sent', 'read' ]", &["sent", "failed", "read"], "[ 'sent', \"failed\", 'read' ]"),
        ("['sent','read',]", &["sent", "read", "failed"], "['sent','read', \"failed\",]"),
        ("[ ]", &["sent", "read"], "[\"sent\", \"read\"]"),
        ("['sent', 'read',]", &[], "[]"),
        ("[ # none yet\n]", &["sent"], "[ # none yet\n    \"sent\"\n]"),
        ("'all'", &["sent", "read"], "[\"sent\", \"read\"]"),
    ];
    for (list, wanted, expected) in cases {
        let text = |list: &str| format!("events = {list} # theirs\nproducts = 'all'\n");
        assert_eq!(with_events(&text(list), wanted), text(expected));
    }
}

const TESTED: &str = r#"events = "all"
products = "all"

# It must not get what was read.
[[test]]
event = "read" # the only one
product = "crm"
matches = false

# But this.
[[test]]
event = "sent"
product = "crm"
matches = true

[http]
url = "https://a.example/in"
"#;

#[test]
fn tables_of_a_list_stay_tables_with_their_comments() {
    let tests = |change: fn(&mut Vec<Value>)| {
        edited(TESTED, |settings| {
            change(settings.get_mut("test").and_then(Value::as_array_mut).expect("a list"));
        })
    };
    let added = tests(|all| all.push(json!({ "event": "failed", "product": "crm", "matches": true })));
    let new = "[[test]]\nevent = \"failed\"\nmatches = true\nproduct = \"crm\"\n";
    assert_eq!(added, TESTED.replace("[http]", &format!("{new}\n[http]")));
    let removed = tests(|all| drop(all.remove(0)));
    let first = "\n# It must not get what was read.\n[[test]]\nevent = \"read\" # the only one\nproduct = \"crm\"\nmatches = false\n";
    assert_eq!(removed, TESTED.replace(first, ""));
    let changed = tests(|all| all[1]["matches"] = json!(false));
    assert_eq!(changed, TESTED.replace("matches = true", "matches = false"));
}

const SIGNED: &str = r#"events = "all"
products = "all"

[http]
url = "https://a.example/in"

# Since May.
[[http.signing.secrets]]
file = "a" # theirs
"#;

#[test]
fn tables_that_refer_to_secrets_stay_what_they_are_and_gain_no_key() {
    let mut secrets = FakeSecrets::default();
    secrets.files.insert("/etc/postrider/a".to_owned(), Ok(b"one".to_vec()));
    let root = Path::new("/etc/postrider/postrider.toml");
    let form = Loader::new(root, sinks(), Arc::new(secrets)).form(SIGNED);
    let settings = form.settings.clone().expect("it is TOML");
    let first = settings["http"]["signing"]["secrets"][0].clone();
    assert!(first["fingerprint"].is_string(), "{first}");
    let with = |list: Value| {
        let mut wanted = settings.clone();
        wanted["http"]["signing"]["secrets"] = list;
        edit(SIGNED, &form, &wanted)
    };
    let another = |name: &str| format!("{SIGNED}\n[[http.signing.secrets]]\nfile = \"{name}\"\n");
    // As it was shown, as it was shown once, and as the file has it.
    for first in [first.clone(), json!({ "file": "a", "fingerprint": "9f" }), json!({ "file": "a" })] {
        assert_eq!(with(json!([first, { "file": "b" }])), Ok(another("b")));
        assert_eq!(with(json!([first, first])), Ok(another("a")));
    }
    assert_eq!(with(json!([{ "file": "b" }])), Ok(SIGNED.replace("\"a\"", "\"b\"")));
    let wrong = with(json!([first, { "file": "b", "fingerprint": "9f" }])).unwrap_err();
    let path = ["http", "signing", "secrets", "1"].map(str::to_owned).to_vec();
    assert_eq!((wrong.len(), &wrong[0].path), (1, &path), "{wrong:?}");
    assert!(wrong[0].message.contains("another one"), "{wrong:?}");
}

fn gap() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just(" "), Just("\n  "), Just(" # c\n"), Just("\n  # c\n  ")]
}

proptest! {
    #[test]
    fn a_list_of_any_layout_says_what_is_wanted_and_loses_no_comment_by_an_addition(
        parts in proptest::collection::vec((gap(), 0_u8..4, gap()), 0..6),
        tail in gap(),
        comma in any::<bool>(),
        wanted in proptest::collection::vec(0_u8..6, 0..6),
        at in 0_usize..7,
    ) {
        let mut text = String::from("events = [");
        for (nth, (before, name, behind)) in parts.iter().enumerate() {
            let comma = if nth + 1 < parts.len() || comma { "," } else { "" };
            text.push_str(&format!("{before}'e{name}'{behind}{comma}"));
        }
        text.push_str(&format!("{tail}]\n"));
        let named = |names: &[u8]| names.iter().map(|name| format!("e{name}")).collect::<Vec<_>>();
        edited(&text, |settings| drop(settings.insert("events".to_owned(), json!(named(&wanted)))));
        let mut more = named(&parts.iter().map(|part| part.1).collect::<Vec<_>>());
        more.insert(at.min(more.len()), "new".to_owned());
        let longer = edited(&text, |settings| drop(settings.insert("events".to_owned(), json!(more))));
        prop_assert_eq!(longer.matches('#').count(), text.matches('#').count(), "{}", longer);
    }
}
