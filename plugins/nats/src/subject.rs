use postrider_sink::{Delivery, KeyPath, Reader, SettingError};
use std::fmt::Write as _;

const LONGEST: usize = 512;
const HELP: &str = "Write words separated by dots, of which {event}, {product} and {account} may be parts: events.{product}.{event}.";

/// The subject of an endpoint, with what is put in for each delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Event,
    Product,
    Account,
}

/// Reads `subject`.
pub(crate) fn read(reader: &mut Reader<'_>, errors: &mut Vec<SettingError>) -> Option<Template> {
    if reader.value("subject").is_none() {
        errors.push(SettingError::missing(KeyPath::default(), "subject is missing").help(HELP));
        return None;
    }
    let text = reader.string("subject")?;
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(message) => {
            errors.push(SettingError::value(reader.path("subject"), message).help(HELP));
            None
        }
    }
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(format!("a subject has 1 to {LONGEST} bytes"));
        }
        if text.split('.').any(str::is_empty) {
            return Err(String::from("there is nothing between two dots, or before or after one"));
        }
        if text.starts_with('$') || text.starts_with("_INBOX") {
            return Err(String::from("subjects that begin with $ or _INBOX are the server's own"));
        }
        if let Some(char) =
            text.chars().find(|char| char.is_whitespace() || char.is_control() || "*>".contains(*char))
        {
            return Err(format!("{char:?} cannot stand in a subject that is published to"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or_else(|| String::from("a { without its }"))?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(match name {
                "event" => Part::Event,
                "product" => Part::Product,
                "account" => Part::Account,
                other => return Err(format!("{{{other}}} is none of {{event}}, {{product}}, {{account}}")),
            });
            rest = after;
        }
        if rest.contains('}') {
            return Err(String::from("a } without its {"));
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// The subject of a delivery. What is put in is one word: any character of it but letters, digits, `-` and `_` is written
    /// as `%XX`. An event without an account has `-` there.
    pub(crate) fn of(&self, delivery: &Delivery) -> String {
        let mut subject = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Text(text) => subject.push_str(text),
                Part::Event => word(&mut subject, &delivery.event),
                Part::Product => word(&mut subject, &delivery.product),
                Part::Account => match delivery.account.as_deref() {
                    Some("-") => subject.push_str("%2D"),
                    Some(account) => word(&mut subject, account),
                    None => subject.push('-'),
                },
            }
        }
        subject
    }
}

fn word(subject: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            subject.push(char::from(byte));
        } else {
            let _ = write!(subject, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_sink::testkit::delivery;

    #[test]
    fn what_is_put_in_is_one_word() {
        let template = Template::parse("in.{account}.{product}-{event}").unwrap();
        let mut event = delivery("evt_1");
        (event.event, event.product) = ("read".into(), "developer-apis".into());
        for (account, wanted) in [
            (None, "in.-.developer-apis-read"),
            (Some("acme"), "in.acme.developer-apis-read"),
            (Some("-"), "in.%2D.developer-apis-read"),
            (Some("a.b *>é"), "in.a%2Eb%20%2A%3E%C3%A9.developer-apis-read"),
        ] {
            event.account = account.map(Into::into);
            assert_eq!(template.of(&event), wanted);
        }
        assert_eq!(Template::parse("plain").unwrap().of(&event), "plain");
    }

    #[test]
    fn a_subject_that_cannot_be_published_to_is_refused() {
        for text in [
            "", ".", "a..b", "a.", ".a", "a b", "a.*", "a.>", "{evnt}", "{event", "event}", "$JS.API",
            "_INBOX.a", "a\n",
        ] {
            assert!(Template::parse(text).is_err(), "{text:?}");
        }
        let error = Template::parse("a.{evnt}").unwrap_err();
        assert!(error.contains("{evnt} is none of {event}, {product}, {account}"), "{error}");
    }
}
