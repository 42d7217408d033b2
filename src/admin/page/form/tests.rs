use super::*;

fn known() -> (Vec<String>, Vec<String>) {
    (vec!["sent".to_owned(), "read".to_owned()], vec!["crm".to_owned()])
}

fn posted(body: &str) -> Form {
    Form::posted(body.as_bytes())
}

fn problem(form: &Form, draft: bool, field: &str) -> Option<String> {
    form.problems(&Value::Null, draft, true).into_iter().find(|(of, _)| of == field).map(|(_, text)| text)
}

#[test]
fn what_is_missing_is_named_field_by_field_and_a_draft_may_lack_it() {
    let form = posted("name=&url=&auth=encoded");
    let fields: Vec<String> =
        form.problems(&Value::Null, false, true).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["name", "events", "products", "url", "credentials"]);
    let fields: Vec<String> =
        form.problems(&Value::Null, true, true).into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["name"]);
}

#[test]
fn a_url_that_cannot_be_right_says_what_to_enter() {
    for (url, begins) in [
        ("acme.test/in", "Enter a full URL"),
        ("ftp://acme.test/in", "Enter a full URL"),
        ("https://user:secret@acme.test/in", "Remove the user name"),
        ("https://acme.test/in#part", "Remove everything from #"),
    ] {
        let form = Form { url: url.to_owned(), ..Form::default() };
        let said = problem(&form, true, "url").unwrap_or_default();
        assert!(said.starts_with(begins), "{url}: {said}");
    }
    let form = Form { url: "https://acme.test/in".to_owned(), ..Form::default() };
    assert_eq!(problem(&form, false, "url"), None);
}

#[test]
fn credentials_are_asked_for_again_when_the_host_changes_and_only_then() {
    let settings =
        json!({ "http": { "url": "https://a.test/in", "auth": { "basic": { "username": "a" } } } });
    let mut form = Form::saved("a", &settings, "1", (&[], &[]));
    assert_eq!(form.auth, Auth::Keep);
    form.url = "https://a.test/other".to_owned();
    assert_eq!(problem(&form, false, "auth"), None);
    form.url = "https://b.test/in".to_owned();
    assert!(problem(&form, false, "auth").is_some());
}

#[test]
fn settings_keep_what_the_form_does_not_know_and_lose_what_was_cleared() {
    let (events, products) = known();
    let known = (&events[..], &products[..]);
    let before = json!({
        "state": "active", "events": ["sent"], "products": "all", "unknown": 7, "timeout": "3s",
        "retry": { "schedule": ["1s", "2s"] },
        "http": { "url": "https://a.test/in", "auth": { "basic": { "username": "a" } }, "proxy": "p" }
    });
    let mut form = Form::saved("a", &before, "1", known);
    assert_eq!(
        form.settings(&before, "active", known, true),
        before,
        "saved and written again it is the same"
    );
    form.events.push("read".to_owned());
    form.knobs.iter_mut().find(|(key, _)| *key == "timeout").unwrap().1.clear();
    form.knobs.iter_mut().find(|(key, _)| *key == "retry.schedule").unwrap().1 = "1s, 1m".to_owned();
    let after = form.settings(&before, "draft", known, true);
    assert_eq!(after["events"], json!(["sent", "read"]), "a list stays a list");
    assert_eq!((&after["state"], &after["unknown"]), (&json!("draft"), &json!(7)));
    assert_eq!(after["retry"]["schedule"], json!(["1s", "1m"]));
    assert_eq!(after["http"]["proxy"], json!("p"));
    assert!(after.get("timeout").is_none());
}

#[test]
fn what_is_saved_and_not_shown_stays_as_it_is_when_nothing_was_typed() {
    let before = json!({
        "state": "active", "filter": "data.details.url != 'https://anna@a.test/'",
        "http": {
            "url": "https://a.test/in", "auth": { "basic": { "username": "a" } },
            "headers": {
                "X-Api-Key": { "fingerprint": "9f3c" }, "x-other": { "file": "secrets/other", "fingerprint": "01ab" },
                "x-unread": { "env": "NOWHERE" }, "x-team": "orders"
            }
        }
    });
    let mut form = Form::saved("a", &before, "1", (&[], &[]));
    assert!(!form.headers.contains(['{', '9']), "{}", form.headers);
    assert_eq!(form.settings(&before, "active", (&[], &[]), true), before);
    assert_eq!(form.problems(&before, true, true), []);

    form.headers = "x-api-key: another\nx-other: (saved)".to_owned();
    let after = form.settings(&before, "active", (&[], &[]), true);
    let other = &before["http"]["headers"]["x-other"];
    assert_eq!(after["http"]["headers"], json!({ "X-Api-Key": "another", "x-other": other }));
    form.headers = "x-new: (saved)".to_owned();
    let said = form.problems(&before, true, true).pop().expect("a value is missing");
    assert!(said.0 == "headers" && said.1.starts_with("x-new has no saved value"), "{said:?}");

    // A form of before, with a filter and a URL that were not shown.
    let before = json!({ "filter": { "fingerprint": "9f3c" }, "http": { "url": { "fingerprint": "9f3c" } } });
    let mut form = Form::saved("a", &before, "1", (&[], &[]));
    let after = form.settings(&before, "draft", (&[], &[]), true);
    assert_eq!((&after["filter"], &after["http"]), (&before["filter"], &before["http"]));
    form.filter = "true".to_owned();
    assert_eq!(form.settings(&before, "draft", (&[], &[]), true)["filter"], "true");
}

#[test]
fn credentials_entered_for_a_way_that_is_not_chosen_are_not_lost_without_a_word() {
    for (body, field) in [
        ("auth=keep&password=new", "password"),
        ("auth=keep&username=u", "username"),
        ("auth=keep&credentials=dTpw", "credentials"),
        ("auth=encoded&credentials=dTpw&password=new", "password"),
        ("auth=basic&username=u&password=p&credentials=dTpw", "credentials"),
    ] {
        let form = posted(&format!("name=a&url=https://a.test/in&{body}"));
        let problems = form.problems(&Value::Null, true, true);
        let fields: Vec<&str> = problems.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, [field], "{body}");
        assert!(problems[0].1.contains("is not chosen above"), "{problems:?}");
    }
    let form = posted("name=a&url=https://a.test/in&auth=keep&username=&password=&credentials=");
    assert_eq!(form.problems(&Value::Null, true, true), []);
}

#[test]
fn a_new_password_replaces_the_old_credentials_whole() {
    let before = json!({ "http": { "url": "https://a.test", "auth": { "basic": { "credentials": { "file": "x" } } } } });
    let form = posted("name=a&url=https://a.test&auth=basic&username=u&password=+p+");
    let after = form.settings(&before, "active", (&[], &[]), true);
    assert_eq!(after["http"]["auth"], json!({ "basic": { "username": "u", "password": " p " } }));
}

#[test]
fn http_to_another_machine_is_open_to_whoever_is_on_the_way() {
    assert!(is_open("http://acme.test/in"));
    assert!(!is_open("https://acme.test/in"));
    assert!(!is_open("http://127.0.0.1:9900/in"));
    assert!(!is_open("http://[::1]:9900/in"));
}
