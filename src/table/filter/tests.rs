use super::*;
use crate::clock::{Clock as _, SystemClock};
use serde_json::json;

fn judge(filter: &str, data: serde_json::Value) -> Judgement {
    let facts = Facts::new("failed", "crm", Some("acme"), data);
    Filter::compile(filter).unwrap_or_else(|error| panic!("{filter}: {error}")).judge(&facts)
}

#[test]
fn numbers_out_of_range_and_halves_of_characters_hide_nothing_else_from_a_filter() {
    let body = br#"{"event":"failed","data":{"status":"failed","details":{"n":1e400,"cut":"a\ud83d","\udc00":[1,{"code":503}],
        "code":500,"text":"\u00e9"}}}"#;
    for (filter, wanted) in [
        ("data.status == 'failed' && data.details.code == 500", true),
        ("data.details.cut.startsWith('a') && data.details.text == '\u{e9}'", true),
        ("data.details.n > 1.0e300", true),
        ("data.details.code == 501", false),
    ] {
        let facts = Facts::of_body("failed", "crm", None, body).expect("it is JSON");
        let judged = Filter::compile(filter).expect(filter).judge(&facts);
        assert_eq!(judged, if wanted { Judgement::Wanted } else { Judgement::Unwanted }, "{filter}");
    }
}

fn error(filter: &str) -> FilterError {
    Filter::compile(filter).expect_err(filter)
}

#[test]
fn a_filter_sees_event_product_account_and_data() {
    let data = || {
        json!({ "message_id": "m", "status": "failed", "details": {
            "code": 503, "price": 0.5, "big": 18_446_744_073_709_551_615_u64, "tags": ["vip", "eu"],
            "parts": [{ "n": 1 }, { "n": 2 }], "none": null } })
    };
    for wanted in [
        "event == 'failed' && product == 'crm' && account == 'acme'",
        "event in ['failed', 'read']",
        "data.details.code >= 500 && data.details.code + 1 == 504",
        "data.details.price < 1 && data.details.price == 0.5",
        "data.details.big > 5u",
        "'vip' in data.details.tags && size(data.details.tags) == 2",
        "data.details.tags[0].startsWith('v') && data.details.tags[1].endsWith('u')",
        "data.details.tags.exists(t, t == 'eu') && data.details.tags.all(t, t.contains(''))",
        "data.details.parts.filter(p, p.n > 1).map(p, p.n) == [2]",
        "data.details.parts.exists_one(p, p.n == 2)",
        "has(data.details.code) && !has(data.details.nothing)",
        "data.details.none == null && type(data.details.code) == int",
        "data['status'] == \"failed\"",
        "data.details.code > 500 ? string(data.details.code) == '503' : false",
        "int('7') == 7 && double('1.5') == 1.5 && uint(3) == 3u && bool('true')",
        "data.details.exists(name, name == 'code')",
    ] {
        assert_eq!(judge(wanted, data()), Judgement::Wanted, "{wanted}");
        assert_eq!(judge(&format!("!({wanted})"), data()), Judgement::Unwanted, "{wanted}");
    }
    let facts = Facts::new("sent", "crm", None, json!({}));
    assert_eq!(Filter::compile("account == null").unwrap().judge(&facts), Judgement::Wanted);
    assert_eq!(Filter::compile("account == 'acme'").unwrap().judge(&facts), Judgement::Unwanted);
}

#[test]
fn a_filter_that_cannot_tell_does_not_match_and_names_no_value() {
    let secret = json!({ "a": "hunter2", "n": 1, "list": ["hunter2"] });
    for (filter, reason) in [
        ("data.missing == 1", "there is no \"missing\": test for it with has()"),
        ("data.a > 1", "\">\" does not take string and int"),
        ("data.n", "a bool is needed, and it is a int"),
        ("data.n / 0 == 1", "it divides by zero"),
        ("data.list[4] == 'x'", "the list has no such element"),
        ("data.n.startsWith('x')", "\"startsWith\" does not take int and string"),
    ] {
        let Judgement::Failed(failure) = judge(filter, secret.clone()) else { panic!("{filter}") };
        assert_eq!((failure.kind, &*failure.reason), (FailureKind::Error, reason), "{filter}");
        assert!(!failure.reason.contains("hunter2"));
    }
    assert_eq!(judge("data.missing == 1 || data.n == 1", secret), Judgement::Wanted);
}

#[test]
fn errors_say_which_part_of_the_expression_is_wrong() {
    let found = |filter: &str| {
        let error = error(filter);
        (filter[error.span.clone()].to_owned(), error.message)
    };
    assert_eq!(found("evnt == 'x'"), ("evnt".to_owned(), "unknown name \"evnt\"".to_owned()));
    assert_eq!(found("event == dta.x").0, "dta");
    assert_eq!(found("'é' == evnt").0, "evnt");
    assert_eq!(found("data.a.startWith('x')").0, "startWith");
    assert_eq!(found("matches(data.a, 'x')").0, "matches");
    assert_eq!(found("data.list.exists(x, y == 1)").0, "y");
    assert_eq!(found("Thing{a: 1} == 1").1, "unknown type \"Thing\"");
    assert!(found("event == ").1.starts_with("not an expression"));
    assert!(found("event = 'x'").1.starts_with("not an expression"));
    assert!(found("(((").1.starts_with("not an expression"));
    assert_eq!(error("evnt == 'x'").unknown.unwrap().1, ["event", "product", "account", "data"]);
    assert_eq!(error("  ").message, "the filter is empty");
    assert!(error(&"'".repeat(MOST_BYTES + 1)).message.contains("bytes"));
    assert_eq!(error("data.?a == 1").message.get(..17), Some("not an expression"));
    // The functions that count cannot be called, nor shadowed.
    assert!(Filter::compile("@tick(1) == 1").is_err());
    assert!(Filter::compile("@turns(data) == data").is_err());
}

#[test]
fn an_expression_as_deep_as_it_may_be_fits_the_stack_it_is_judged_on() {
    let deepest = |wrap: fn(&str) -> String, core: &str| {
        let mut expression = core.to_owned();
        while let Ok(longer) = Filter::compile(&wrap(&expression)).map(|filter| filter.source().to_owned()) {
            expression = longer;
        }
        expression
    };
    let small = std::thread::Builder::new().stack_size(EVALUATION_STACK).spawn(move || {
        for filter in [
            deepest(|inner| format!("({inner} + 1)"), "1"),
            deepest(|inner| format!("[{inner}]"), "1"),
            deepest(|inner| format!("data.l.exists(x, {inner})"), "false"),
            deepest(|inner| format!("(true ? {inner} : false)"), "false"),
        ] {
            let facts = Facts::new("failed", "crm", None, json!({ "l": [1] }));
            let _ = Filter::compile(&filter).expect("it is one").judge(&facts);
        }
        // What is too deep is refused, not overflowed.
        for (open, middle, close) in [
            ("(", "true", ")"),
            ("[", "1", "]"),
            ("!", "true", ""),
            ("-", "1", ""),
            ("1+", "1", ""),
            ("data.", "a", ""),
        ] {
            let count = (MOST_BYTES - middle.len()) / (open.len() + close.len());
            let _ = Filter::compile(&format!("{}{middle}{}", open.repeat(count), close.repeat(count)));
        }
        for open in ["(", "[", "{", "has(", "data[", "data.all(x,", "!(", "-[", "{1:", "[[{(", "(a?"] {
            let _ = Filter::compile(&open.repeat(MOST_BYTES / open.len()));
        }
        for (head, tail) in [
            ("data", ".a"),
            ("data", "[0]"),
            ("true", "&&true"),
            ("true", "?true:true"),
            ("1", "+1"),
            ("1", "==1"),
        ] {
            let count = (MOST_BYTES - head.len()) / tail.len();
            let _ = Filter::compile(&format!("{head}{}", tail.repeat(count)));
        }
    });
    small.unwrap().join().expect("no stack overflow and no panic");
}

#[test]
fn a_filter_that_takes_too_long_is_stopped_and_does_not_match() {
    with_stack(stops).expect("no panic");
}

fn stops() {
    let list: Vec<u32> = (0..2000).collect();
    let text = "x".repeat(200_000);
    for filter in [
        "data.list.all(a, data.list.all(b, a + b >= 0))",
        "data.list.exists(a, data.list.exists(b, a == b && a < 0)) || true",
        "data.list.map(a, data.list.map(b, b)) == []",
        "data.list.all(a, data.list.all(b, true))",
        "data.list.filter(a, data.list.filter(b, b < 0) == []) == []",
    ] {
        let start = SystemClock.now();
        let Judgement::Failed(failure) = judge(filter, json!({ "list": list })) else { panic!("{filter}") };
        assert_eq!(failure.kind, FailureKind::Limit, "{filter}");
        assert!(start.elapsed() < Duration::from_secs(2), "{filter} took {:?}", start.elapsed());
    }
    // What a single call costs is bounded by the event, so time is looked at between calls.
    let grows = format!("size({}) >= 0", vec!["data.text"; 28].join(" + "));
    let start = SystemClock.now();
    let _ = judge(&grows, json!({ "text": text }));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // The budget is each evaluation's own.
    assert_eq!(judge("data.list.all(a, a >= 0)", json!({ "list": list })), Judgement::Wanted);
}
