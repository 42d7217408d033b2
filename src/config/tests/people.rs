//! Who must be named before a listener may leave loopback, and what may be said of them.

use super::*;

fn only(text: &str) -> String {
    let errors = lines(&daemon(text).errors);
    assert_eq!(errors.len(), 1, "{text}: {errors:?}");
    errors[0].clone()
}

#[test]
fn off_loopback_somebody_must_be_named() {
    for address in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "[::ffff:192.0.2.1]:8080"] {
        for (table, list) in [("ingress", "publisher"), ("admin", "login")] {
            for more in [String::new(), format!("{list} = []\n")] {
                let error = only(&format!("[{table}]\nlisten = '{address}'\n{more}"));
                assert!(error.contains("may only listen on loopback"), "{error}");
            }
        }
        let named =
            format!("[ingress]\nlisten = '{address}'\n[[ingress.publisher]]\nname = 'a'\nbearer = 'b'\n");
        assert_eq!(lines(&daemon(&named).errors), Vec::<String>::new());
    }
    for address in ["127.0.0.1:8080", "127.9.9.9:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
        let text = format!("[ingress]\nlisten = '{address}'\npublisher = []\n");
        assert_eq!(lines(&daemon(&text).errors), Vec::<String>::new(), "{address}");
    }
}

#[test]
fn accounts_that_name_none_do_not_mean_all() {
    let error = only("[[ingress.publisher]]\nname = 'a'\nbearer = 'b'\naccounts = []\n");
    assert!(error.contains("accounts is empty"), "{error}");
}

#[test]
fn two_publishers_that_could_not_be_told_apart_are_refused() {
    let error = only(
        "[[ingress.publisher]]\nname = 'a'\nbearer = 't'\n[[ingress.publisher]]\nname = 'b'\nbearer = 't'\n",
    );
    assert!(error.contains("proves itself the same way"), "{error}");
}

#[test]
fn a_star_means_every_account_and_stands_alone() {
    let accounts =
        |list: &str| format!("[[ingress.publisher]]\nname = 'a'\nbearer = 'b'\naccounts = {list}\n");
    let file = daemon(&accounts("['*']"));
    assert!(file.valid().expect("valid").ingress.publishers[0].accounts.is_empty());
    let error = only(&accounts("['acme', '*']"));
    assert!(error.contains("all accounts and some of them"), "{error}");
    let error = only("[[admin.login]]\nusername = 'a'\npassword = 'b'\naccount = '*'\n");
    assert!(error.contains("is no account"), "{error}");
}

#[test]
fn credentials_that_nobody_could_present_are_refused() {
    for token in ["Bearer abc", "a b", "abc\\n", "ü"] {
        let error = only(&format!("[[ingress.publisher]]\nname = 'a'\nbearer = \"{token}\"\n"));
        assert!(error.contains("postrider.toml:3:10") && error.contains("no white space"), "{error}");
    }
    for (table, user) in [("ingress.publisher", "name = 'a'\nbasic."), ("admin.login", "")] {
        let error = only(&format!(
            "[[{table}]]\n{user}username = 'a'\n{}password = \"p\\n\"\n",
            if user.is_empty() { "" } else { "basic." }
        ));
        assert!(error.contains("line break"), "{error}");
    }
}

#[test]
fn names_have_no_white_space_around_them() {
    for name in ["' a'", "'a '", "''", "\"a\\n\""] {
        let error = only(&format!("[[ingress.publisher]]\nname = {name}\nbearer = 'b'\n"));
        assert!(error.contains("not a name"), "{error}");
    }
}
