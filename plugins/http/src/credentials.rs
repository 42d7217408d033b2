use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use postrider_sink::{KeyPath, Reader, Secret, SettingError};

/// The standard alphabet, with or without padding: what people paste has been through many tools.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads a table `basic` and returns the value of the header, `Basic …`. `missing` and `example` are for an empty one.
pub(crate) fn read(
    basic: &mut Reader<'_>,
    path: &KeyPath,
    missing: &'static str,
    example: &'static str,
) -> Option<Secret> {
    let given = ["credentials", "username", "password"].map(|key| basic.value(key).is_some());
    match given {
        [true, false, false] => {
            let credentials = basic.secret("credentials")?;
            report(basic, path.join("credentials"), encoded(credentials.expose()))
        }
        [false, true, true] => {
            // Both are looked at, so that both are reported.
            let (username, password) = (basic.secret("username"), basic.secret("password"));
            let username =
                username.and_then(|name| report(basic, path.join("username"), user(&name).map(|()| name)));
            let password = password
                .and_then(|word| report(basic, path.join("password"), plain(word.expose()).map(|()| word)));
            Some(header(format!("{}:{}", username?.expose(), password?.expose()).as_bytes()))
        }
        [false, true, false] => {
            basic.error(
                SettingError::missing(path.clone(), "password is missing").help("Enter the password."),
            );
            None
        }
        [false, false, true] => {
            let help = "Enter the user name, or give both as credentials.";
            basic.error(SettingError::missing(path.clone(), "username is missing").help(help));
            None
        }
        [true, _, _] => {
            let message = "credentials and username with password exclude each other";
            let help = "Keep credentials, the base64 of username:password, or the two separate keys.";
            basic.error(SettingError::value(path.join("credentials"), message).help(help));
            None
        }
        [false, false, false] => {
            basic.error(SettingError::missing(path.clone(), missing).help(example));
            None
        }
    }
}

/// What is wrong with a value, and what to do about it.
struct Wrong(&'static str, &'static str);

fn report<T>(reader: &mut Reader<'_>, path: KeyPath, result: Result<T, Wrong>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Wrong(message, help)) => {
            reader.error(SettingError::value(path, message).help(help));
            None
        }
    }
}

fn user(name: &Secret) -> Result<(), Wrong> {
    if name.expose().contains(':') {
        let help = "Remove the colon. A Basic Auth user name cannot contain one.";
        return Err(Wrong("the user name contains a colon", help));
    }
    plain(name.expose())
}

/// RFC 7617, section 2: neither part contains control characters.
fn plain(text: &str) -> Result<(), Wrong> {
    if text.chars().any(char::is_control) {
        let help = "Remove line breaks, tabs and other control characters.";
        return Err(Wrong("it contains a control character", help));
    }
    Ok(())
}

/// Checks the encoded form and brings it into the one that goes on the wire.
fn encoded(text: &str) -> Result<Secret, Wrong> {
    const HELP: &str = "Encode username:password as base64 (printf '%s' 'username:password' | base64), or give username and \
                        password as separate keys.";
    let text = text.trim();
    let text = match text.split_once(char::is_whitespace) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => rest.trim_start(),
        _ => text,
    };
    if text.is_empty() {
        return Err(Wrong("the credentials are empty", HELP));
    }
    let decoded = LENIENT.decode(text).map_err(|_| {
        if text.contains(':') {
            Wrong("the credentials are not encoded", HELP)
        } else if text.contains(['-', '_']) {
            Wrong("the credentials are not in the standard base64 alphabet (+ and /)", HELP)
        } else {
            Wrong("the credentials are not base64", HELP)
        }
    })?;
    if !decoded.contains(&b':') {
        return Err(Wrong("the decoded credentials have no colon between user name and password", HELP));
    }
    if decoded.iter().any(u8::is_ascii_control) {
        let help = "Encode them again without the line break: printf '%s' 'username:password' | base64.";
        return Err(Wrong("the decoded credentials contain a control character", help));
    }
    Ok(header(&decoded))
}

fn header(credentials: &[u8]) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(credentials)))
}
