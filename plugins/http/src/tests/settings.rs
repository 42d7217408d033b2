use super::kit::*;
use crate::HttpSinkFactory;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider_sink::{Secret, SettingError, SinkFactory, Table, Value};

fn errors(settings: &Table) -> Vec<SettingError> {
    HttpSinkFactory::new().check(settings).err().unwrap_or_default()
}

fn only(settings: &Table) -> String {
    let errors = errors(settings);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

fn at(url: &str) -> Table {
    settings(url)
}

fn basic(entries: Table) -> Table {
    let mut settings = at("https://hooks.example/");
    settings.insert("auth".into(), Value::Table(table([("basic", Value::Table(entries))])));
    settings
}

fn credentials(encoded: &str) -> Table {
    basic(table([("credentials", Value::Secret(Secret::new(encoded.into())))]))
}

#[test]
fn urls_that_can_be_sent_to_are_taken() {
    for url in [
        "https://hooks.acme.example/whatsapp",
        "http://hooks.acme.example",
        "HTTPS://Hooks.ACME.example:443/a%20b?x=1&y={z}|^",
        "https://bücher.example/ü?ü=ü",
        "http://127.0.0.1:9000/",
        "https://[2606:4700::1]:8443/in",
        "https://hooks.example:1024/",
        "https://hooks.example:65535/",
        "  https://hooks.example/  ",
    ] {
        assert_eq!(errors(&at(url)), [], "{url}");
    }
}

#[test]
fn urls_that_cannot_are_refused_with_a_reason() {
    for (url, reason) in [
        ("", "the URL is empty"),
        ("hooks.example/in", "not a URL: relative URL without a base"),
        ("ftp://hooks.example/", "the scheme ftp is neither https nor http"),
        ("file:///etc/passwd", "the scheme file is neither https nor http"),
        ("https://", "not a URL: empty host"),
        ("https://user@hooks.example/", "the URL contains a user name or password"),
        ("https://:pw@hooks.example/", "the URL contains a user name or password"),
        ("https://hooks.example/#top", "the URL contains a fragment"),
        ("https://hooks.example/#", "the URL contains a fragment"),
        ("https://hooks.example:22/", "port 22 is not allowed"),
        ("https://hooks.example:0/", "port 0 is not allowed"),
        ("https://hooks.example:1023/", "port 1023 is not allowed"),
        ("https://hooks.example:65536/", "not a URL: invalid port number"),
        ("https://hooks.exa\nmple/", "the URL contains a control character"),
        ("https://[::1/", "not a URL: invalid IPv6 address"),
        ("https://1.2.3.4.5/", "not a URL: invalid IPv4 address"),
    ] {
        assert_eq!(only(&at(url)), format!("url: {reason}"), "{url}");
    }
}

#[test]
fn credentials_are_required_and_the_error_says_that_a_placeholder_will_do() {
    let wanted = "Basic credentials are required; a public endpoint takes any placeholder";
    let mut none = at("https://hooks.example/");
    none.remove("auth");
    assert_eq!(errors(&none)[0].message, wanted);
    none.insert("auth".into(), Value::Table(Table::new()));
    assert_eq!(only(&none), format!("auth: {wanted}"));
    assert_eq!(only(&basic(Table::new())), format!("auth.basic: {wanted}"));
}

#[tokio::test]
async fn pasted_credentials_reach_the_wire_in_one_form() {
    for given in [
        "YWNtZTpzZWNyZXQ=",
        "YWNtZTpzZWNyZXQ",
        "  YWNtZTpzZWNyZXQ=\r\n",
        "Basic YWNtZTpzZWNyZXQ=",
        "basic YWNtZTpzZWNyZXQ=",
        "BASIC   YWNtZTpzZWNyZXQ",
        "\tBasic\tYWNtZTpzZWNyZXQ=\n",
    ] {
        let receiver = Receiver::start(vec![ok()]).await;
        let mut settings = credentials(given);
        settings.insert("url".into(), text("http://hooks.example/"));
        let rig = Rig::of(&HttpSinkFactory::new(), &settings, Way::Tcp(receiver.address)).await;
        rig.deliver().await;
        let request = receiver.requests().remove(0);
        assert!(request.contains("\r\nauthorization: Basic YWNtZTpzZWNyZXQ=\r\n"), "{given:?}: {request}");
    }
}

#[test]
fn credentials_that_cannot_be_right_are_refused_without_being_shown() {
    let encode = |text: &str| STANDARD.encode(text);
    for (given, reason) in [
        (String::new(), "the credentials are empty"),
        (String::from("Basic"), "the credentials are not base64"),
        (String::from("acme:secret"), "the credentials are not encoded"),
        (String::from("not base64!"), "the credentials are not base64"),
        (
            String::from("_-5hY21lOnNlY3JldA"),
            "the credentials are not in the standard base64 alphabet (+ and /)",
        ),
        (encode("acme"), "the decoded credentials have no colon between user name and password"),
        (encode("acme:secret\n"), "the decoded credentials contain a control character"),
        (format!("Bearer {}", encode("acme:secret")), "the credentials are not base64"),
    ] {
        let errors = errors(&credentials(&given));
        assert_eq!(errors[0].to_string(), format!("auth.basic.credentials: {reason}"), "{given}");
        assert!(!format!("{errors:?}").contains("acme"), "{errors:?}");
    }
}

#[test]
fn user_name_and_password_are_a_pair() {
    let pair = |username: &str, password: &str| {
        basic(table([("username", text(username)), ("password", text(password))]))
    };
    assert_eq!(errors(&pair("acme", "pass:word")), []);
    assert_eq!(errors(&pair("acme", "")), []);
    assert_eq!(errors(&pair("jürgen", "pässword")), []);
    assert_eq!(only(&pair("ac:me", "x")), "auth.basic.username: the user name contains a colon");
    assert_eq!(errors(&pair("a\tb", "c\nd")).len(), 2);
    assert_eq!(only(&basic(table([("username", text("a"))]))), "auth.basic: password is missing");
    assert_eq!(only(&basic(table([("password", text("a"))]))), "auth.basic: username is missing");
    let both = basic(table([("credentials", text("YTpi")), ("username", text("a"))]));
    assert_eq!(
        only(&both),
        "auth.basic.credentials: credentials and username with password exclude each other"
    );
}

#[test]
fn headers_that_the_host_owns_or_that_would_break_the_head_are_refused() {
    let with = |name: &str, value: &str| {
        let mut settings = at("https://hooks.example/");
        settings.insert("headers".into(), Value::Table(table([(name, text(value))])));
        errors(&settings)
    };
    for name in ["x-team", "X-Team", "cookie", "accept", "tracestate", "x_y.z"] {
        assert_eq!(with(name, "a value, with spaces"), [], "{name}");
    }
    for name in [
        "host",
        "Host",
        "authorization",
        "Proxy-Authorization",
        "content-length",
        "content-type",
        "content-encoding",
        "webhook-id",
        "webhook-anything",
        "postrider-attempt",
        "traceparent",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "",
        "x y",
        "x:y",
        "x\r\ny",
        "ü",
    ] {
        assert_eq!(with(name, "1").len(), 1, "{name:?}");
    }
    for value in ["a\r\nx: y", "a\nb", "a\0", "ü", " a", "a ", "\ta", &"a".repeat(8193)] {
        assert_eq!(with("x-team", value).len(), 1, "{value:?}");
    }
    let mut twice = at("https://hooks.example/");
    twice.insert("headers".into(), Value::Table(table([("x-a", text("1")), ("X-A", text("2"))])));
    assert_eq!(errors(&twice).len(), 1);
}

#[test]
fn every_error_is_reported_at_once_and_unknown_keys_get_a_suggestion() {
    let settings = table([
        ("url", text("hooks")),
        ("uri", text("x")),
        ("headers", Value::Table(table([("host", text("x"))]))),
        ("auth", Value::Table(table([("basics", Value::Boolean(true))]))),
    ]);
    let errors = errors(&settings);
    let shown: Vec<_> = errors.iter().map(|error| error.path.to_string()).collect();
    assert_eq!(shown, ["url", "auth", "auth.basics", "headers.host", "uri"]);
    assert_eq!(
        errors[4].help.as_deref(),
        Some("Did you mean \"url\"? Allowed: auth, headers, proxy, signing, tls, url.")
    );
}

#[test]
fn the_fingerprint_follows_destination_and_credentials_and_nothing_else() {
    let plan = |settings: &Table| HttpSinkFactory::new().check(settings).ok().unwrap();
    let one = plan(&at("https://hooks.example/a?token=s3cret"));
    assert_eq!(one.destination(), "https://hooks.example/a");
    assert_eq!(one.fingerprint(), plan(&at("https://hooks.example:443/a?token=s3cret")).fingerprint());
    assert_ne!(one.fingerprint(), plan(&at("https://hooks.example/a?token=other")).fingerprint());
    let mut other = credentials("YTpi");
    other.insert("url".into(), text("https://hooks.example/a?token=s3cret"));
    assert_ne!(one.fingerprint(), plan(&other).fingerprint());
    let mut more = at("https://hooks.example/a?token=s3cret");
    more.insert("headers".into(), Value::Table(table([("x-team", text("a"))])));
    assert_eq!(one.fingerprint(), plan(&more).fingerprint());
}
