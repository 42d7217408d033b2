//! The small pieces every screen is made of.

use jiff::Timestamp;
use maud::{Markup, html};
use std::fmt::Write as _;

/// How a piece of text is coloured; the words never depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Hold,
    Bad,
    Rest,
}

impl Tone {
    /// The class that colours text.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Good => "tone-good",
            Self::Hold => "tone-hold",
            Self::Bad => "tone-bad",
            Self::Rest => "tone-rest",
        }
    }

    /// The class of a box.
    pub(super) const fn note(self) -> &'static str {
        match self {
            Self::Good => "note good",
            Self::Hold => "note hold",
            Self::Bad => "note bad",
            Self::Rest => "note",
        }
    }
}

/// A shape of its own for each state, so that colour is never needed to tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Icon {
    Tick,
    Bars,
    Hand,
    Pencil,
    Bang,
    /// It failed.
    Cross,
    /// It was taken away.
    Bin,
    Clock,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Tick => {
                "M8 1.5a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM5 8.200l2.200 2.200L11.200 6"
            }
            Self::Bars => "M8 1.5a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM6.300 5.500v5M9.700 5.500v5",
            Self::Hand => "M5.300 1.500h5.400l3.800 3.800v5.400l-3.800 3.800H5.300l-3.800-3.800V5.300zM5 8h6",
            Self::Pencil => "M10.800 2.200l3 3L5.500 13.500l-3.800.8.8-3.800zM9 4l3 3",
            Self::Bang => "M8 1.800l6.700 12H1.300zM8 6.200v3.600M8 11.800v.1",
            Self::Cross => {
                "M8 1.5a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM5.800 5.800l4.400 4.400M10.200 5.800l-4.400 4.400"
            }
            Self::Bin => {
                "M2 4.500h12M6 4.300V2.500h4v1.800M3.500 4.500l.7 9h7.600l.7-9M6.500 7.500v3.500M9.500 7.500v3.500"
            }
            Self::Clock => "M8 1.500a6.500 6.500 0 1 0 0 13 6.500 6.500 0 0 0 0-13zM8 4.500V8l2.500 1.500",
        }
    }

    /// The icon alone; what it means stands beside it in words.
    pub(super) fn draw(self) -> Markup {
        html! {
            svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.7"
                stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" { path d=(self.path()) {} }
        }
    }
}

/// An icon and its word.
pub(super) fn badge(icon: Icon, tone: Tone, word: &str) -> Markup {
    html! { span class={"state " (tone.text())} { (icon.draw()) (word) } }
}

/// Milliseconds since the Unix epoch as people read it; a script turns it into the reader's own zone.
pub(super) fn at(ms: u64) -> Markup {
    let Some(time) = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()) else {
        return html! { "at an unknown time" };
    };
    html! { time datetime=(format!("{time:.3}")) title=(format!("{time:.3}")) { (time.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// A time the API wrote, as [`at`] shows it; what is no time is shown as it is.
pub(super) fn at_text(text: &str) -> Markup {
    match text.parse::<Timestamp>() {
        Ok(time) => at(u64::try_from(time.as_millisecond()).unwrap_or(0)),
        Err(_) => html! { (text) },
    }
}

/// How long, in the two largest units that say something: `41 min`, `2 h 5 min`, `3.2 s`.
pub(super) fn span(ms: u64) -> String {
    let (s, m, h, d) = (ms / 1000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    let two = |big: u64, unit: &str, small: u64, other: &str| {
        if small == 0 { format!("{big} {unit}") } else { format!("{big} {unit} {small} {other}") }
    };
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 if ms % 1000 >= 100 => format!("{}.{} s", s, ms % 1000 / 100),
        1000..10_000 => format!("{s} s"),
        10_000..120_000 => format!("{s} s"),
        120_000..7_200_000 => format!("{m} min"),
        7_200_000..172_800_000 => two(h, "h", m % 60, "min"),
        _ => two(d, "d", h % 24, "h"),
    }
}

/// How long an attempt took, or a step of it: tenths of a millisecond below ten, whole ones above.
pub(super) fn took(us: u64) -> String {
    let tenths = us.saturating_add(50) / 100;
    match us {
        0..100 => "under 0.1 ms".to_owned(),
        _ if tenths < 100 => format!("{}.{} ms", tenths / 10, tenths % 10),
        _ => span(us.saturating_add(500) / 1000),
    }
}

/// For how long already, in whole seconds.
pub(super) fn lasting(then_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(then_ms) / 1000 {
        0 => "under 1 s".to_owned(),
        seconds => span(seconds * 1000),
    }
}

/// Since when, as a length of time.
pub(super) fn ago(then_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(then_ms) / 1000 {
        0..5 => "just now".to_owned(),
        seconds => format!("{} ago", span(seconds * 1000)),
    }
}

/// `12,480`.
pub(super) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 delivery`, `2 deliveries`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// With a capital at its beginning.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The name of an event or a product as people write it: `developer-apis` is `Developer APIs`.
pub(super) fn title(name: &str) -> String {
    let word = |(position, part): (usize, &str)| match part {
        "crm" => "CRM".to_owned(),
        "api" => "API".to_owned(),
        "apis" => "APIs".to_owned(),
        part if position == 0 => capital(part),
        part => part.to_owned(),
    };
    name.split(['-', '_']).enumerate().map(word).collect::<Vec<_>>().join(" ")
}

/// A box with something to say. `alert` is for failures that a person must hear of at once.
pub(super) fn note(tone: Tone, alert: bool, body: &Markup) -> Markup {
    html! { div class=(tone.note()) role=[alert.then_some("alert")] { (body) } }
}

/// What stands where nothing is: one line that says so, one that says what to do.
pub(super) fn empty(title: &str, text: &Markup) -> Markup {
    html! {
        div.empty {
            svg width="56" height="40" viewBox="0 0 56 40" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" stroke-linecap="round" aria-hidden="true" {
                rect x="8" y="5" width="40" height="29" rx="3" {}
                path d="M9 7.500l19 15 19-15M1 14h5M0 20h6M2 26h4" {}
            }
            h2 { (title) }
            (text)
        }
    }
}

/// A choice of a filter; the empty value is all of them.
pub(super) fn choice(name: &str, label: &str, all: &str, now: &str, options: &[(String, String)]) -> Markup {
    html! {
        div.field {
            label for={"f-" (name)} { (label) }
            select id={"f-" (name)} name=(name) {
                option value="" { (all) }
                @for (value, text) in options {
                    option value=(value) selected[now == value] { (text) }
                }
            }
        }
    }
}

/// A filter of endpoints: a choice, or where there are too many of them, a name to enter.
pub(super) fn which_endpoint(now: &str, endpoints: &[String]) -> Markup {
    const MOST: usize = 200;
    if endpoints.len() <= MOST {
        let options: Vec<_> = endpoints.iter().map(|name| (name.clone(), name.clone())).collect();
        return choice("endpoint", "Endpoint", "All endpoints", now, &options);
    }
    html! {
        div.field {
            label for="f-endpoint" { "Endpoint" }
            input #f-endpoint name="endpoint" value=(now) placeholder="Its whole name" autocomplete="off" spellcheck="false";
        }
    }
}

/// What ends a row of filters: the button, and where there is something to clear, the way to that.
pub(super) fn filter_end(clear: Option<&str>) -> Markup {
    html! {
        div.row {
            button { "Filter" }
            @if let Some(address) = clear { a.btn.plain href=(address) { "Clear filters" } }
        }
    }
}

/// An address with a query made of the pairs that have a value.
pub(super) fn link(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// One part of a path, escaped.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_said_in_the_units_people_use() {
        for (ms, said) in [
            (41, "41 ms"),
            (9_812, "9.8 s"),
            (41_000, "41 s"),
            (41 * 60_000, "41 min"),
            (125 * 60_000, "2 h 5 min"),
            (3 * 3_600_000, "3 h"),
            (75 * 3_600_000, "3 d 3 h"),
        ] {
            assert_eq!(span(ms), said);
        }
    }

    #[test]
    fn an_attempt_that_took_less_than_ten_milliseconds_says_tenths() {
        for (us, said) in [
            (0, "under 0.1 ms"),
            (99, "under 0.1 ms"),
            (100, "0.1 ms"),
            (849, "0.8 ms"),
            (9_949, "9.9 ms"),
            (9_951, "10 ms"),
            (212_400, "212 ms"),
            (999_600, "1 s"),
            (9_812_000, "9.8 s"),
        ] {
            assert_eq!(took(us), said);
        }
    }

    #[test]
    fn numbers_and_names_are_written_for_people() {
        assert_eq!(number(1_204_000), "1,204,000");
        assert_eq!(number(999), "999");
        assert_eq!(title("developer-apis"), "Developer APIs");
        assert_eq!(title("crm"), "CRM");
        assert_eq!(title("sent"), "Sent");
    }

    #[test]
    fn a_link_carries_what_was_chosen_and_nothing_else() {
        assert_eq!(link("/", &[("q", "a b&c"), ("state", "")]), "/?q=a+b%26c");
        assert_eq!(segment("a/b ü"), "a%2Fb%20%C3%BC");
    }
}
