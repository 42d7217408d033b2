use super::*;

fn wrong(text: &str) -> Vec<String> {
    lines(&endpoint(&format!("{text}\n{GOOD}")).expect_err(text))
}

#[test]
fn a_filter_is_compiled_with_its_file() {
    let spec = endpoint(&format!("filter = \"data.status == 'failed'\"\n{GOOD}")).expect("valid");
    assert_eq!(spec.filter.as_ref().map(|filter| filter.source()), Some("data.status == 'failed'"));
    let same = endpoint(&format!("filter = \"data.status == 'failed'\"\n{GOOD}")).expect("valid");
    let other = endpoint(&format!("filter = \"data.status == 'read'\"\n{GOOD}")).expect("valid");
    assert_eq!(spec, same);
    assert_ne!(spec, other);
    assert_eq!(endpoint(GOOD).expect("valid").filter, None);
}

#[test]
fn a_test_judges_the_event_that_is_delivered_which_has_details() {
    let filter = "filter = \"has(data.details) && !has(data.details.code)\"\n";
    let test = "[[test]]\nevent = 'sent'\nproduct = 'crm'\ndata = { message_id = 'm', status = 'sent' }\nmatches = true\n";
    endpoint(&format!("{filter}{GOOD}\n{test}")).expect("valid");
}

#[test]
fn a_filter_is_shown_as_it_is_though_it_compares_with_a_url_that_names_a_user() {
    let filter = "data.details.url != 'https://anna@a.example/'";
    let text = format!("filter = \"{filter}\"\n{GOOD}proxy = 'https://anna:hunter2@a.example/'\n");
    let root = Path::new("/etc/postrider/postrider.toml");
    let form = Loader::new(root, sinks(), Arc::new(SystemSecrets)).form(&text);
    assert_eq!(form.settings.expect("it is TOML")["filter"], filter);
    assert!(form.toml.contains(filter) && !form.toml.contains("hunter2"), "{}", form.toml);
}

#[test]
fn an_error_in_a_filter_stands_where_the_mistake_is() {
    assert_eq!(
        wrong("filter = 'event == \"x\" && dat.a == 1'"),
        ["endpoints/acme.toml:1:27: unknown name \"dat\" in the filter"]
    );
    assert_eq!(
        wrong("filter = '''\nevent == \"x\"\n  && data.a.startWith(\"b\")'''"),
        ["endpoints/acme.toml:3:13: unknown function \"startWith\" in the filter"]
    );
    let errors = endpoint(&format!("filter = 'event =='\n{GOOD}")).unwrap_err();
    assert_eq!((errors[0].line, errors[0].column), (Some(1), Some(19)), "{}", errors[0]);
    assert!(errors[0].message.starts_with("not an expression"));
    // With escapes the columns inside are not those of the file: the whole string is meant.
    assert_eq!(
        wrong(r#"filter = "evnt == \"x\"""#),
        ["endpoints/acme.toml:1:10: unknown name \"evnt\" in the filter"]
    );
    assert_eq!(wrong("filter = 5"), ["endpoints/acme.toml:1:10: expected a string, found a whole number"]);
    let errors = endpoint(&format!("filter = 'data.a.startWith(\"b\")'\n{GOOD}")).unwrap_err();
    assert_eq!(errors[0].label.as_deref(), Some("did you mean \"startsWith\"?"));
}

#[test]
fn tests_in_an_endpoint_file_must_hold() {
    let file = |test: &str| {
        let good =
            GOOD.replace("events='all'", "events=['failed']").replace("events = 'all'", "events=['failed']");
        let (top, sink) = good.split_at(good.find("[http]").unwrap());
        format!("filter = 'data.details.code >= 500'\n{top}{sink}\n[[test]]\n{test}")
    };
    let holds = [
        "event='failed'\nproduct='crm'\ndata={details={code=503}}\nmatches=true",
        "event='failed'\nproduct='crm'\ndata={details={code=404}}\nmatches=false",
        "event='sent'\nproduct='crm'\ndata={details={code=503}}\nmatches=false",
        "event='failed'\nproduct='crm'\nmatches=false",
    ];
    endpoint(&file(&holds.join("\n[[test]]\n"))).expect("valid");
    let fails = |test: &str| {
        let errors = endpoint(&file(test)).unwrap_err();
        errors.into_iter().map(|error| error.message).collect::<Vec<_>>()
    };
    assert_eq!(
        fails("event='failed'\nproduct='crm'\ndata={details={code=404}}\nmatches=true"),
        ["the test fails: its filter does not hold"]
    );
    assert_eq!(
        fails("event='failed'\nproduct='crm'\ndata={details={code=503}}\nmatches=false"),
        ["the test fails: it gets this event"]
    );
    assert_eq!(
        fails("event='sent'\nproduct='crm'\nmatches=true"),
        ["the test fails: it did not subscribe to this event"]
    );
    assert_eq!(
        fails("event='failed'\nproduct='crm'\nmatches=true"),
        ["the test fails: its filter cannot tell: there is no \"code\": test for it with has()"]
    );
    assert_eq!(
        fails("event='faild'\nproduct='crm'\nmatch=true"),
        ["matches is missing", "unknown event \"faild\"", "unknown key \"match\" in [test]"]
    );
    let error = endpoint(&file("event='sent'\nproduct='crm'\nmatches=true")).unwrap_err().remove(0);
    assert!(error.to_string().contains("matches=true"), "{error}");
}
