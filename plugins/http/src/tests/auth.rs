use super::kit::*;
use crate::HttpSinkFactory;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use postrider_sink::{Secret, SettingError, SinkFactory, Table, Value};
use sha2::Sha256;

fn with(key: &str, value: Value) -> Table {
    let mut settings = settings("http://hooks.example/in");
    settings.insert(key.into(), value);
    settings
}

fn auth<const N: usize>(ways: [(&str, Value); N]) -> Table {
    with("auth", Value::Table(table(ways)))
}

fn secret(text: &str) -> Value {
    Value::Secret(Secret::new(text.to_owned()))
}

fn header(name: &str, value: &str) -> Table {
    auth([("header", Value::Table(table([("name", text(name)), ("value", secret(value))])))])
}

fn signing<const N: usize>(secrets: [&str; N]) -> Table {
    let secrets = Value::Array(secrets.iter().map(|it| secret(it)).collect());
    with("signing", Value::Table(table([("secrets", secrets)])))
}

fn errors(settings: &Table) -> Vec<SettingError> {
    HttpSinkFactory::new().check(settings).err().unwrap_or_default()
}

fn only(settings: &Table) -> String {
    let errors = errors(settings);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].to_string()
}

async fn sent(settings: &Table) -> String {
    let receiver = Receiver::start(vec![ok()]).await;
    Rig::of(&HttpSinkFactory::new(), settings, Way::Tcp(receiver.address)).await.deliver().await;
    receiver.requests().remove(0)
}

fn whsec(byte: u8, length: usize) -> String {
    format!("whsec_{}", STANDARD.encode(vec![byte; length]))
}

#[tokio::test]
async fn a_token_goes_out_in_one_form() {
    for given in ["s3cret.token", " s3cret.token\n", "Bearer s3cret.token", "bearer  s3cret.token"] {
        let request = sent(&auth([("bearer", secret(given))])).await;
        assert!(request.contains("\r\nauthorization: Bearer s3cret.token\r\n"), "{given:?}: {request}");
    }
}

#[tokio::test]
async fn a_header_of_any_name_proves_who_is_calling() {
    let request = sent(&header("X-Api-Key", "k3y")).await;
    assert!(request.contains("\r\nx-api-key: k3y\r\n"), "{request}");
    assert!(!request.contains("authorization"), "{request}");
    let request = sent(&header("authorization", "ApiKey abc")).await;
    assert!(request.contains("\r\nauthorization: ApiKey abc\r\n"), "{request}");
}

#[test]
fn exactly_one_way_is_named() {
    let missing = "auth: Basic credentials are required; a public endpoint takes any placeholder";
    assert_eq!(only(&auth([])), missing);
    let two = auth([("bearer", secret("t")), ("basic", Value::Table(Table::new()))]);
    assert_eq!(only(&two), "auth.bearer: basic and bearer exclude each other");
    assert_eq!(only(&auth([("bearer", secret(" "))])), "auth.bearer: the token is empty");
    let wrong = "auth.bearer: the token contains something that is not a visible ASCII character";
    for token in ["a b", "a\nb", "tökn"] {
        assert_eq!(only(&auth([("bearer", secret(token))])), wrong, "{token:?}");
    }
    assert_eq!(
        only(&auth([("bearer", Value::Boolean(true))])),
        "auth.bearer: expected a string, or a table with the one key file, env or credential, found a boolean"
    );
}

#[test]
fn a_header_that_the_host_owns_or_that_stands_twice_is_refused() {
    for name in ["host", "content-type", "webhook-signature", "postrider-attempt", "connection", "x y", ""] {
        assert_eq!(errors(&header(name, "k")).len(), 1, "{name}");
    }
    for value in ["", "a\nb", "ü", " a"] {
        assert_eq!(errors(&header("x-api-key", value)).len(), 1, "{value:?}");
    }
    assert_eq!(errors(&auth([("header", Value::Table(Table::new()))])).len(), 2);
    let mut twice = header("x-api-key", "k");
    twice.insert("headers".into(), Value::Table(table([("X-API-Key", text("other"))])));
    assert_eq!(only(&twice), "headers: auth.header sets the header x-api-key already");
}

#[tokio::test]
async fn a_signature_is_over_id_time_and_body_with_every_secret_in_order() {
    let (new, old) = (whsec(7, 32), whsec(9, 24));
    let request = sent(&signing([&new, &old])).await;
    let line = request.lines().find_map(|line| line.strip_prefix("webhook-signature: ")).unwrap();
    let of = |byte: u8, length: usize| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&vec![byte; length]).unwrap();
        mac.update(format!("evt_01.{}.{BODY}", NOW.as_secs()).as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    };
    assert_eq!(line, format!("{} {}", of(7, 32), of(9, 24)));
}

/// The example of the Standard Webhooks libraries' own tests.
#[tokio::test]
async fn a_known_message_has_the_known_signature() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signing = {
        let table = signing([secret]);
        let mut reader = postrider_sink::Reader::new(&table);
        crate::signing::read(&mut reader, &mut Vec::new())
    };
    let value =
        signing.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#).unwrap();
    assert_eq!(value, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn signing_secrets_that_cannot_be_right_are_refused_without_being_shown() {
    for (given, reason) in [
        (STANDARD.encode([1; 32]), "the secret does not start with whsec_"),
        (String::from("whsec_!canary!canary!"), "what follows whsec_ is not base64"),
        (whsec(1, 23), "the secret does not have 24 to 64 bytes once decoded"),
        (whsec(1, 65), "the secret does not have 24 to 64 bytes once decoded"),
        (String::from("whsec_"), "the secret does not have 24 to 64 bytes once decoded"),
    ] {
        let errors = errors(&signing([&whsec(2, 24), &given]));
        assert_eq!(errors[0].to_string(), format!("signing.secrets.1: {reason}"), "{given}");
        assert!(given.len() < 10 || !format!("{errors:?}").contains(&given[6..]), "{errors:?}");
    }
    for fitting in [whsec(1, 24), whsec(1, 64)] {
        assert_eq!(errors(&signing([&fitting])), []);
    }
    let twice = signing([&whsec(1, 24), &whsec(1, 24)]);
    assert_eq!(only(&twice), "signing.secrets.1: the same secret stands here twice");
    assert_eq!(only(&signing([])), "signing.secrets: secrets is empty");
    let inner = table([("secret", secret("x"))]);
    assert_eq!(errors(&with("signing", Value::Table(inner))).len(), 2);
}

#[test]
fn the_fingerprint_follows_whatever_proves_who_is_calling() {
    let of = |settings: &Table| HttpSinkFactory::new().check(settings).ok().unwrap().fingerprint();
    let proxied = |url: &str| with("proxy", text(url));
    let all = [
        of(&settings("http://hooks.example/in")),
        of(&auth([("bearer", secret("a"))])),
        of(&auth([("bearer", secret("b"))])),
        of(&header("x-api-key", "a")),
        of(&header("x-other-key", "a")),
        of(&header("x-api-key", "b")),
        of(&signing([&whsec(1, 24)])),
        of(&signing([&whsec(2, 24)])),
        of(&signing([&whsec(2, 24), &whsec(1, 24)])),
        of(&proxied("http://proxy.example:3128")),
        of(&proxied("http://proxy.example:3129")),
    ];
    let distinct: std::collections::BTreeSet<u64> = all.into_iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(of(&auth([("bearer", secret("a"))])), of(&auth([("bearer", secret("Bearer a"))])));
}
