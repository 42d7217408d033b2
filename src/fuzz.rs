//! What must hold for any input from outside, as functions that panic where it does not. They are compiled for tests,
//! which throw mutations of `tests/fuzz/corpus` at them, and for libFuzzer (`--cfg fuzzing`).

pub use crate::config::fuzz::{daemon_file, endpoint_file};
pub use crate::ingress::fuzz::{cloud_events, envelope};
pub use crate::net::fuzz::address;
pub use crate::spool::fuzz::records;
pub use crate::table::filter::fuzz::filter;

#[cfg(test)]
mod tests {
    use postrider_fuzz::Target;

    const JSON: [&str; 12] =
        ["{", "}", "[", "]", ",", ":", "null", "true", "\"\"", "\\u0000", "\\ud800", "\\"];

    #[test]
    fn fuzz_envelope_what_is_taken_is_an_event_and_its_data_leaves_as_it_came() {
        let mut words = JSON.to_vec();
        words.extend([
            "\"id\":\"a\"",
            "\"event\":\"sent\"",
            "\"product\":\"crm\"",
            "\"account\":\"acme\"",
            "\"timestamp\":",
            "\"data\":",
            "\"message_id\":\"m\"",
            "\"status\":\"s\"",
            "\"details\":{}",
            "2026-11-23T05:00:00Z",
            "1E-9",
            "\u{feff}",
            "é",
        ]);
        Target { name: "envelope", words: &words, check: super::envelope }.hunt();
    }

    #[test]
    fn fuzz_cloud_events_what_is_taken_is_an_event_in_each_of_the_three_modes() {
        let mut words = JSON.to_vec();
        words.extend([
            "\"specversion\":\"1.0\"",
            "\"type\":\"a.sent\"",
            "\"source\":\"/s\"",
            "\"id\":\"1\"",
            "\"time\":",
            "\"product\":\"crm\"",
            "\"data\":",
            "\"data_base64\":\"e30=\"",
            "\"datacontenttype\":\"application/json\"",
            "ce-type: sent\n",
            "ce-id: 1\n",
            "ce-source: s\n",
            "ce-product: crm\n",
            "%22",
            "%",
            "%C3%A9",
            "\n\n",
            "\"",
            "\"message_id\":\"m\"",
        ]);
        Target { name: "cloud-events", words: &words, check: super::cloud_events }.hunt();
    }

    const TOML: [&str; 16] = [
        "\n",
        "[",
        "]",
        "[[",
        "]]",
        " = ",
        "\"",
        "'",
        "\"\"\"",
        "{",
        "}",
        ",",
        "#",
        "true",
        "1979-05-27",
        "0x1f",
    ];

    #[test]
    fn fuzz_daemon_file_errors_have_a_place_and_what_is_valid_is_read_the_same_again() {
        let mut words = TOML.to_vec();
        words.extend([
            "[ingress]\n",
            "[[ingress.publisher]]\n",
            "[network]\n",
            "allow = [\"10.0.0.0/8\"]",
            "listen",
            "\"24h\"",
        ]);
        words.extend([
            "[catalogue]\n",
            "[defaults]\n",
            "retry = {",
            "{ file = \"a\" }",
            "{ env = \"A\" }",
            "\"10 GiB\"",
            "é",
        ]);
        Target { name: "daemon-file", words: &words, check: super::daemon_file }.hunt();
    }

    #[test]
    fn fuzz_endpoint_file_what_is_written_back_unchanged_stays_as_it_is() {
        let mut words = TOML.to_vec();
        words.extend([
            "state = \"draft\"",
            "events = \"all\"",
            "products",
            "[http]\n",
            "url = \"https://a.example/\"",
            "filter = ",
        ]);
        words.extend([
            "auth = { basic = { credentials = \"YTpi\" } }",
            "[retry]\n",
            "schedule = [\"1s\"]",
            "{ file = \"a\" }",
            "é",
        ]);
        Target { name: "endpoint-file", words: &words, check: super::endpoint_file }.hunt();
    }

    #[test]
    fn fuzz_address_what_is_private_in_any_spelling_is_refused() {
        let words = [
            "http://",
            "https://",
            "127.0.0.1",
            "0x7f",
            "::ffff:",
            "64:ff9b::",
            "2002:",
            "fe80::",
            "[",
            "]",
            "@",
            "%",
            "\\",
            "/",
            "localhost",
        ];
        Target { name: "address", words: &words, check: super::address }.hunt();
    }

    #[test]
    fn fuzz_records_what_is_read_back_is_what_would_be_written() {
        Target { name: "records", words: &["PRL1", "\u{1}", "\0\0\0\0"], check: super::records }.hunt();
    }

    #[test]
    fn fuzz_filter_an_evaluation_ends_in_time_and_says_the_same_twice() {
        let mut words = JSON.to_vec();
        words.extend([
            "event",
            "product",
            "data.details",
            " == ",
            " in ",
            " && ",
            "size(",
            ".all(x, ",
            ".map(x, ",
            "has(",
            "string(",
            "[1,2,3]",
            "'a'",
        ]);
        words.extend(["?", "()", "-", "!", "/0", "%0", ".contains(", "double(", "9223372036854775807", "\n"]);
        Target { name: "filter", words: &words, check: super::filter }.hunt();
    }
}
