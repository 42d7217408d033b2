//! A secret appears nowhere: not in the log at its most talkative, not in metrics, answers, errors or the effective
//! configuration; not as it is, and in no other spelling.

use crate::support::{Client, Receiver, Reply, TlsPair, daemon, tls_exchange, until};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const GOOD: &str =
    r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"sent","details":{}}}"#;

/// A secret of its own for each place, with signs that every spelling writes in its own way.
fn canary(place: &str) -> String {
    format!("canary<{place}>/+&{:x}", xxhash_rust::xxh3::xxh3_64(place.as_bytes()))
}

/// How somebody might come to print it.
fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_owned()];
    // Inside base64 it looks different by where it begins; the ends depend on what stands around it.
    for before in 0..3 {
        let padded = [&b"xx"[..before], secret.as_bytes()].concat();
        let whole = padded.len() / 3 * 3;
        for coded in [STANDARD.encode(&padded[..whole]), URL_SAFE_NO_PAD.encode(&padded[..whole])] {
            all.push(coded[if before == 0 { 0 } else { 4 }..].to_owned());
        }
    }
    let (mut percent, mut hex, mut all_percent) = (String::new(), String::new(), String::new());
    for byte in secret.bytes() {
        let _ = write!(hex, "{byte:02x}");
        let _ = write!(all_percent, "%{byte:02X}");
        if byte.is_ascii_alphanumeric() {
            percent.push(char::from(byte));
        } else {
            let _ = write!(percent, "%{byte:02X}");
        }
    }
    all.extend([percent, hex, all_percent]);
    // As a list of numbers, which is how bytes are printed.
    let numbers: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    all.push(numbers.join(", "));
    all
}

fn command(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_postrider"))
        .args(args)
        .current_dir(folder)
        .env("PUBLISHER_TOKEN", canary("bearer"))
        .output()
        .expect("it runs");
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}

fn endpoint(url: &str, auth: &str) -> String {
    format!(
        "events = \"all\"\nproducts = \"all\"\n[http]\nurl = \"{url}?token={}\"\nauth = {{ basic = {auth} }}\n\
         headers = {{ x-api-key = '{}' }}\n",
        canary("query").replace(['<', '>', '&', '+', '/'], "."),
        canary("header"),
    )
}

#[tokio::test]
async fn no_secret_is_seen_anywhere() {
    let receiver = Receiver::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display();
    let pair = TlsPair::new();
    for (name, text) in [
        ("chain.pem", pair.cert.as_str()),
        ("key.pem", &pair.key),
        ("publisher", &canary("file")),
        ("credentials", &STANDARD.encode(format!("user:{}", canary("credentials")))),
    ] {
        fs::write(folder.path().join(name), text).expect("written");
    }
    let config = format!(
        "tls = {{ cert = \"{at}/chain.pem\", key = \"{at}/key.pem\" }}\n\
         [[ingress.publisher]]\nname = \"one\"\nbasic = {{ username = \"one\", password = '{}' }}\n\
         [[ingress.publisher]]\nname = \"two\"\nbasic = {{ username = \"two\", password = {{ file = \"{at}/publisher\" }} }}\n\
         [[ingress.publisher]]\nname = \"three\"\nbearer = {{ env = \"PUBLISHER_TOKEN\" }}\n\
         [[admin.login]]\nusername = \"root\"\npassword = '{}'\n",
        canary("inline"),
        canary("login"),
    );
    let mut daemon = daemon()
        .config(&config)
        .env("PUBLISHER_TOKEN", &canary("bearer"))
        .arg("--log-level")
        .arg("trace")
        .start()
        .await;
    let found = |secret: &str, text: &str| spellings(secret).iter().any(|spelling| text.contains(spelling));
    for user in ["a", "root", "administrator", "ab"] {
        let coded = STANDARD.encode(format!("{user}:{}:", canary("login")));
        assert!(found(&canary("login"), &coded), "this test would not see {coded}");
    }
    let login = format!("Basic {}", STANDARD.encode(format!("root:{}", canary("login"))));
    let mut admin = Client::new(daemon.admin_address());
    let mut seen = String::new();
    // What who may edit an endpoint sees of it: its whole URL, and no other secret.
    let mut settings = String::new();

    // Endpoints that arrive, fail, and cannot be reached.
    receiver.script("/failing", [Reply::status(500)]);
    let file = format!("{{ credentials = {{ file = \"{at}/credentials\" }} }}");
    let inline = format!("{{ username = \"user\", password = '{}' }}", canary("password"));
    let folder_of_endpoints = daemon.dir().join("endpoints");
    let write = |name: &str, text: &str| {
        fs::write(folder_of_endpoints.join(format!("{name}.toml")), text).expect("written");
    };
    write("good", &endpoint(&receiver.url("/good"), &file));
    write("failing", &endpoint(&receiver.url("/failing"), &inline));
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    write("nowhere", &endpoint(&format!("http://{free}/"), &inline));
    until(Duration::from_secs(20), "the endpoints are read", async || {
        daemon.said().contains("nowhere added")
    })
    .await;
    let post = |credentials: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: {credentials}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{GOOD}",
            GOOD.len()
        )
    };
    let basic = |user: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")));
    for (credentials, status) in [
        (basic("one", &canary("inline")), "202"),
        (basic("two", &canary("file")), "202"),
        (format!("Bearer {}", canary("bearer")), "202"),
        // Somebody else's, and nearly the right one.
        (basic("one", &canary("file")), "401"),
        (basic("nobody", &canary("guessed")), "401"),
        (format!("Bearer {}x", canary("bearer")), "401"),
        (format!("Digest {}", canary("bearer")), "401"),
    ] {
        let answer = tls_exchange(daemon.ingress(), &pair, &post(&credentials)).await.expect("TLS");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        seen.push_str(&answer);
    }
    let arrived = receiver.wait_for("/good", 3).await;
    assert_eq!(arrived[0].header("authorization"), basic("user", &canary("credentials")));
    assert_eq!(arrived[0].header("x-api-key"), canary("header"));
    receiver.wait_for("/failing", 1).await;

    // Files with errors at and around the secrets.
    write("broken", &format!("{}timout = 1\n[htp]\n", endpoint("ftp://x/", &inline)));
    write("syntax", &format!("events = \"all\"\nauth = {{ password = '{}'\n", canary("syntax")));
    write(
        "env",
        &endpoint(&receiver.url("/x"), &format!("{{ credentials = {{ env = '{}' }} }}", canary("typo"))),
    );
    write(
        "typo",
        &endpoint(
            &receiver.url("/x"),
            &format!("{{ credentials = {{ credential = '{}' }} }}", canary("typo")),
        ),
    );
    write(
        "colon",
        &endpoint(&receiver.url("/x"), &format!("{{ credentials = '{}' }}", canary("not-encoded"))),
    );
    until(Duration::from_secs(20), "they are reported", async || daemon.said().contains("broken.toml")).await;
    let toml = daemon.dir().join("postrider.toml");
    let good = fs::read_to_string(&toml).expect("readable");
    let key = pair.key.clone();
    for bad in [
        good.replace("key.pem", "publisher"),
        good.replace(&format!("\"{at}/key.pem\""), &format!("'''{key}'''")),
        good.replace("basic =", "basik ="),
        format!("{good}password = 5\nsecret = '{}'\n", canary("unknown-key")),
    ] {
        fs::write(&toml, bad).expect("written");
        for args in [&["check"] as &[&str], &["check", "--json"], &["config", "effective", "-c"]] {
            let path = toml.to_str().expect("UTF-8");
            seen.push_str(&command(folder.path(), &[args, &[path]].concat()));
        }
        let headers = [("authorization", login.as_str())];
        let answer = admin.request(Method::POST, "/-/reload", &headers, "".into()).await.expect("an answer");
        assert_eq!(answer.status, 422, "{}", answer.text());
        seen.push_str(&answer.text());
    }
    fs::write(&toml, good).expect("written");
    for name in ["broken", "syntax", "typo", "colon", "env"] {
        settings.push_str(&admin_get(&mut admin, &login, &format!("/api/v1/endpoints/{name}")).await);
        fs::remove_file(folder_of_endpoints.join(format!("{name}.toml"))).expect("removed");
    }
    let effective = command(folder.path(), &["config", "effective", "-c", toml.to_str().expect("UTF-8")]);
    assert!(effective.contains("fingerprint"), "{effective}");
    seen.push_str(&effective);

    for path in [
        "/",
        "/metrics",
        "/api/v1/status",
        "/api/v1/endpoints",
        "/api/v1/deliveries",
        "/api/v1/dead-letters",
        "/api/v1/openapi.json",
        "/-/ready",
        "/-/healthy",
    ] {
        seen.push_str(&admin_get(&mut admin, &login, path).await);
    }
    for name in ["good", "failing", "nowhere"] {
        settings.push_str(&admin_get(&mut admin, &login, &format!("/api/v1/endpoints/{name}")).await);
        let headers = [("authorization", login.as_str()), ("content-type", "application/json")];
        let path = format!("/api/v1/endpoints/{name}/test");
        let answer = admin.request(Method::POST, &path, &headers, "{}".into()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        settings.push_str(&answer.text());
    }
    seen.push_str(&daemon.said());
    assert!(daemon.said().contains("DEBUG published"), "the log is not at its most talkative");
    assert_eq!(daemon.ready().await, 200);

    let places = [
        "file",
        "inline",
        "bearer",
        "login",
        "credentials",
        "password",
        "header",
        "syntax",
        "typo",
        "not-encoded",
        "unknown-key",
        "guessed",
    ];
    let mut secrets: Vec<String> = places.into_iter().map(canary).collect();
    // What stands in the key's file, line by line.
    secrets.extend(
        pair.key.lines().filter(|line| !line.starts_with("---") && line.len() > 20).map(str::to_owned),
    );
    let query = canary("query").replace(['<', '>', '&', '+', '/'], ".");
    let everywhere = [seen.as_str(), &settings].concat();
    let of = |secret: String| (secret, &everywhere);
    for (secret, seen) in secrets.into_iter().map(of).chain([(query, &seen)]) {
        for spelling in spellings(&secret) {
            if let Some(found) = seen.find(&spelling) {
                let before: String = seen[..found].chars().rev().take(400).collect();
                let before: String = before.chars().rev().collect();
                let after: String = seen[found..].chars().take(200).collect();
                panic!("{secret} is seen as {spelling} in:\n{before}{after}");
            }
        }
    }
}

async fn admin_get(admin: &mut Client, login: &str, path: &str) -> String {
    let headers = [("authorization", login)];
    admin.request(Method::GET, path, &headers, "".into()).await.expect("an answer").text()
}
