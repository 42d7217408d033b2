//! What listeners prove themselves with.

use super::*;

/// A certificate and its key in PEM form.
pub(super) fn pair(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The files that these pairs are written to, one after another.
pub(super) fn secrets_with(pairs: &[(String, String)], cert: &str, key: &str) -> FakeSecrets {
    let mut secrets = FakeSecrets::default();
    let all = |pick: fn(&(String, String)) -> &str| pairs.iter().map(pick).collect::<String>().into_bytes();
    secrets.files.insert(cert.to_owned(), Ok(all(|pair| &pair.0)));
    secrets.files.insert(key.to_owned(), Ok(all(|pair| &pair.1)));
    secrets
}

const TLS: &str = "[ingress]\ntls = { cert = 'tls/chain.pem', key = 'tls/key.pem' }\n";
const CERT: &str = "/etc/postrider/tls/chain.pem";
const KEY: &str = "/etc/postrider/tls/key.pem";

#[test]
fn a_pair_is_read_watched_and_the_same_only_while_its_bytes_are() {
    let (one, other) = (pair("a"), pair("a"));
    let read =
        |pair: &(String, String)| daemon_with(TLS, &secrets_with(std::slice::from_ref(pair), CERT, KEY));
    let file = read(&one);
    assert_eq!(lines(&file.errors), Vec::<String>::new());
    assert_eq!(file.secret_files, [Path::new(CERT), Path::new(KEY)]);
    assert_eq!(file.config, read(&one).config);
    assert!(file.config != read(&other).config);
    assert!(file.config.is_some_and(|config| config.ingress.tls.is_some() && config.admin.tls.is_none()));
}

#[test]
fn a_bad_pair_is_an_error_that_names_the_file_at_fault_and_shows_nothing_of_it() {
    let (one, other) = (pair("a"), pair("b"));
    let error = |cert: &str, key: &str| {
        let mut secrets = FakeSecrets::default();
        secrets.files.insert(CERT.to_owned(), Ok(cert.as_bytes().to_vec()));
        secrets.files.insert(KEY.to_owned(), Ok(key.as_bytes().to_vec()));
        let file = daemon_with(TLS, &secrets);
        assert_eq!((file.errors.len(), file.secret_files.len()), (1, 2));
        file.errors[0].one_line()
    };
    for (cert, key, said) in [
        (one.0.as_str(), other.1.as_str(), "tls/key.pem holds a private key that does not belong"),
        ("", &one.1, "tls/chain.pem holds no certificate"),
        (&one.1, &one.1, "tls/chain.pem holds no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\ncanary",
            &one.1,
            "tls/chain.pem holds a certificate that cannot be read",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &one.1,
            "tls/chain.pem holds a certificate",
        ),
        (&one.0, "canary", "tls/key.pem holds no private key"),
        (
            &one.0,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "tls/key.pem holds a private key that cannot",
        ),
        (&one.0, &other.1.replace("PRIVATE", "ENCRYPTED PRIVATE"), "tls/key.pem holds no private key"),
    ] {
        let line = error(cert, key);
        assert!(line.contains(said) && !line.contains("canary"), "{line}");
    }
}

#[test]
fn what_is_missing_or_written_out_is_told_without_showing_it() {
    let key = pair("a").1;
    for (text, said) in [
        ("[ingress]\ntls = { cert = 'c' }\n".to_owned(), "tls needs key"),
        ("[ingress]\ntls = { key = 'k' }\n".to_owned(), "tls needs cert"),
        ("[ingress]\ntls = { cert = 'c', key = 'k' }\n".to_owned(), "cannot read c: no such file"),
        (format!("[ingress]\ntls = {{ cert = 'c', key = '''{key}''' }}\n"), "key takes the name of a file"),
        ("[admin]\ntls = true\n".to_owned(), "expected a table"),
        ("[admin]\ntls = { cert = 'c', key = 'k', chain = 'x' }\n".to_owned(), "unknown key \"chain\""),
    ] {
        let errors: Vec<String> = daemon(&text).errors.iter().map(|error| error.render(false)).collect();
        let all = errors.join("\n");
        assert!(all.contains(said), "{text}: {all}");
        let inside = key.lines().nth(1).unwrap();
        assert!(!all.contains(inside), "{all}");
    }
}
