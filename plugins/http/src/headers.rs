use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use postrider_sink::{At, KeyPath, Reader, SettingError, Value};

/// Headers of one endpoint.
const MOST: usize = 64;
/// Bytes of one value.
const LONGEST: usize = 8 * 1024;

/// Names that the connection or the host owns.
const REFUSED: [&str; 10] = [
    "host",
    "authorization",
    "traceparent",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];
const REFUSED_PREFIXES: [&str; 4] = ["content-", "webhook-", "postrider-", "proxy-"];

/// Reads the endpoint's own `headers`.
pub(crate) fn read(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(value) = reader.value("headers") else { return headers };
    let path = reader.path("headers");
    let Value::Table(table) = value else {
        errors.push(SettingError::value(path, format!("expected a table, found {}", value.describe())));
        return headers;
    };
    if table.len() > MOST {
        errors.push(SettingError::value(path, format!("more than {MOST} headers")));
        return headers;
    }
    for (key, value) in table {
        let path = path.join(key);
        match (name(key, &path), read_value(value, &path)) {
            (Ok(name), Ok(value)) => {
                if headers.insert(name, value).is_some() {
                    let message = format!("the header {key} is given twice: names ignore case");
                    errors.push(wrong_key(path, message));
                }
            }
            (name, value) => errors.extend(name.err().into_iter().chain(value.err())),
        }
    }
    headers
}

fn wrong_key(path: KeyPath, message: String) -> SettingError {
    SettingError { path, at: At::Key, message, help: None }
}

fn name(key: &str, path: &KeyPath) -> Result<HeaderName, SettingError> {
    let Ok(name) = HeaderName::from_bytes(key.as_bytes()) else {
        return Err(wrong_key(path.clone(), format!("{key:?} is not a header name"))
            .help("Use letters, digits and hyphens, for example x-team."));
    };
    let text = name.as_str();
    if REFUSED.contains(&text) || REFUSED_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Err(wrong_key(path.clone(), format!("the header {text} cannot be set here")).help(format!(
            "Remove it. Not allowed: {}, and names that start with {}.",
            REFUSED.join(", "),
            REFUSED_PREFIXES.join(", ")
        )));
    }
    Ok(name)
}

/// The name of the header that `auth.header` sets: `authorization` may be one.
pub(crate) fn proof_name(key: &str, path: &KeyPath) -> Result<HeaderName, SettingError> {
    if key.eq_ignore_ascii_case(AUTHORIZATION.as_str()) {
        return Ok(AUTHORIZATION);
    }
    name(key, path).map_err(|error| SettingError { at: At::Value, ..error })
}

pub(crate) fn read_value(value: &Value, path: &KeyPath) -> Result<HeaderValue, SettingError> {
    let wrong = |message: String| Err(SettingError::value(path.clone(), message));
    let (text, sensitive) = match value {
        Value::String(text) => (text.as_str(), false),
        Value::Secret(secret) => (secret.expose(), true),
        other => return wrong(format!("expected a string, found {}", other.describe())),
    };
    if text.len() > LONGEST {
        return wrong(format!("longer than {LONGEST} bytes"));
    }
    if text.is_empty() && sensitive {
        return wrong("it is empty".to_owned());
    }
    if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) || text.trim() != text {
        return wrong(
            "a header value has visible ASCII characters, with spaces only between them".to_owned(),
        );
    }
    match HeaderValue::from_str(text) {
        Ok(mut value) => {
            value.set_sensitive(sensitive);
            Ok(value)
        }
        Err(_) => wrong("not a header value".to_owned()),
    }
}
