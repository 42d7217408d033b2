use super::keys::{DAEMON, DELIVERY, ENDPOINT};
use super::testing::{FakeSecrets, sinks};
use super::*;
use crate::policy::Ordering;
use crate::table::{EndpointSpec, Lifecycle, Selection};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn daemon_with(text: &str, secrets: &FakeSecrets) -> DaemonFile {
    DaemonFile::read(Arc::from("postrider.toml"), Arc::from(text), Path::new("/etc/postrider"), secrets)
}

fn daemon(text: &str) -> DaemonFile {
    daemon_with(text, &FakeSecrets::default())
}

fn endpoint_with(text: &str, daemon_text: &str, secrets: &FakeSecrets) -> CompiledEndpoint {
    let daemon = daemon_with(daemon_text, secrets);
    let context = Context {
        daemon: daemon.valid().expect("a valid daemon file"),
        sinks: &sinks(),
        secrets,
        base: Path::new("/etc/postrider"),
        shared: &Shared::default(),
    };
    compile_endpoint(&Arc::from("acme"), Arc::from("endpoints/acme.toml"), &Arc::from(text), context)
}

fn endpoint(text: &str) -> Result<EndpointSpec, Vec<ConfigError>> {
    endpoint_with(text, "", &FakeSecrets::default()).result
}

const GOOD: &str = "events = 'all'\nproducts = ['crm']\n[http]\nurl = 'https://a.example/'\nauth = {}\n";

fn lines(errors: &[ConfigError]) -> Vec<String> {
    errors.iter().map(ConfigError::one_line).collect()
}

#[test]
fn an_empty_daemon_file_says_what_the_defaults_say() {
    let file = daemon("");
    let config = file.valid().expect("valid");
    assert_eq!(config.ingress, IngressConfig::at("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(config.spool, SpoolConfig::at("/etc/postrider/data".into()));
    assert_eq!(config.defaults, crate::policy::DeliverySettings::default());
    assert_eq!(config.catalogue, crate::table::Catalogue::default());
}

#[test]
fn the_table_of_keys_names_the_defaults_that_hold() {
    let mut text = String::new();
    for key in DAEMON.iter().filter(|key| !key.default.is_empty()) {
        text.push_str(&format!("{} = {}\n", key.path, key.default));
    }
    for key in DELIVERY.iter().filter(|key| !key.default.is_empty()) {
        text.push_str(&format!("defaults.{} = {}\n", key.path, key.default));
    }
    let written = daemon(&text);
    assert_eq!(lines(&written.errors), Vec::<String>::new());
    assert_eq!(written.config, daemon("").config);
}

#[test]
fn the_table_of_keys_is_exactly_what_the_readers_ask_for() {
    let text = "ingress.tls = { cert = '/c', key = '/k' }\nadmin.tls = { cert = '/c', key = '/k' }\n[[ingress.publisher]]\nname='a'\nbasic={username='u',password='p'}\n[[ingress.publisher]]\nname='b'\n\
                bearer='t'\n[[admin.login]]\nusername='u'\npassword='p'\n[[network.exception]]\nendpoint='a'\n\
                cidr='10.0.0.0/8'\n[spool]\n[catalogue]\n[limits]\n[reload]\n[shutdown]\n[defaults.retry]\n[defaults.breaker]\n";
    let problems = source::Problems::new("f".into(), text.into());
    let root = tree::parse(text, &problems).expect("TOML");
    let secrets = tls::secrets_with(&[tls::pair("a")], "/c", "/k");
    let mut resolver = secrets::Resolver::new(&secrets, Path::new("/"));
    daemon_file::compile(&root, Path::new("/"), &problems, &mut resolver);
    assert_eq!(lines(&problems.take()), Vec::<String>::new());

    let known: BTreeSet<String> = DAEMON
        .iter()
        .map(|key| key.path.replace("[]", ""))
        .chain(DELIVERY.iter().map(|key| format!("defaults.{}", key.path)))
        .collect();
    let tables: BTreeSet<&str> =
        known.iter().flat_map(|path| path.match_indices('.').map(|(end, _)| &path[..end])).collect();
    let asked: BTreeSet<String> =
        problems.asked.take().into_iter().filter(|path| !tables.contains(path.as_str())).collect();
    assert_eq!(asked, known);
}

#[test]
fn the_manual_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, manual()).expect("writable");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == manual(), "docs/configuration.md is old: UPDATE_DOCS=1 cargo test --lib manual");
}

#[test]
fn the_schema_lists_every_key_with_its_default() {
    let schema = schema(FileKind::Daemon, &sinks());
    let listen = &schema["properties"]["ingress"]["properties"]["listen"];
    assert_eq!(listen["default"], "127.0.0.1:8080");
    let live = |path: &str| {
        schema.pointer(&format!("/properties/{path}/x-live")).and_then(serde_json::Value::as_bool)
    };
    assert_eq!(live("ingress/properties/listen"), Some(false), "it holds from the next start on");
    assert_eq!(live("ingress/properties/max_body"), Some(true));
    let ratio = schema.pointer("/properties/defaults/properties/breaker/properties/ratio").expect("a key");
    assert_eq!((&ratio["exclusiveMinimum"], &ratio["minimum"]), (&0.into(), &serde_json::Value::Null));
    let item = &schema["properties"]["ingress"]["properties"]["publisher"]["items"];
    assert_eq!(item["properties"]["rate"]["type"], "string");
    let schema = super::schema(FileKind::Endpoint, &sinks());
    for key in ENDPOINT {
        let pointer = format!("/properties/{}", key.path.replace("[].", "/items/properties/"));
        assert!(schema.pointer(&pointer).is_some_and(serde_json::Value::is_object), "{}", key.path);
    }
    assert!(schema["properties"]["http"].is_object());
    assert_eq!(schema["if"]["properties"]["state"]["const"], "draft");
    assert_eq!(schema["else"]["required"], serde_json::json!(["events", "products"]));
    assert_eq!(schema["else"]["oneOf"].as_array().map(Vec::len), Some(sinks().kinds().count()));
}

#[test]
fn every_error_of_a_file_is_reported_at_once_with_its_place() {
    let errors = endpoint(
        "state = 'activ'\nevents = ['sent', 'deliverd']\nproducts = []\ntimout = '5s'\nconcurrency = 0\n\
         rate = '50'\n[retry]\nschedule = ['5s', 7]\njitter = 2\n[http]\nurl = 'ftp://x'\nauht = {}\n",
    )
    .unwrap_err();
    assert_eq!(
        lines(&errors),
        [
            "endpoints/acme.toml:1:9: unknown state \"activ\"",
            "endpoints/acme.toml:2:19: unknown event \"deliverd\"",
            "endpoints/acme.toml:3:12: products is empty",
            "endpoints/acme.toml:4:1: unknown key \"timout\"",
            "endpoints/acme.toml:5:15: out of range",
            "endpoints/acme.toml:6:8: not a rate",
            "endpoints/acme.toml:8:19: a duration needs a unit",
            "endpoints/acme.toml:9:10: out of range",
            "endpoints/acme.toml:10:1: auth is missing",
            "endpoints/acme.toml:11:7: not a URL",
            "endpoints/acme.toml:12:1: unknown key \"auht\"",
        ]
    );
    let shown = errors[1].to_string();
    assert!(shown.contains("^^^^^^^^^^ did you mean \"delivered\"?"), "{shown}");
    assert!(shown.contains("Allowed: sent, delivered, read, failed."), "{shown}");
}

#[test]
fn what_is_allowed_is_named_once_and_completely() {
    let help = |errors: &[ConfigError]| errors[0].help.clone().unwrap();
    let allowed = help(&endpoint(&format!("keep_answr = true\n{GOOD}")).unwrap_err());
    for key in ENDPOINT.iter().chain(DELIVERY).map(|key| key.path.split(['.', '[']).next().unwrap()) {
        assert_eq!(allowed.split([' ', ',', '.']).filter(|word| *word == key).count(), 1, "{key}: {allowed}");
    }
    let allowed = help(&daemon("[ingress]\nlisten_ = 1\n").errors);
    assert_eq!(allowed.matches("publisher").count(), 1, "{allowed}");
}

#[test]
fn an_error_says_what_to_write_instead() {
    for (text, place, help) in [
        ("[[ingress]]\n", "1:1", "[ingress]"),
        ("[ingress.publisher]\nname = 'a'\n", "1:1", "[[ingress.publisher]]"),
        ("[[ingress.publisher]]\nname = 'a'\nbearer = { flie = 'x' }\n", "3:10", "{ env = \"NAME\" }"),
        ("[[ingress.publisher]]\nname = 'a'\nbearer = { file = '' }\n", "3:19", "{ file = "),
        ("[ingress]\nlisten = '127.0.0.1:8081'\n", "2:10", "another port"),
        ("[catalogue]\nevents = ['all']\n", "2:11", "Name each one"),
    ] {
        let errors = daemon(text).errors;
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert_eq!(errors[0].place(), format!("postrider.toml:{place}"), "{text}");
        assert!(errors[0].help.as_ref().is_some_and(|said| said.contains(help)), "{text}: {errors:?}");
    }
    let errors = endpoint(&GOOD.replace("['crm']", "['all']")).unwrap_err();
    assert!(errors[0].help.as_ref().unwrap().contains("products = \"all\""), "{errors:?}");
    let errors = endpoint(&GOOD.replace("['crm']", "['crn']")).unwrap_err();
    assert_eq!(
        errors[0].log_line(),
        "endpoints/acme.toml:2:13: unknown product \"crn\". Did you mean \"crm\"? \
         Allowed: automation, crm, developer-apis, campaigns"
    );
}

#[test]
fn a_file_that_nests_without_end_is_refused_as_a_whole() {
    for text in [format!("{}x = 1", "a.".repeat(50_000)), format!("x = {}", "[".repeat(100_000))] {
        let file = daemon(&text);
        assert!(file.valid().is_none() && !file.errors.is_empty());
        assert!(file.errors[0].message.starts_with("not valid TOML"), "{:?}", file.errors[0].message);
    }
}

#[test]
fn what_is_missing_is_named() {
    let errors = endpoint("").unwrap_err();
    assert_eq!(
        errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(),
        ["events is missing", "products is missing", "the sink's table is missing"]
    );
    let two = endpoint(&format!("{GOOD}[file]\nurl='https://b'\nauth={{}}\n")).unwrap_err();
    assert_eq!(lines(&two), ["endpoints/acme.toml:6:2: a second sink: [http] is there already"]);
}

#[test]
fn a_draft_may_be_incomplete_but_not_wrong() {
    let spec = endpoint("state = 'draft'").expect("an empty draft");
    assert_eq!((spec.lifecycle, spec.sink), (Lifecycle::Draft, None));
    let spec = endpoint("state = 'draft'\nevents = []\n[http]\nurl = 'https://a'").expect("no auth yet");
    assert_eq!((spec.events, spec.sink), (Selection::Some(Arc::default()), None));
    let spec = endpoint("state='draft'\n[http]\nurl='https://a'\nauth={basic={password={file='none'}}}");
    assert_eq!(spec.expect("no password yet").sink, None);
    assert!(endpoint("state = 'draft'\nevents = ['nope']").is_err());
    assert!(endpoint("state = 'draft'\n[http]\nurl = 'ftp://a'").is_err());
}

#[test]
fn an_endpoint_inherits_key_by_key_and_lists_replace_whole() {
    let defaults = "[defaults]\ntimeout = '3s'\nrate = '5/s'\nordering = 'none'\n\
                    retry = { schedule = ['1s', '2s'], jitter = 0 }\n";
    let text =
        format!("timeout = '4s'\nrate = 'none'\nretry.schedule = ['9s']\nbreaker.failures = 9\n{GOOD}");
    let spec = endpoint_with(&text, defaults, &FakeSecrets::default()).result.expect("valid");
    assert_eq!(spec.delivery.timeout, Duration::from_secs(4));
    assert_eq!(spec.delivery.ordering, Ordering::None);
    assert_eq!(spec.delivery.rate, None);
    assert_eq!(spec.delivery.retry.schedule, [Duration::from_secs(9)]);
    assert_eq!(spec.delivery.retry.jitter, 0.0);
    assert_eq!(spec.delivery.retry.max_age, Duration::from_secs(7 * 86_400));
    assert_eq!((spec.delivery.breaker.failures.get(), spec.delivery.breaker.probes.get()), (9, 3));
}

#[test]
fn an_account_is_asked_for_where_the_catalogue_requires_one() {
    let required = "[catalogue]\naccounts = 'required'";
    let with =
        |text: &str| endpoint_with(&format!("{text}\n{GOOD}"), required, &FakeSecrets::default()).result;
    assert_eq!(with("").unwrap_err()[0].message, "account is missing");
    assert_eq!(with("account = '*'").unwrap().identity.account, None);
    assert_eq!(with("account = 'acme'").unwrap().identity.account.as_deref(), Some("acme"));
}

#[test]
fn off_loopback_somebody_must_be_named() {
    let errors = daemon("[ingress]\nlisten='0.0.0.0:8080'\n[admin]\nlisten='[::]:8081'\n").errors;
    assert_eq!(errors[0].message, "without a publisher, the ingress may only listen on loopback");
    assert_eq!(errors[1].message, "without a login, the admin listener may only listen on loopback");
    let named = "[ingress]\nlisten='0.0.0.0:8080'\n[[ingress.publisher]]\nname='a'\nbearer='t'\n\
                 [admin]\nlisten='[::]:8081'\n[[admin.login]]\nusername='u'\npassword='p'\n";
    assert_eq!(lines(&daemon(named).errors), Vec::<String>::new());
}

#[test]
fn a_daemon_file_is_read_to_its_last_error() {
    let errors = daemon(
        "version = 2\n[ingress]\nlisten = 'localhost'\nmax_body = '1 parsec'\n[[ingress.publisher]]\nname = 'a'\n\
         [admin]\nlogin = 5\n[network]\nallow = ['10.0.0.0/99']\n[catalogue]\nevents = ['a', 'a']\n[shutdwn]\n",
    )
    .errors;
    let found: Vec<usize> = errors.iter().filter_map(|error| error.line).collect();
    assert_eq!(found, [1, 3, 4, 5, 8, 10, 12, 13], "{:?}", lines(&errors));
    assert_eq!(errors[7].label.as_deref(), Some("did you mean \"shutdown\"?"));
}

#[test]
fn secrets_are_resolved_after_parsing_and_one_newline_is_cut() {
    let mut secrets = FakeSecrets::default();
    secrets.files.insert("/etc/postrider/s".into(), Ok(b"x\" }\n[file]\n\n".to_vec()));
    secrets.files.insert("/creds/c".into(), Ok(b"from systemd\r\n".to_vec()));
    secrets.env.insert("CREDENTIALS_DIRECTORY".into(), "/creds".into());
    let text = format!(
        "{}\nauth.basic = {{ password = {{ file = 's' }}, credentials = {{ credential = 'c' }} }}",
        GOOD.replace("auth = {}\n", "")
    );
    let compiled = endpoint_with(&text, "", &secrets);
    let settings = compiled.settings.expect("valid");
    let postrider_sink::Value::Table(auth) = &settings["auth"] else { panic!("a table") };
    let postrider_sink::Value::Table(basic) = &auth["basic"] else { panic!("a table") };
    let secret = |key: &str| match &basic[key] {
        postrider_sink::Value::Secret(secret) => secret.expose().to_owned(),
        _ => panic!("a secret"),
    };
    assert_eq!(
        (secret("password").as_str(), secret("credentials").as_str()),
        ("x\" }\n[file]\n", "from systemd")
    );
    assert_eq!(compiled.secret_files.len(), 2);
}

#[test]
fn a_secret_that_cannot_be_read_is_reported_at_its_reference() {
    let mut secrets = FakeSecrets::default();
    secrets.files.insert("/etc/postrider/locked".into(), Err("permission denied".into()));
    let text = "events='all'\nproducts='all'\n[http]\nurl='https://a'\n\
                auth.basic = { password = { file = 'locked' }, credentials = { env = 'GONE' }, usr = 1 }\n";
    let compiled = endpoint_with(text, "", &secrets);
    assert_eq!(
        lines(&compiled.result.unwrap_err()),
        [
            "endpoints/acme.toml:5:36: cannot read locked: permission denied",
            "endpoints/acme.toml:5:70: the environment variable GONE is not set",
            "endpoints/acme.toml:5:80: unknown key \"usr\"",
        ]
    );
    assert_eq!(compiled.secret_files, [Path::new("/etc/postrider/locked")]);
}

#[test]
fn no_error_shows_a_secret() {
    for text in [
        "events='all'\nproducts='all'\n[http]\nurl='https://a'\nauth.basic = { password = 'hunter2', usr = 'x' }\n",
        "events='all'\nproducts='all'\n[http]\nurl='htps://me:hunter2@a'\nauth = {}\n",
        "events='all'\nproducts='all'\n[http]\nurl='ftp'\nheaders = { x-api-key = 'hunter2', b = 1 }\nauth={}\n",
        "password = 'hunter2\nstate = 'x'\n",
        "password = 'hunter2' x\n",
        "password = hunter2\n",
        "events='all'\nproducts='all'\n[http]\nurl='https://a'\nauth = 'hunter2'\n",
    ] {
        let errors = endpoint(text).unwrap_err();
        assert!(!errors.is_empty());
        for error in errors {
            let shown = format!("{error} {error:?} {}", serde_json::to_string(&error).unwrap());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
    let file = daemon(
        "[[ingress.publisher]]\nname='a'\nbearer='hunter2'\nx=1\n[[ingress.publisher]]\nname='b'\nbearer='hunter2'\n",
    );
    assert_eq!(file.errors.len(), 2);
    assert!(!format!("{:?} {:?}", file.errors, file.config).contains("hunter2"));
}

#[test]
fn text_from_outside_never_panics() {
    for text in [
        "é = 'ü'\u{0}",
        "[",
        "[[a]]\n[a]",
        "a = 1e999\nb=99999999999999999999",
        "\u{feff}events='all'",
        "http = 3",
    ] {
        let _ = (endpoint(text), daemon(text).errors.len());
        for error in daemon(text).errors {
            let _ = error.to_string();
        }
    }
    let deep = format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(endpoint(&deep).is_err());
}

#[test]
fn endpoint_names_are_the_ones_that_fit_everywhere() {
    for name in ["a", "acme-orders", "0.a_b", &"x".repeat(63)] {
        assert!(is_endpoint_name(name), "{name}");
    }
    for name in ["", "-a", "Acme", "a b", "ä", &"x".repeat(64), "a/b"] {
        assert!(!is_endpoint_name(name), "{name}");
    }
}

mod files;
mod filter;
mod folder;
mod lists;
mod people;
mod tls;
