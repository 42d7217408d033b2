//! Signatures as Standard Webhooks 1.0 has them: HMAC-SHA256 over `id.timestamp.body`, one for every secret, so that
//! a receiver may know the old or the new one while a secret rotates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::HeaderValue;
use postrider_sink::{KeyPath, Reader, Secret, SettingError, Value};
use sha2::Sha256;
use std::ops::RangeInclusive;

/// Bytes of a secret (Standard Webhooks, "Signature scheme").
const LENGTH: RangeInclusive<usize> = 24..=64;
const PREFIX: &str = "whsec_";
/// Secrets at once: the header grows with each.
const MOST: usize = 8;
const HELP: &str = "Write whsec_ and the base64 of 24 to 64 random bytes, for example: printf 'whsec_%s' \"$(openssl \
                    rand -base64 32)\".";

/// The secrets of an endpoint, ready for use.
#[derive(Clone, Default)]
pub(crate) struct Signing {
    keys: Vec<Hmac<Sha256>>,
    /// As they were given, for telling a change.
    given: Vec<Secret>,
}

impl Signing {
    /// Whether there is nothing to sign with.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// What changes with the secrets.
    pub(crate) fn digests(&self) -> impl Iterator<Item = u64> + '_ {
        self.given.iter().map(Secret::digest)
    }

    /// The value of `webhook-signature`, for every secret in the order of the file.
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> Option<HeaderValue> {
        let prefix = format!("{id}.{timestamp}.");
        let signatures: Vec<String> = self
            .keys
            .iter()
            .map(|key| {
                let mut mac = key.clone();
                mac.update(prefix.as_bytes());
                mac.update(body);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            })
            .collect();
        HeaderValue::from_str(&signatures.join(" ")).ok()
    }
}

/// Reads `signing = { secrets = […] }`.
pub(crate) fn read(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Signing {
    let mut signing = Signing::default();
    let Some(mut table) = reader.table("signing") else { return signing };
    let path = table.path("secrets");
    match table.value("secrets") {
        None => errors.push(
            SettingError::missing(reader.path("signing"), "secrets is missing")
                .help("For example signing = { secrets = [{ file = \"secrets/acme-whsec\" }] }."),
        ),
        Some(Value::Array(list)) if list.is_empty() => {
            errors.push(SettingError::value(path, "secrets is empty").help(HELP));
        }
        Some(Value::Array(list)) if list.len() > MOST => {
            let help = "While a secret rotates there are two: the new one first, then the old one.";
            errors.push(SettingError::value(path, format!("more than {MOST} secrets")).help(help));
        }
        Some(Value::Array(list)) => {
            for (nth, value) in list.iter().enumerate() {
                match secret(value, &path.join(&nth.to_string())) {
                    Ok((key, given)) if !signing.given.contains(&given) => {
                        signing.keys.push(key);
                        signing.given.push(given);
                    }
                    Ok(_) => {
                        let path = path.join(&nth.to_string());
                        errors.push(SettingError::value(path, "the same secret stands here twice"));
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        Some(other) => {
            let message = format!("expected a list of secrets, found {}", other.describe());
            errors.push(SettingError::value(path, message).help(HELP));
        }
    }
    errors.extend(table.finish());
    signing
}

fn secret(value: &Value, path: &KeyPath) -> Result<(Hmac<Sha256>, Secret), SettingError> {
    let wrong = |message: &str| SettingError::value(path.clone(), message).help(HELP);
    let given = match value {
        Value::String(text) => Secret::new(text.trim().to_owned()),
        Value::Secret(secret) => Secret::new(secret.expose().trim().to_owned()),
        other => return Err(wrong(&format!("expected a secret, found {}", other.describe()))),
    };
    let Some(encoded) = given.expose().strip_prefix(PREFIX) else {
        return Err(wrong("the secret does not start with whsec_"));
    };
    let bytes = STANDARD.decode(encoded).map_err(|_| wrong("what follows whsec_ is not base64"))?;
    if !LENGTH.contains(&bytes.len()) {
        return Err(wrong("the secret does not have 24 to 64 bytes once decoded"));
    }
    let key = Hmac::new_from_slice(&bytes).map_err(|_| wrong("the secret cannot be used as a key"))?;
    Ok((key, given))
}
