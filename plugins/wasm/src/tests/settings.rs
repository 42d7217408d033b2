use super::kit::{behave, components, doing, factory, file, text};
use postrider_sink::{Bytes, SettingError, SettingsFile, SinkFactory as _, Table, Value};

fn errors(settings: &Table) -> Vec<SettingError> {
    factory().check(settings).err().unwrap_or_default()
}

fn with(key: &str, value: Value) -> Table {
    let mut settings = doing("send", &[]);
    settings.insert(key.to_owned(), value);
    settings
}

#[test]
fn every_error_is_told_at_once_with_its_key() {
    let settings = Table::from([
        ("file".into(), Value::Integer(3)),
        ("hosts".into(), Value::Array(vec![text("*"), text("hooks.example")])),
        ("settings".into(), text("x")),
        ("memory".into(), text("4 GiB")),
        ("fiel".into(), text("x")),
    ]);
    let found: Vec<String> = errors(&settings).iter().map(ToString::to_string).collect();
    for key in ["file:", "hosts.0:", "settings:", "memory:", "fiel:"] {
        assert!(found.iter().any(|error| error.starts_with(key)), "{key} {found:?}");
    }
    assert_eq!(found.len(), 5, "{found:?}");
    assert_eq!(errors(&Table::new())[0].to_string(), ": file is missing");
}

#[test]
fn what_is_no_component_of_ours_is_an_error_at_the_file() {
    let component =
        |bytes: &'static [u8]| Value::File(SettingsFile::new("x.wasm".into(), Bytes::from_static(bytes)));
    for (value, wanted) in [
        (component(b"hello"), "it is not WebAssembly"),
        (component(b"\0asm\x01\0\0\0"), "it is a module of WebAssembly, and not a component"),
        (component(b"\0asm\x0d\0\x01\0\xff\xff"), "it is not a component that can be loaded"),
        (component(b"\0asm\x0d\0\x01\0"), "it does not fit postrider:sink@1.0.0"),
    ] {
        let found = errors(&with("file", value));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with(&format!("file: {wanted}")), "{found:?}");
    }
}

#[test]
fn what_the_component_finds_wrong_with_its_settings_is_an_error_at_their_key() {
    let mut settings = with("file", file(&components().join("example.wasm")));
    settings.insert("settings".into(), Value::Table(Table::from([("url".into(), text("nowhere"))])));
    let found = errors(&settings);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].to_string(), "settings.url: url is no URL");
    assert!(found[0].help.as_ref().is_some_and(|help| help.contains("hosts")), "{found:?}");
}

#[test]
fn the_fingerprint_changes_with_what_it_reaches_and_not_with_its_memory() {
    let print = |settings: &Table| factory().check(settings).map(|plan| plan.fingerprint()).ok().unwrap();
    let plain = print(&doing("send", &[]));
    assert_eq!(plain, print(&with("memory", text("128 MiB"))));
    assert_ne!(plain, print(&with("hosts", Value::Array(Vec::new()))));
    assert_ne!(plain, print(&doing("gone", &[])));
    assert_eq!(plain, print(&with("file", behave())));
}

/// The first time it takes seconds.
#[test]
fn a_component_is_compiled_once_for_all_who_use_it() {
    drop(factory().check(&doing("send", &[])));
    let started = tokio::time::Instant::now();
    for number in 0..100 {
        assert!(errors(&doing("send", &[("n", Value::Integer(number))])).is_empty());
    }
    assert!(started.elapsed().as_millis() < 1000, "{:?}", started.elapsed());
}
