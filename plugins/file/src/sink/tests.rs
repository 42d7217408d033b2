use super::*;
use crate::FileSinkFactory;
use postrider_sink::{SinkFactory, Table, Value, Verdict};
use std::path::PathBuf;

fn delivery(attempt: u32, body: &'static str) -> Delivery {
    Delivery {
        id: "evt_01".into(),
        event: "delivered".into(),
        product: "campaigns".into(),
        account: None,
        body: body.into(),
        attempt,
        test: false,
        traceparent: None,
        trail: Arc::default(),
    }
}

fn sink(path: PathBuf, sync: bool) -> FileSink {
    FileSink::new(Target::File(path), sync)
}

#[tokio::test]
async fn a_delivery_is_one_line_with_the_publishers_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let sink = sink(path.clone(), true);
    let mut first =
        delivery(1, "{\"event\":\"delivered\",\"data\":{ \"n\": 1.00,\r\n\"s\":\"\\u00e9\\n\" }}");
    first.account = Some("acme \"inc\"".into());
    for delivery in [first, delivery(2, "{}")] {
        assert_eq!(sink.deliver(&delivery).await.verdict, Verdict::Delivered);
    }
    let wanted = concat!(
        r#"{"id":"evt_01","event":"delivered","product":"campaigns","account":"acme \"inc\"","attempt":1,"#,
        r#""body":{"event":"delivered","data":{ "n": 1.00,  "s":"\u00e9\n" }}}"#,
        "\n",
        r#"{"id":"evt_01","event":"delivered","product":"campaigns","attempt":2,"body":{}}"#,
        "\n",
    );
    assert_eq!(std::fs::read_to_string(path).unwrap(), wanted);
}

#[tokio::test]
async fn a_file_that_was_rotated_or_removed_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("events.jsonl"), folder.path().join("events.jsonl.1"));
    let sink = sink(path.clone(), false);
    sink.deliver(&delivery(1, "{}")).await;
    std::fs::rename(&path, &old).unwrap();
    sink.deliver(&delivery(2, "{}")).await;
    std::fs::remove_file(&old).unwrap();
    sink.deliver(&delivery(3, "{}")).await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    std::fs::remove_file(&path).unwrap();
    sink.deliver(&delivery(4, "{}")).await;
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"attempt\":4"));
}

#[tokio::test]
async fn many_deliveries_at_once_never_mix_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let sinks = [sink(path.clone(), false), sink(path.clone(), false)];
    let mut tasks = tokio::task::JoinSet::new();
    for (nth, sink) in sinks.into_iter().enumerate() {
        let sink = Arc::new(sink);
        for attempt in 0..50 {
            let sink = Arc::clone(&sink);
            let attempt = attempt + u32::try_from(nth).unwrap() * 50;
            tasks.spawn(async move { sink.deliver(&delivery(attempt, "{\"data\":{}}")).await.verdict });
        }
    }
    assert!(tasks.join_all().await.iter().all(|verdict| *verdict == Verdict::Delivered));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().filter(|line| line.ends_with("\"body\":{\"data\":{}}}")).count(), 100);
}

#[tokio::test]
async fn what_cannot_be_written_is_a_failure_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder");
    for (path, word) in [
        (missing, "No such file"),
        (folder.path().to_owned(), "not a regular file"),
        (PathBuf::from("/dev/full"), "No space left"),
    ] {
        let outcome = sink(path.clone(), false).deliver(&delivery(1, "{}")).await;
        assert!(
            matches!(outcome.verdict, Verdict::Failed { class: FailureClass::SinkError, .. }),
            "{outcome:?}"
        );
        assert!(
            outcome.reason.contains(word) && outcome.reason.contains(path.to_str().unwrap()),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_line_after_a_torn_one_starts_on_its_own_whoever_tore_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let tear = || {
        let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        file.write_all(b"{\"torn\":").unwrap();
    };
    // By an earlier run, or before the file was rotated away and back.
    tear();
    let sink = sink(path.clone(), false);
    sink.deliver(&delivery(1, "{}")).await;
    sink.deliver(&delivery(2, "{}")).await;
    // By another endpoint or another process, while this one has it open; and what it tore it may have ended itself.
    tear();
    sink.deliver(&delivery(3, "{}")).await;
    let line = |attempt: u32| {
        let line = line::write(&delivery(attempt, "{}")).unwrap();
        String::from_utf8(line).unwrap()
    };
    let torn = "{\"torn\":\n";
    let wanted = [torn, &line(1), &line(2), torn, &line(3)].concat();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), wanted);
}

#[tokio::test]
async fn no_line_is_glued_to_what_others_tear_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let sinks = [sink(path.clone(), false), sink(path.clone(), false)];
    let torn = path.clone();
    // Another process, each of whose writes stops short, as on a full disk.
    let tearing = tokio::task::spawn_blocking(move || {
        let mut file = OpenOptions::new().append(true).create(true).open(torn).unwrap();
        for _ in 0..200 {
            file.lock().unwrap();
            file.write_all(b"{\"torn\":").unwrap();
            file.unlock().unwrap();
        }
    });
    for attempt in 0..100 {
        for sink in &sinks {
            assert_eq!(sink.deliver(&delivery(attempt, "{}")).await.verdict, Verdict::Delivered);
        }
    }
    tearing.await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    assert_eq!(text.lines().filter(whole).count(), 200, "{text}");
}

#[tokio::test]
async fn somebody_who_keeps_a_lock_on_the_file_holds_up_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let sink = sink(path.clone(), false);
    let other = OpenOptions::new().append(true).create(true).open(&path).unwrap();
    for attempts in [[1, 2], [3, 4]] {
        let kept = if attempts == [1, 2] { other.lock_shared() } else { other.lock() };
        kept.unwrap();
        for attempt in attempts {
            let made = delivery(attempt, "{}");
            let outcome = tokio::time::timeout(Duration::from_secs(10), sink.deliver(&made)).await;
            assert_eq!(outcome.expect("within its deadline").verdict, Verdict::Delivered);
        }
        other.unlock().unwrap();
    }
    let lines: Vec<Vec<u8>> = (1..=4).map(|nth| line::write(&delivery(nth, "{}")).unwrap()).collect();
    assert_eq!(std::fs::read(&path).unwrap(), lines.concat());
}

#[test]
fn a_file_that_may_not_be_read_begins_with_a_line_of_its_own_and_again_after_a_torn_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    std::fs::write(&path, "{\"torn\":").unwrap();
    let mut open = Open::at(&path, None).unwrap();
    // As it is found by a user who may only write to it.
    (open.readable, open.torn) = (false, true);
    let mut slot = Some(open);
    append(&path, &mut slot, b"{}\n".to_vec(), false).unwrap();
    append(&path, &mut slot, b"{}\n".to_vec(), false).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"torn\":\n{}\n{}\n");
}

#[test]
fn settings_are_checked_without_touching_a_file() {
    let check = |path: Value| {
        FileSinkFactory.check(&Table::from([("path".into(), path)])).map(|plan| plan.destination())
    };
    assert_eq!(check(Value::String("/nowhere/x".into())).unwrap(), "/nowhere/x");
    assert_eq!(check(Value::String("-".into())).unwrap(), "standard output");
    for wrong in [Value::String(String::new()), Value::String("a/".into()), Value::Integer(1)] {
        assert_eq!(check(wrong).unwrap_err().len(), 1);
    }
    let errors = FileSinkFactory.check(&Table::from([("pat".into(), Value::Integer(1))])).err().unwrap();
    assert_eq!(errors.len(), 2);
}

struct InFolder(tempfile::TempDir);

#[postrider_sink::async_trait]
impl postrider_sink::testkit::Subject for InFolder {
    async fn settings(&self, behaviour: postrider_sink::testkit::Behaviour) -> Option<Table> {
        let path = Value::String(self.0.path().join("events.jsonl").to_str()?.to_owned());
        (behaviour == postrider_sink::testkit::Behaviour::Takes).then(|| Table::from([("path".into(), path)]))
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(self.0.path().join("events.jsonl")).ok()?;
        let id = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["id"].as_str().unwrap().to_owned()
        };
        Some(text.lines().map(id).collect())
    }
}

#[tokio::test]
async fn the_sink_conforms() {
    let subject = InFolder(tempfile::tempdir().unwrap());
    postrider_sink::testkit::conform(&FileSinkFactory, &subject).await.assert();
}
