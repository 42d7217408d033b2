use async_nats::ConnectOptions;
use nkeys::{KeyPair, KeyPairType};
use postrider_sink::{KeyPath, Reader, Secret, SettingError};

/// Who connects.
#[derive(Clone)]
pub(crate) enum Auth {
    Nobody,
    User(Secret, Secret),
    Token(Secret),
    NKey(Secret),
    /// The text of a `.creds` file.
    Credentials(Secret),
}

const WAYS: &str =
    "Give one of: username with password, token, nkey (a user's seed), credentials (a .creds file).";

/// Reads `auth`.
pub(crate) fn read(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Option<Auth> {
    let path = reader.path("auth");
    let given = reader.value("auth").is_some();
    let Some(mut table) = reader.table("auth") else { return (!given).then_some(Auth::Nobody) };
    let [username, password, token, nkey, credentials] =
        ["username", "password", "token", "nkey", "credentials"].map(|key| table.secret(key));
    let auth = match (username, password, token, nkey, credentials) {
        (Some(username), Some(password), None, None, None) => Ok(Auth::User(username, password)),
        (Some(_), None, None, None, None) => {
            Err(SettingError::missing(path, "password is missing").help("Enter the password."))
        }
        (None, Some(_), None, None, None) => {
            Err(SettingError::missing(path, "username is missing").help("Enter the user name."))
        }
        (None, None, Some(token), None, None) => Ok(Auth::Token(token)),
        (None, None, None, Some(seed), None) => seed_of_user(&seed).map_err(|message| {
            SettingError::value(path.join("nkey"), message).help("It is the line that begins with SU.")
        }),
        (None, None, None, None, Some(text)) => credentials_file(&text, path.join("credentials")),
        (None, None, None, None, None) => Err(SettingError::missing(path, "auth says nothing").help(WAYS)),
        _ => Err(SettingError::value(path, "more than one way to say who connects").help(WAYS)),
    };
    let before = errors.len();
    errors.extend(table.finish());
    match auth {
        Ok(auth) => (errors.len() == before).then_some(auth),
        Err(error) => {
            errors.push(error);
            None
        }
    }
}

fn credentials_file(text: &Secret, path: KeyPath) -> Result<Auth, SettingError> {
    // Its reader wants the line break at the end that a secret's file loses.
    let text = Secret::new(format!("{}\n", text.expose()));
    match ConnectOptions::new().credentials(text.expose()) {
        Ok(_) => Ok(Auth::Credentials(text)),
        Err(_) => Err(SettingError::value(path, "not the text of a .creds file").help(
            "Name the file with its two blocks, the user's JWT and the NKEY seed: { file = \"secrets/acme.creds\" }.",
        )),
    }
}

fn seed_of_user(seed: &Secret) -> Result<Auth, &'static str> {
    let key = KeyPair::from_seed(seed.expose().trim()).map_err(|_| "not the seed of an NKEY")?;
    match key.key_pair_type() {
        KeyPairType::User => Ok(Auth::NKey(Secret::new(seed.expose().trim().to_owned()))),
        _ => Err("the seed of an NKEY that is not a user's"),
    }
}

impl Auth {
    /// Says who connects.
    pub(crate) fn on(&self, options: ConnectOptions) -> std::io::Result<ConnectOptions> {
        let text = |secret: &Secret| secret.expose().to_owned();
        Ok(match self {
            Self::Nobody => options,
            Self::User(username, password) => options.user_and_password(text(username), text(password)),
            Self::Token(token) => options.token(text(token)),
            Self::NKey(seed) => options.nkey(text(seed)),
            Self::Credentials(creds) => options.credentials(creds.expose())?,
        })
    }

    /// What changes with it.
    pub(crate) fn digests(&self) -> Vec<u64> {
        match self {
            Self::Nobody => Vec::new(),
            Self::User(username, password) => vec![1, username.digest(), password.digest()],
            Self::Token(secret) => vec![2, secret.digest()],
            Self::NKey(secret) => vec![3, secret.digest()],
            Self::Credentials(secret) => vec![4, secret.digest()],
        }
    }
}
