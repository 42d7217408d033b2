use super::kit::{Rig, core};
use super::server::NatsServer;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use postrider_sink::{Secret, Table, Value};

const HIDDEN: &str = "a-word-nobody-may-see";

fn with(port: u16, auth: &[(&str, &str)]) -> Table {
    let secret = |value: &str| Value::Secret(Secret::new(value.to_owned()));
    let auth = auth.iter().map(|(key, value)| ((*key).to_owned(), secret(value))).collect();
    let mut table = core(port);
    table.insert("auth".into(), Value::Table(auth));
    table
}

async fn refused(table: &Table) {
    let wrong = Rig::of(table).await.deliver("evt_1").await.unwrap_err();
    assert!(wrong.contains("refuses the credentials") && !wrong.contains(HIDDEN), "{wrong}");
}

#[tokio::test]
async fn a_user_a_token_and_a_key_are_taken_and_others_refused() {
    let server = NatsServer::start(&format!("authorization {{ user: acme, password: {HIDDEN} }}"));
    let user = |password| with(server.port, &[("username", "acme"), ("password", password)]);
    assert!(Rig::of(&user(HIDDEN)).await.deliver("evt_1").await.is_ok());
    refused(&user("another")).await;
    refused(&core(server.port)).await;
    let server = NatsServer::start(&format!("authorization {{ token: {HIDDEN} }}"));
    assert!(Rig::of(&with(server.port, &[("token", HIDDEN)])).await.deliver("evt_1").await.is_ok());
    refused(&with(server.port, &[("token", "another")])).await;
    let (key, other) = (KeyPair::new_user(), KeyPair::new_user());
    let server =
        NatsServer::start(&format!("authorization {{ users = [ {{ nkey: {} }} ] }}", key.public_key()));
    let nkey = |key: &KeyPair| with(server.port, &[("nkey", &key.seed().unwrap())]);
    assert!(Rig::of(&nkey(&key)).await.deliver("evt_1").await.is_ok());
    refused(&nkey(&other)).await;
}

/// A JWT as NATS signs them.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: &str) -> String {
    let (by, of) = (issuer.public_key(), subject.public_key());
    let claims =
        format!(r#"{{"jti":"{of}","iat":1790000000,"iss":"{by}","name":"test","sub":"{of}","nats":{nats}}}"#);
    let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn a_credentials_file_is_taken() {
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let system = KeyPair::new_account();
    let of_operator = jwt(&operator, &operator, r#"{"type":"operator","version":2}"#);
    let limits = r#""subs":-1,"data":-1,"payload":-1"#;
    let of_account = format!(
        r#"{{"limits":{{{limits},"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1}},"type":"account","version":2}}"#
    );
    let of_system = jwt(&operator, &system, &of_account);
    let of_account = jwt(&operator, &account, &of_account);
    let of_user =
        jwt(&account, &user, &format!(r#"{{"pub":{{}},"sub":{{}},{limits},"type":"user","version":2}}"#));
    let server = NatsServer::start(&format!(
        "operator: {of_operator}\nresolver: MEMORY\nsystem_account: {system}\n\
         resolver_preload: {{ {account}: {of_account}, {system}: {of_system} }}",
        system = system.public_key(),
        account = account.public_key()
    ));
    let creds = |user: &KeyPair| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        )
    };
    let endpoint = |user: &KeyPair| with(server.port, &[("credentials", &creds(user))]);
    assert_eq!(Rig::of(&endpoint(&user)).await.deliver("evt_1").await, Ok("published".into()));
    refused(&endpoint(&KeyPair::new_user())).await;
}
