//! Who may post and who may look: publishers and logins of the daemon's file.

use super::daemon::{Credential, Login, Publisher};
use super::secrets::Resolver;
use super::section::{NAME, Section};
use super::source::Span;
use crate::ids::{EVERY_ACCOUNT, is_name};
use postrider_sink::Secret;
use std::sync::Arc;

/// `[[ingress.publisher]]`.
pub(super) fn publishers(ingress: &mut Section<'_>, resolver: &mut Resolver<'_>) -> Vec<Publisher> {
    let mut publishers: Vec<Publisher> = Vec::new();
    for mut table in ingress.tables("publisher") {
        let name = table.name("name");
        if table.entry("name").is_none() {
            table.missing("a publisher needs a name", "For example name = \"platform\".");
        }
        let credential = credential(&mut table, resolver);
        let rate = table.rate("rate", None);
        let accounts = accounts(&mut table);
        let problems = table.problems();
        if let Some((name, span)) = &name
            && publishers.iter().any(|other| other.name == *name)
        {
            problems.at(span.clone(), format!("another publisher is called {name:?}"));
        }
        if let Some(credential) = &credential
            && publishers.iter().any(|other| same(&other.credential, credential))
        {
            problems.at(table.span(), "another publisher proves itself the same way");
        }
        table.finish();
        if let (Some((name, _)), Some(credential)) = (name, credential) {
            publishers.push(Publisher { name, credential, rate, accounts });
        }
    }
    publishers
}

fn credential(table: &mut Section<'_>, resolver: &mut Resolver<'_>) -> Option<Credential> {
    let (has_basic, has_bearer) = (table.entry("basic").is_some(), table.entry("bearer").is_some());
    if has_basic == has_bearer {
        table.missing(
            "a publisher needs either basic or bearer",
            "basic = { username = \"platform\", password = { file = \"secrets/platform\" } }, or bearer = { env = \"TOKEN\" }.",
        );
    }
    if has_basic {
        let mut basic = table.table("basic")?;
        let (username, password) = (username(&mut basic), password(&mut basic, resolver));
        basic.finish();
        return Some(Credential::Basic { username: username?.0, password: password? });
    }
    let token = table.secret("bearer", resolver)?;
    if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        let help = "Give the token alone, without Bearer in front of it, on one line.";
        said_wrongly(table, "bearer", "a token has no white space and only ASCII characters", help);
    }
    Some(Credential::Bearer(token))
}

/// Something is wrong with what a secret says, wherever it is kept.
fn said_wrongly(table: &mut Section<'_>, key: &'static str, message: &str, help: &str) {
    let problems = table.problems();
    if let Some(entry) = table.entry(key) {
        problems.add(problems.error(entry.node.span.clone(), message).help(help));
    }
}

/// Two that could not be told apart.
fn same(one: &Credential, other: &Credential) -> bool {
    match (one, other) {
        (Credential::Basic { username: a, .. }, Credential::Basic { username: b, .. }) => a == b,
        (Credential::Bearer(a), Credential::Bearer(b)) => a == b,
        _ => false,
    }
}

/// `[[admin.login]]`.
pub(super) fn logins(admin: &mut Section<'_>, resolver: &mut Resolver<'_>) -> Vec<Login> {
    let mut logins: Vec<Login> = Vec::new();
    for mut table in admin.tables("login") {
        let username = username(&mut table);
        let password = password(&mut table, resolver);
        let account = table.name("account").map(|(account, span)| {
            if account.as_ref() == EVERY_ACCOUNT {
                let help = "A login that sees every account leaves account out.";
                table.problems().add(table.problems().error(span, "\"*\" is no account").help(help));
            }
            account
        });
        if let Some((username, span)) = &username
            && logins.iter().any(|other| other.username == *username)
        {
            table.problems().at(span.clone(), format!("another login is called {username:?}"));
        }
        table.finish();
        if let (Some((username, _)), Some(password)) = (username, password) {
            logins.push(Login { username, password, account });
        }
    }
    logins
}

/// RFC 7617: a user name with a colon cannot be told from its password.
fn username(table: &mut Section<'_>) -> Option<(Arc<str>, Span)> {
    let here = table.entry("username").is_some();
    let name = table.name("username");
    match &name {
        Some((name, span)) if name.contains(':') => {
            table.problems().at(span.clone(), "a user name cannot contain a colon");
        }
        None if !here => table.missing("username is missing", "For example username = \"platform\"."),
        _ => {}
    }
    name
}

fn password(table: &mut Section<'_>, resolver: &mut Resolver<'_>) -> Option<Secret> {
    if table.entry("password").is_none() {
        table.missing("password is missing", "For example password = { file = \"secrets/password\" }.");
    }
    let password = table.secret("password", resolver)?;
    if password.expose().chars().any(char::is_control) {
        let help = "It is one line; of line breaks at the end of a file, one is cut.";
        said_wrongly(table, "password", "the password has a line break or another control character", help);
    }
    Some(password)
}

/// The accounts of a publisher; none: all.
fn accounts(table: &mut Section<'_>) -> Vec<Arc<str>> {
    let Some(texts) = table.strings("accounts") else { return Vec::new() };
    let problems = table.problems();
    if texts.is_empty() {
        // Else "none" would mean "all".
        table.missing("accounts is empty", "Name at least one, or leave accounts out to allow all.");
    }
    if let [(only, _)] = texts.as_slice()
        && *only == EVERY_ACCOUNT
    {
        return Vec::new();
    }
    let mut accounts = Vec::new();
    for (text, span) in texts {
        if text == EVERY_ACCOUNT {
            let help = "\"*\" stands for all accounts: leave the others out, or leave it out.";
            problems.add(problems.error(span, "all accounts and some of them").help(help));
        } else if is_name(text) {
            accounts.push(Arc::from(text));
        } else {
            problems.add(problems.error(span, "not a name").help(NAME));
        }
    }
    accounts
}
