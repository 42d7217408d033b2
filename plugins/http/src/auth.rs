//! `auth`: the one header that proves to the destination who is calling.

use crate::{credentials, headers};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use postrider_sink::{KeyPath, Reader, Secret, SettingError, Value};

const MISSING: &str = "Basic credentials are required; a public endpoint takes any placeholder";
const EXAMPLE: &str = "Add auth = { basic = { username = \"…\", password = { env = \"…\" } } }, or basic = { \
                       credentials = { file = \"…\" } } with the base64 of username:password. Where the destination \
                       wants something else: auth = { bearer = { file = \"…\" } }, or auth = { header = { name = \
                       \"x-api-key\", value = { file = \"…\" } } }.";
/// The ways there are; a file names exactly one.
const WAYS: [&str; 3] = ["basic", "bearer", "header"];

/// A header and its secret value.
#[derive(Clone)]
pub(crate) struct Proof {
    pub(crate) name: HeaderName,
    /// As it goes on the wire.
    pub(crate) secret: Secret,
}

impl Proof {
    /// `Basic …` or `Bearer …`.
    pub(crate) const fn authorization(secret: Secret) -> Self {
        Self { name: AUTHORIZATION, secret }
    }

    /// The value of the header, marked so that it is printed nowhere. `None`: it cannot stand in one.
    pub(crate) fn value(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.secret.expose()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// Reads `auth`, which has to be there.
pub(crate) fn read(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Option<Proof> {
    let Some(value) = reader.value("auth") else {
        errors.push(SettingError::missing(KeyPath::default(), MISSING).help(EXAMPLE));
        return None;
    };
    let path = reader.path("auth");
    let Value::Table(table) = value else {
        let message = format!("expected a table, found {}", value.describe());
        errors.push(SettingError::value(path, message).help(EXAMPLE));
        return None;
    };
    let mut auth = Reader::at(table, path.clone());
    let given: Vec<&str> = WAYS.into_iter().filter(|way| auth.value(way).is_some()).collect();
    let proof = match *given.as_slice() {
        [] => {
            errors.push(SettingError::missing(path, MISSING).help(EXAMPLE));
            None
        }
        ["basic"] => read_basic(&mut auth, errors).map(Proof::authorization),
        ["bearer"] => bearer(&mut auth).map(Proof::authorization),
        ["header"] => header(&mut auth, errors),
        [_, second, ..] => {
            let message = format!("{} exclude each other", given.join(" and "));
            errors.push(SettingError::value(path.join(second), message).help("Keep one of them."));
            None
        }
        [_] => None,
    };
    errors.extend(auth.finish());
    proof
}

/// Reads the table `basic` of `auth`, here and of a proxy.
pub(crate) fn read_basic(auth: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Option<Secret> {
    let path = auth.path("basic");
    match auth.value("basic") {
        Some(Value::Table(table)) => {
            let mut basic = Reader::at(table, path.clone());
            let header = credentials::read(&mut basic, &path, MISSING, EXAMPLE);
            errors.extend(basic.finish());
            header
        }
        Some(other) => {
            let message = format!("expected a table, found {}", other.describe());
            errors.push(SettingError::value(path, message).help(EXAMPLE));
            None
        }
        None => {
            errors.push(SettingError::missing(path, MISSING).help(EXAMPLE));
            None
        }
    }
}

/// RFC 6750, section 2.1. A pasted `Bearer ` in front is taken off.
fn bearer(auth: &mut Reader<'_>) -> Option<Secret> {
    const HELP: &str = "Enter the token as the destination gave it to you, without spaces or line breaks.";
    let secret = auth.secret("bearer")?;
    let text = secret.expose().trim();
    let token = match text.split_once(char::is_whitespace) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
        _ => text,
    };
    let message = if token.is_empty() {
        "the token is empty"
    } else if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(Secret::new(format!("Bearer {token}")));
    } else {
        "the token contains something that is not a visible ASCII character"
    };
    auth.error(SettingError::value(auth.path("bearer"), message).help(HELP));
    None
}

fn header(auth: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Option<Proof> {
    let mut table = auth.table("header")?;
    let path = auth.path("header");
    let name = table.string("name").map(str::to_owned);
    let value = table.secret("value");
    for (key, missing) in [("name", table.value("name").is_none()), ("value", table.value("value").is_none())]
    {
        if missing {
            let help = "For example header = { name = \"x-api-key\", value = { file = \"…\" } }.";
            errors.push(SettingError::missing(path.clone(), format!("{key} is missing")).help(help));
        }
    }
    let name = name.and_then(|name| match headers::proof_name(&name, &path.join("name")) {
        Ok(name) => Some(name),
        Err(error) => {
            errors.push(error);
            None
        }
    });
    let value = value.and_then(|value| {
        match headers::read_value(&Value::Secret(value.clone()), &path.join("value")) {
            Ok(_) => Some(value),
            Err(error) => {
                errors.push(error);
                None
            }
        }
    });
    errors.extend(table.finish());
    Some(Proof { name: name?, secret: value? })
}
