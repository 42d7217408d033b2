//! Whole configurations on disk.

use super::*;
use std::fs;

fn folder(endpoints: &[(&str, &str)]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("postrider.toml");
    fs::write(&root, "[defaults]\ntimeout = '7s'\n").unwrap();
    fs::create_dir(folder.path().join("endpoints")).unwrap();
    for (name, text) in endpoints {
        fs::write(folder.path().join("endpoints").join(name), text).unwrap();
    }
    (folder, root)
}

#[test]
fn the_sample_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/postrider.toml");
    let report = check(&root, &crate::sinks::Sinks::standard());
    assert!(report.is_ok(), "{report}");
    assert_eq!(report.files.len(), 3);
    assert_eq!(report.files[1].summary, "4 events, 2 products, to https://hooks.acme.example/whatsapp");
}

#[test]
fn each_endpoint_file_stands_alone_and_droppings_are_ignored() {
    let (_folder, root) = folder(&[
        ("good.toml", GOOD),
        ("bad.toml", "events = 5"),
        ("Bad Name.toml", GOOD),
        (".hidden.toml", "x"),
        ("good.toml~", "x"),
        (".good.toml.swp", "x"),
        ("#good.toml#", "x"),
        ("README", "x"),
    ]);
    let report = check(&root, &sinks());
    let states: Vec<(bool, &str)> = report
        .files
        .iter()
        .map(|file| (file.errors.is_empty(), file.file.rsplit('/').next().unwrap()))
        .collect();
    assert_eq!(
        states,
        [(true, "postrider.toml"), (false, "Bad Name.toml"), (false, "bad.toml"), (true, "good.toml")]
    );
    let shown = report.to_string();
    assert!(shown.contains("2 of 4 files invalid"), "{shown}");
    assert_eq!(report.to_json()["ok"], false);
}

#[test]
fn a_missing_folder_and_an_oversized_file_are_errors() {
    let (folder, root) = folder(&[("big.toml", &" ".repeat(1024 * 1024 + 1))]);
    let report = check(&root, &sinks());
    assert!(report.files[1].errors[0].message.contains("larger than 1024 KiB"), "{report}");
    fs::remove_dir_all(folder.path().join("endpoints")).unwrap();
    let report = check(&root, &sinks());
    assert!(report.files[1].errors[0].message.contains("no such file"), "{report}");
    fs::remove_file(&root).unwrap();
    assert!(!check(&root, &sinks()).is_ok());
}

#[test]
fn a_pipe_in_the_folder_does_not_stall_the_reader() {
    let (folder, root) = folder(&[]);
    let pipe = folder.path().join("endpoints/pipe.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let report = check(&root, &sinks());
    assert!(report.files[1].errors[0].message.contains("not a regular file"), "{report}");
}

#[test]
fn effective_values_say_where_they_come_from_and_hide_secrets() {
    let text = "events = 'all'\nproducts = ['crm']\nretry.jitter = 0.1\n[http]\nurl = 'https://a'\n\
                auth = { basic = { username = 'acme', password = 'hunter2' } }\n";
    let (_folder, root) = folder(&[("acme.toml", text)]);
    let loader = Loader::new(&root, sinks(), Arc::new(SystemSecrets));
    let shown = effective(&loader, "acme").unwrap().expect("there is one");
    let value = |key: &str| {
        let value = shown.values.iter().find(|value| value.key == key).unwrap();
        (value.value.clone(), value.origin.rsplit('/').next().unwrap().to_owned())
    };
    assert_eq!(value("retry.jitter"), ("0.1".into(), "acme.toml:3".into()));
    assert_eq!(value("timeout"), ("'7s'".into(), "postrider.toml:2".into()));
    assert_eq!(value("concurrency"), ("16".into(), "default".into()));
    assert_eq!(value("http.auth.basic.username").0, "'acme'");
    assert!(value("http.auth.basic.password").0.starts_with("fingerprint "));
    assert!(!shown.to_string().contains("hunter2"));
    assert!(effective(&loader, "nobody").unwrap().is_none());
}

#[test]
fn what_holds_for_the_daemon_is_every_key_it_has_and_no_secret() {
    let (_folder, root) = folder(&[("acme.toml", super::GOOD), ("beta.toml", super::GOOD)]);
    let text = "[ingress]\nmax_batch = 7\n[[ingress.publisher]]\nname = 'shop'\nbearer = 'hunter2'\n[defaults]\nrate = '5/s'\n";
    fs::write(&root, text).unwrap();
    let loader = Loader::new(&root, sinks(), Arc::new(SystemSecrets));
    let all = effective_all(&loader).unwrap();
    let value = |key: &str| {
        let value = all.daemon.iter().find(|value| value.key == key).unwrap_or_else(|| panic!("{key}"));
        (value.value.clone(), value.origin.rsplit('/').next().unwrap().to_owned())
    };
    assert_eq!(value("ingress.max_batch"), ("7".into(), "postrider.toml:2".into()));
    assert_eq!(value("ingress.dedup_window"), ("\"24h\"".into(), "default".into()));
    assert_eq!(value("ingress.publisher.0.name").0, "'shop'");
    assert!(value("ingress.publisher.0.bearer").0.starts_with("fingerprint "));
    assert_eq!(value("defaults.rate"), ("'5/s'".into(), "postrider.toml:7".into()));
    assert_eq!(value("defaults.timeout").1, "default");
    assert!(!all.to_string().contains("hunter2"), "{all}");
    let names: Vec<&str> = all.endpoints.iter().map(|one| &*one.endpoint).collect();
    assert_eq!(names, ["acme", "beta"]);
    fs::write(root.with_file_name("endpoints").join("beta.toml"), "x = 1").unwrap();
    assert_eq!(effective_all(&loader).unwrap_err().0.len(), 4);
}

#[test]
fn a_text_to_be_copied_leaves_secrets_out_and_says_which() {
    let text = "# ours\nevents = 'all'\n[http]\nurl = 'https://a'\n\
                auth = { basic = { username = 'acme', password = 'hunter2' } }\n\
                headers = { x-team = 'orders', \"x\\ntoken\" = 'hunter3' }\n\
                signing = { secrets = ['whsec_one', { file = 'secrets/two' }, 'whsec_three'] }\n";
    let (_folder, root) = folder(&[("acme.toml", text)]);
    let loader = Loader::new(&root, sinks(), Arc::new(SystemSecrets));
    let copied = without_secrets(&loader.form(text));
    for secret in ["hunter2", "hunter3", "whsec_", "fingerprint"] {
        assert!(!copied.contains(secret), "{copied}");
    }
    let (comments, rest) = copied.split_once("# ours\n").expect("the text after the comments");
    assert!(comments.lines().all(|line| line.starts_with('#')), "{comments}");
    for key in ["http.auth.basic.password", r#"http.headers."x\ntoken""#, "http.signing.secrets.2"] {
        assert!(comments.contains(key), "{comments}");
    }
    let expected = "events = 'all'\n[http]\nurl = 'https://a'\n\
                    auth = { basic = { username = 'acme' } }\n\
                    headers = { x-team = 'orders' }\n\
                    signing = { secrets = [{ file = 'secrets/two' }] }\n";
    assert_eq!(rest, expected);
    let nothing_secret = loader.form("events = 'all' # x\n");
    assert_eq!(without_secrets(&nothing_secret), "events = 'all' # x\n");
}

#[test]
fn a_secret_is_shown_nowhere_though_its_key_is_misspelt_or_its_place_is_wrong() {
    let written = [
        "auth = { basic = { username = 'u', pasword = 'hunter2' } }",
        "auth = { basic = 'hunter2' }",
        "auth.basic.x = 'hunter2'",
        "auth = { basic = { username = 'u:hunter2', password = 'p' } }",
        "auth = { header = { name = 'x-api-key', valu = 'hunter2' } }",
        "auth = {}\npasswrod = 'hunter2'",
        "auth = {}\nsigning = 'hunter2'",
        "auth = {}\nsigning = { secrest = ['hunter2'] }",
        "auth = {}\nproxy = 'u:hunter2@proxy'",
        "auth = {}\nproxy = { url = 'http://proxy', auth = { basic = { pass = 'hunter2' } } }",
    ];
    for auth in written {
        let text = format!(
            "events = 'all'\nproducts = ['crm']\nx = 1\n[http]\nurl = 'https://a.example/'\n{auth}\n"
        );
        let (_folder, root) = folder(&[("acme.toml", &text)]);
        let loader = Loader::new(&root, sinks(), Arc::new(SystemSecrets));
        let form = loader.form(&text);
        let report = crate::config::check(&root, &sinks());
        assert!(!report.is_ok());
        let shown = format!("{}{:?}{}{}", form.toml, form.settings, report.render(false), report.to_json());
        assert!(!shown.contains("hunter2"), "{auth}: {shown}");
        assert!(shown.contains("https://a.example/"));
        let sound = text.replace("x = 1\n", "");
        if let Ok(effective) = effective_of(&loader, "acme", &sound) {
            assert!(!format!("{:?}", effective.values).contains("hunter2"), "{auth}: {effective:?}");
        }
    }
    for publisher in ["basic = { username = 'u', pasword = 'hunter2' }", "bearer = { fiel = 'hunter2' }"] {
        let (_folder, root) = folder(&[]);
        fs::write(&root, format!("[[ingress.publisher]]\nname = 'shop'\n{publisher}\n")).unwrap();
        let report = crate::config::check(&root, &sinks());
        let shown = format!("{}{}", report.render(false), report.to_json());
        assert!(!report.is_ok() && !shown.contains("hunter2"), "{shown}");
    }
}
