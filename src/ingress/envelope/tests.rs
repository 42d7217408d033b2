use super::*;

fn rules(catalogue: &Catalogue) -> Rules<'_> {
    Rules {
        catalogue,
        max_batch: 1000,
        publisher: "shop",
        accounts: &[],
        key: None,
        traceparent: None,
        accepted_ms: 1_795_410_000_123,
        stamp_ms: 1_795_410_000_123,
    }
}

fn read(json: &str) -> Result<Parsed, Problem> {
    parse(json.as_bytes(), Form::Plain, &rules(&Catalogue::default()))
}

fn body(json: &str) -> String {
    let parsed = read(json).unwrap_or_else(|problem| panic!("{json}: {problem:?}"));
    String::from_utf8(parsed.events[0].body.to_vec()).unwrap()
}

fn with_data(data: &str) -> String {
    format!(
        r#"{{"event":"delivered","product":"campaigns","timestamp":"2026-11-23T05:00:00Z","data":{data}}}"#
    )
}

/// Where the first error is, and what it says.
fn refused(json: &str) -> (usize, String, String) {
    let problem = read(json).expect_err(json);
    assert_eq!(problem.kind, Kind::NotAnEvent, "{json}: {}", problem.detail);
    let first = problem.errors.first().cloned().unwrap();
    (first.index, first.pointer, first.detail)
}

#[test]
fn the_publishers_bytes_of_data_leave_as_they_came() {
    for inside in [
        r#""details":{"price":1.10,"big":1234567890123456789012345,"tiny":1e-400,"neg":-0.0}"#,
        r#""details":{"z":1,"a":2,"a":3}"#,
        r#""details":{"s":"\u0041\/\ud83d\ude00\ud800","t":"ü 日本"}"#,
        "  \"details\" :\t{ \"a\" : [ 1 ,2\n] }  ",
        r#""more":[null,true],"details":{}"#,
    ] {
        let data = format!(r#"{{"message_id":"wamid.42", "status":"delivered",{inside}}}"#);
        let expected = format!(r#"{{"event":"delivered","timestamp":"2026-11-23T05:00:00Z","data":{data}}}"#);
        assert_eq!(body(&with_data(&format!(" \n{data}\t"))), expected);
    }
}

#[test]
fn only_where_details_are_absent_are_they_put_before_the_closing_brace() {
    let out = body(&with_data("{ \"message_id\":\"m\",\"status\":\"s\" \n}"));
    assert!(out.ends_with("\"data\":{ \"message_id\":\"m\",\"status\":\"s\" \n,\"details\":{}}}"), "{out}");
    let nested = body(&with_data(r#"{"message_id":"m","status":"s","x":{"details":1}}"#));
    assert!(nested.ends_with(r#""x":{"details":1},"details":{}}}"#), "{nested}");
    let escaped = body(&with_data(r#"{"message_id":"m","status":"s","\u0064etails":{}}"#));
    assert!(escaped.ends_with(r#""\u0064etails":{}}}"#), "{escaped}");
    for out in [out, nested, escaped] {
        serde_json::from_str::<serde_json::Value>(&out).unwrap();
    }
}

#[test]
fn an_event_without_a_timestamp_is_stamped_with_its_acceptance() {
    let out = body(r#"{"event":"sent","product":"crm","data":{"message_id":"m","status":"s","details":{}}}"#);
    let stamp = jiff::Timestamp::from_millisecond(1_795_410_000_123).unwrap();
    assert!(out.contains(&format!(r#""timestamp":"{}""#, stamp.strftime("%Y-%m-%dT%H:%M:%S.123Z"))), "{out}");
}

#[test]
fn members_come_in_any_order_and_spelling_and_are_decoded_where_they_matter() {
    let json = r#" { "data" : {"status":"s","message_id":"a\u0062\"c"}, "account":"acme",
        "\u0065vent":"sen\u0074", "product":"crm" } "#;
    let parsed = read(json).unwrap();
    let event = &parsed.events[0];
    assert_eq!((&*event.event, &*event.product, &*event.message_id), ("sent", "crm", "ab\"c"));
    assert_eq!((event.account.as_deref(), event.dedup, parsed.array), (Some("acme"), None, false));
}

#[test]
fn what_is_not_json_is_told_from_what_is_no_event() {
    let good = with_data(r#"{"message_id":"m","status":"s"}"#);
    let opened = "[".repeat(100_000);
    let in_data = with_data(&"[".repeat(100_000));
    for bad in [
        "",
        " ",
        "\u{feff}{}",
        &good[..good.len() - 1],
        &good[..30],
        &format!("{good}x"),
        &format!("{good}{good}"),
        &format!("[{good},]"),
        &format!("[{good}"),
        r#"{"event":delivered}"#,
        r#"{'event':'sent'}"#,
        "{\"event\":\"a\nb\"}",
        "nul",
        "01",
        "// x\n{}",
        &opened,
        &in_data,
        &r#"{"a":"#.repeat(100_000),
    ] {
        let problem = read(bad).expect_err(bad);
        assert_eq!(problem.kind, Kind::NotJson, "{}: {}", &bad[..bad.len().min(60)], problem.detail);
    }
    let latin = parse(b"{\"event\":\"\xe9\"}", Form::Plain, &rules(&Catalogue::default())).unwrap_err();
    assert_eq!(latin.kind, Kind::NotJson);
    assert!(latin.detail.contains("byte 10"), "{}", latin.detail);
}

#[test]
fn nesting_is_taken_up_to_its_limit_and_refused_beyond_it() {
    let deep = |count: usize| {
        let details = format!(r#"{{"d":{}{}}}"#, "[".repeat(count), "]".repeat(count));
        with_data(&format!(r#"{{"message_id":"m","status":"s","details":{details}}}"#))
    };
    assert!(read(&deep(61)).is_ok());
    assert!(refused(&deep(62)).2.contains("64"));
    // The array around events is not a level of theirs.
    assert!(read(&format!("[{}]", deep(61))).is_ok());
    assert!(refused(&format!("[{}]", deep(62))).2.contains("64"));
    assert!(refused(&format!("{}{}", "[".repeat(1000), "]".repeat(1000))).2.contains("64"));
}

#[test]
fn every_way_to_be_no_event_is_refused_where_it_is_wrong() {
    let event = |rest: &str| format!(r#"{{"event":"sent","product":"crm",{rest}}}"#);
    let data = r#""data":{"message_id":"m","status":"s"}"#;
    let long = "x".repeat(513);
    let cases = [
        ("42", "", "a number"),
        ("null", "", "null"),
        (r#""sent""#, "", "a string"),
        ("[]", "", "empty array"),
        ("{}", "/event", "missing"),
        (r#"{"event":"sent"}"#, "/product", "missing"),
        (
            &format!(r#"{{"event":"delivred","product":"crm",{data}}}"#),
            "/event",
            r#"Did you mean "delivered"?"#,
        ),
        (
            &format!(r#"{{"event":"sent","product":"campaign",{data}}}"#),
            "/product",
            r#"Did you mean "campaigns"?"#,
        ),
        (&format!(r#"{{"event":"Sent","product":"crm",{data}}}"#), "/event", r#"Did you mean "sent"?"#),
        (&format!(r#"{{"event":["sent"],"product":"crm",{data}}}"#), "/event", "an array"),
        (&format!(r#"{{"event":null,"product":"crm",{data}}}"#), "/event", "null"),
        (&event(r#""id":"x""#), "/data", "missing"),
        (&event(r#""data":[1]"#), "/data", "an array"),
        (&event(r#""data":{}"#), "/data/status", "missing"),
        (&event(r#""data":{"status":"s"}"#), "/data/message_id", "missing"),
        (&event(r#""data":{"status":"s","message_id":7}"#), "/data/message_id", "a number"),
        (&event(r#""data":{"status":"s","message_id":""}"#), "/data/message_id", "1 to 512"),
        (&event(&format!(r#""data":{{"status":"s","message_id":"{long}"}}"#)), "/data/message_id", "has 513"),
        (&event(r#""data":{"status":"s","message_id":"\ud800"}"#), "/data/message_id", "surrogate"),
        (&event(r#""data":{"status":1,"message_id":"m"}"#), "/data/status", "a number"),
        (&event(r#""data":{"status":"s","message_id":"m","details":null}"#), "/data/details", "null"),
        (&event(r#""data":{"status":"s","message_id":"m","details":[]}"#), "/data/details", "an array"),
        (&event(r#""data":{"status":"s","status":"s","message_id":"m"}"#), "/data/status", "twice"),
        (
            &event(r#""data":{"status":"s","message_id":"m","m\u0065ssage_id":"m"}"#),
            "/data/message_id",
            "twice",
        ),
        (
            &event(r#""data":{"status":"s","message_id":"m","details":{},"details":{}}"#),
            "/data/details",
            "twice",
        ),
        (&event(&format!(r#"{data},"event":"sent""#)), "/event", "twice"),
        (&event(&format!(r#"{data},{data}"#)), "/data", "twice"),
        (&event(&format!(r#"{data},"acount":"a""#)), "/acount", r#"Did you mean "account"?"#),
        (&event(&format!(r#"{data},"a/b~c":1"#)), "/a~1b~0c", "not a member"),
        (&event(&format!(r#"{data},"timestamp":1700000000"#)), "/timestamp", "a number"),
        (&event(&format!(r#"{data},"timestamp":"yesterday""#)), "/timestamp", "RFC 3339"),
        (&event(&format!(r#"{data},"account":"""#)), "/account", "1 to 128"),
        (&event(&format!(r#"{data},"account":"a ""#)), "/account", "white space"),
        (&event(&format!(r#"{data},"account":null"#)), "/account", "null"),
        (&event(&format!(r#"{data},"id":7"#)), "/id", "a number"),
        (&event(&format!(r#"{data},"id":"""#)), "/id", "1 to 256"),
    ];
    for (json, pointer, says) in &cases {
        let (index, at, detail) = refused(json);
        assert_eq!((index, at.as_str()), (0, *pointer), "{json}: {detail}");
        assert!(detail.contains(says), "{json}: {detail}");
    }
}

#[test]
fn one_bad_event_among_a_thousand_is_found_at_its_place() {
    let good = with_data(r#"{"message_id":"m","status":"s"}"#);
    let mut items = vec![good.as_str(); 1000];
    assert_eq!(read(&format!("[{}]", items.join(","))).unwrap().events.len(), 1000);
    items[777] = r#"{"event":"sent","product":"crm","data":{"message_id":"m"}}"#;
    let (index, pointer, _) = refused(&format!("[{}]", items.join(",")));
    assert_eq!((index, pointer.as_str()), (777, "/data/status"));
    items.push("7");
    let (_, pointer, detail) = refused(&format!("[{}]", items.join(" , ")));
    assert!(pointer.is_empty() && detail.contains("1001") && detail.contains("1000"), "{detail}");
}

#[test]
fn all_that_is_wrong_is_told_up_to_a_limit() {
    let problem = read(r#"{"event":"x","product":"y","zz":1,"timestamp":"t","data":{}}"#).unwrap_err();
    let at: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(at, ["/zz", "/event", "/product", "/timestamp", "/data/status", "/data/message_id"]);
    let many = format!("[{}]", vec!["7"; 500].join(","));
    let problem = read(&many).unwrap_err();
    assert_eq!((problem.errors.len(), problem.events), (100, 500));
    assert_eq!(problem.errors[99].index, 99);
    assert!(problem.detail.contains("499 more"), "{}", problem.detail);
}

#[test]
fn the_publishers_own_id_makes_a_repeat_recognisable() {
    let catalogue = Catalogue::default();
    let key = |json: &str, publisher: &str, header: Option<&str>| {
        let rules = Rules { publisher, key: header, ..rules(&catalogue) };
        parse(json.as_bytes(), Form::Plain, &rules).map(|parsed| parsed.events[0].dedup)
    };
    let plain = with_data(r#"{"message_id":"m","status":"s"}"#);
    let named = plain.replacen('{', r#"{"id":"n1","#, 1);
    let spaced = named.replace(r#""status":"s""#, r#""status": "s""#);
    let first = key(&named, "shop", None).unwrap().unwrap();
    assert_eq!(key(&plain, "shop", None).unwrap(), None);
    assert_eq!(key(&plain, "shop", Some("n1")).unwrap(), Some(first));
    assert_eq!(key(&named, "shop", Some("n1")).unwrap(), Some(first));
    assert_ne!(key(&named, "other", None).unwrap().unwrap().key, first.key);
    let other = key(&spaced, "shop", None).unwrap().unwrap();
    assert_eq!(other.key, first.key);
    assert_ne!(other.content, first.content);
    assert_eq!(key(&named, "shop", Some("n2")).unwrap_err().errors[0].pointer, "/id");
    assert_eq!(key(&format!("[{plain}]"), "shop", Some("n1")).unwrap_err().kind, Kind::NotAnEvent);
}

#[test]
fn accounts_are_required_and_restricted_where_that_is_configured() {
    let required = Catalogue { accounts_required: true, ..Catalogue::default() };
    let plain = with_data(r#"{"message_id":"m","status":"s"}"#);
    let of = |account: &str| plain.replacen('{', &format!(r#"{{"account":"{account}","#), 1);
    let at = |result: Result<Parsed, Problem>| result.map(|_| ()).map_err(|p| p.errors[0].pointer.clone());
    assert_eq!(at(parse(plain.as_bytes(), Form::Plain, &rules(&required))), Err("/account".to_owned()));
    assert_eq!(at(parse(of("acme").as_bytes(), Form::Plain, &rules(&required))), Ok(()));
    let (catalogue, own) = (Catalogue::default(), [Arc::from("acme")]);
    let restricted = Rules { accounts: &own, ..rules(&catalogue) };
    assert_eq!(at(parse(of("acme").as_bytes(), Form::Plain, &restricted)), Ok(()));
    assert_eq!(at(parse(of("umbrella").as_bytes(), Form::Plain, &restricted)), Err("/account".to_owned()));
    assert_eq!(at(parse(plain.as_bytes(), Form::Plain, &restricted)), Err("/account".to_owned()));
}

proptest::proptest! {
    #[test]
    fn no_bytes_whatever_make_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = parse(&bytes, Form::Plain, &rules(&Catalogue::default()));
    }

    #[test]
    fn no_document_cut_or_changed_anywhere_makes_it_panic(at in 0usize..200, byte in 0u8..128) {
        let mut bytes = with_data(r#"{"message_id":"m\u0041","status":"s","details":{"a":[1.10,{}]}}"#).into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = parse(&bytes, Form::Plain, &rules(&Catalogue::default()));
        let _ = parse(&bytes[..at], Form::Plain, &rules(&Catalogue::default()));
    }
}

#[test]
fn an_account_is_called_what_an_endpoint_file_may_call_it() {
    let with = |account: &str| {
        read(&format!(
            r#"{{"event":"sent","product":"crm","account":{account:?},"data":{{"message_id":"m","status":"s"}}}}"#
        ))
    };
    let (most, more) = ("é".repeat(128), "a".repeat(129));
    for account in ["acme", "Acme Corp", &most] {
        assert!(crate::ids::is_name(account), "{account}");
        assert_eq!(with(account).unwrap().events[0].account.as_deref(), Some(account));
    }
    // "*" stands for every account where one is named, so an event that is of it would be of none.
    for account in ["", " ", "acme ", "a\nb", "*", &more] {
        let problem = with(account).expect_err(account);
        assert_eq!(problem.errors[0].pointer, "/account", "{account:?}");
    }
}
