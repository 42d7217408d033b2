//! `postrider spool` on the folder of a daemon that has stopped, or has not.

use crate::support::{Daemon, EndpointFile, Receiver, Reply, daemon, until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const STOP: Duration = Duration::from_secs(20);
const SEE: Duration = Duration::from_secs(20);

fn event(number: usize) -> String {
    format!(
        "{{\"event\":\"sent\",\"product\":\"crm\",\"data\":{{ \"message_id\":\"m{number}\",\n \"status\":\"sent\",\"details\":{{\"n\":{number}.50}}}}}}"
    )
}

/// A daemon whose endpoint `acme` fails, with so many events waiting for it.
async fn waiting(receiver: &Receiver, events: usize) -> Daemon {
    receiver.script("/acme", [Reply::status(500)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme"))
                .no_breaker()
                .retry(&["1s", "1s", "1s", "1s", "1s", "1s", "1s", "1s"]);
        })
        .start()
        .await;
    for number in 0..events {
        let answer = daemon.post(event(number)).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    daemon
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The segment of the log, and where in it the body of a message lies.
fn in_log(daemon: &Daemon, message: &str) -> (PathBuf, Vec<u8>, usize) {
    for file in fs::read_dir(daemon.dir().join("data/log")).expect("a folder") {
        let path = file.expect("a file").path();
        let bytes = fs::read(&path).expect("read");
        let wanted = format!("\"message_id\":\"{message}\"");
        if let Some(at) = bytes.windows(wanted.len()).position(|part| part == wanted.as_bytes()) {
            return (path, bytes, at);
        }
    }
    panic!("{message} is not in the log");
}

#[tokio::test]
async fn damage_is_found_repaired_and_the_rest_delivered() {
    let receiver = Receiver::start().await;
    let mut daemon = waiting(&receiver, 5).await;
    assert!(daemon.term(STOP).await.success());
    let (code, out, _) = daemon.offline(&["spool", "check", "--json"]);
    let found = json(&out);
    assert_eq!(
        (code, &found["damage"], &found["content"]["waiting"]),
        (0, &json("[]"), &json("5")),
        "{found}"
    );

    let (path, mut bytes, at) = in_log(&daemon, "m2");
    bytes[at + 14] ^= 4;
    fs::write(&path, &bytes).expect("written");
    let (code, out, err) = daemon.offline(&["spool", "check"]);
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains(&format!("log/{name} from byte ")) && out.contains("1 commits"), "{out}");
    assert!(err.contains("spool repair"), "{err}");
    assert_eq!(fs::read(&path).expect("read"), bytes, "a check changes nothing");

    let (code, out, err) = daemon.offline(&["spool", "repair", "--json"]);
    let repaired = json(&out);
    assert_eq!((code, &repaired["mended"]), (0, &json("true")), "{out}{err}");
    assert_eq!(repaired["kept"]["waiting"], 4, "{repaired}");
    let aside = repaired["aside"].as_array().expect("where it lies").clone();
    assert!(
        !aside.is_empty()
            && aside.iter().all(|name| daemon.dir().join("data").join(name.as_str().unwrap()).is_dir())
    );
    let (code, out, _) = daemon.offline(&["spool", "check"]);
    assert_eq!(code, 0, "{out}");
    let (code, _, err) = daemon.offline(&["spool", "repair"]);
    assert!(code == 0 && err.contains("nothing to repair"), "{err}");

    receiver.script("/acme", [Reply::status(204)]);
    let before = receiver.requests("/acme").len();
    daemon.start().await;
    daemon
        .wait_until("all that was whole has arrived", |metrics| {
            metrics.sum("postrider_deliveries_finished_total", &[("result", "delivered")]) >= 4.0
        })
        .await;
    let arrived = receiver.requests("/acme");
    let delivered = |n: usize| arrived.iter().skip(before).any(|r| r.text().contains(&format!("\"m{n}\"")));
    assert_eq!((0..5).map(delivered).collect::<Vec<_>>(), [true, true, false, true, true]);
}

#[tokio::test]
async fn a_running_daemon_is_named_as_the_holder() {
    let receiver = Receiver::start().await;
    let daemon = waiting(&receiver, 1).await;
    for command in ["check", "repair", "export"] {
        let (code, out, err) = daemon.offline(&["spool", command]);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        assert!(err.contains(&format!("process {}", daemon.pid())) && err.contains("holds it"), "{err}");
    }
}

#[tokio::test]
async fn what_waits_is_exported_and_can_be_posted_elsewhere() {
    let receiver = Receiver::start().await;
    let mut from = waiting(&receiver, 3).await;
    assert!(from.term(STOP).await.success());
    let (code, out, err) = from.offline(&["spool", "export", "--endpoint", "acme"]);
    assert_eq!((code, out.lines().count()), (0, 3), "{out}{err}");
    assert!(err.contains("3 events exported"), "{err}");
    assert!(out.lines().all(|line| line.contains(".50}")), "numbers stay as they were spelled: {out}");
    let (_, none, _) = from.offline(&["spool", "export", "--endpoint", "other"]);
    assert_eq!(none, "");

    let mut to = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/there"));
        })
        .start()
        .await;
    let array = format!("[{}]", out.lines().collect::<Vec<_>>().join(","));
    let answer = to.post(array.clone()).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(to.post(array).await.status, 200, "posted again, it repeats");
    receiver.wait_for("/there", 3).await;
    let bodies: Vec<String> = receiver.requests("/there").iter().map(|r| r.text().to_owned()).collect();
    assert!(
        bodies.iter().all(|body| body.contains("\"timestamp\":\"") && body.contains(".50}")),
        "{bodies:?}"
    );
}

#[tokio::test]
async fn what_a_start_had_set_aside_is_brought_back() {
    let receiver = Receiver::start().await;
    let mut daemon = waiting(&receiver, 3).await;
    assert!(daemon.term(STOP).await.success());
    // Twice: so that the rows are in the database.
    daemon.start().await;
    until(SEE, "the log is in the database", async || daemon.dir().join("data/log/end").exists()).await;
    assert!(daemon.term(STOP).await.success());
    let data = daemon.dir().join("data");
    for (name, aside) in [("store", "damaged-1"), ("log", "damaged-1-log")] {
        fs::rename(data.join(name), data.join(aside)).expect("renamed");
    }
    daemon.start().await;
    let new = daemon.post(event(7)).await;
    assert_eq!(new.status, 202);
    assert!(daemon.term(STOP).await.success());
    let (code, out, _) = daemon.offline(&["spool", "check"]);
    assert!(code == 1 && out.contains("damaged-1"), "{out}");
    let (code, out, err) = daemon.offline(&["spool", "repair", "--json"]);
    assert_eq!((code, &json(&out)["brought_back"]), (0, &json("3")), "{out}{err}");
    let (code, out, _) = daemon.offline(&["spool", "check"]);
    assert_eq!(code, 0, "{out}");
    receiver.script("/acme", [Reply::status(204)]);
    daemon.start().await;
    daemon
        .wait_until("all four are delivered", |metrics| {
            metrics.sum("postrider_deliveries_finished_total", &[("result", "delivered")]) >= 4.0
        })
        .await;
}

/// A daemon that has stopped while these messages waited for its one endpoint.
async fn stopped(receiver: &Receiver, endpoint: &str, messages: &[usize]) -> Daemon {
    receiver.script("/down", [Reply::status(500)]);
    let mut daemon = daemon()
        .endpoint(endpoint, |e| {
            e.url(receiver.url("/down")).no_breaker().retry(&["1h"]);
        })
        .start()
        .await;
    for number in messages {
        assert_eq!(daemon.post(event(*number)).await.status, 202);
    }
    assert!(daemon.term(STOP).await.success());
    daemon
}

/// Waiting messages by endpoint, of a daemon that has stopped.
fn exported(daemon: &Daemon, endpoint: &str) -> Vec<usize> {
    let (code, out, err) = daemon.offline(&["spool", "export", "--endpoint", endpoint]);
    assert_eq!(code, 0, "{out}{err}");
    let has = |line: &str, number: usize| line.contains(&format!("\"m{number}\""));
    out.lines().map(|line| (0..10).find(|number| has(line, *number)).expect("a message")).collect()
}

#[tokio::test]
async fn what_comes_back_of_several_folders_is_for_whom_it_was() {
    let receiver = Receiver::start().await;
    let daemon = stopped(&receiver, "acme", &[0]).await;
    let data = daemon.dir().join("data");
    for (number, name) in [(1, "x"), (2, "y")] {
        let other = stopped(&receiver, name, &[number]).await;
        for (part, aside) in [("store", ""), ("log", "-log")] {
            let from = other.dir().join("data").join(part);
            fs::rename(from, data.join(format!("damaged-{number}{aside}"))).expect("renamed");
        }
    }
    let (code, out, err) = daemon.offline(&["spool", "repair", "--json"]);
    assert_eq!((code, &json(&out)["brought_back"]), (0, &json("2")), "{out}{err}");
    for (number, name) in [(0_usize, "acme"), (1, "x"), (2, "y")] {
        assert_eq!(exported(&daemon, name), [number], "{name}");
    }
}

#[tokio::test]
async fn a_database_and_a_log_that_one_start_sets_aside_are_brought_back_as_one() {
    let receiver = Receiver::start().await;
    let mut daemon = stopped(&receiver, "acme", &[1]).await;
    let data = daemon.dir().join("data");
    // Twice: so that the names are in the database, and what comes then in the log.
    daemon.start().await;
    let first = data.join("log/00000000000000000001.log");
    until(SEE, "the log is in the database", async || !first.exists()).await;
    assert_eq!(daemon.post(event(2)).await.status, 202);
    assert!(daemon.term(STOP).await.success());

    // A segment that nothing can read: it is a folder.
    let unreadable = "00000000009999999999.log";
    fs::create_dir(data.join("log").join(unreadable)).expect("a folder");
    fs::write(data.join("store/version"), "nonsense").expect("written");
    let endpoints = daemon.dir().join("endpoints");
    let mut other = EndpointFile::new("other");
    other.url(receiver.url("/other"));
    fs::remove_file(endpoints.join("acme.toml")).expect("deleted");
    fs::write(endpoints.join("other.toml"), other.text()).expect("written");
    daemon.start().await;
    assert!(daemon.term(STOP).await.success());

    let entries = fs::read_dir(&data).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut aside: Vec<PathBuf> =
        entries.filter(|path| path.is_dir() && path.to_string_lossy().contains("/damaged-")).collect();
    aside.sort();
    let [database, log] = &aside[..] else { panic!("two folders: {aside:?}") };
    assert_eq!(log.to_string_lossy(), format!("{}-log", database.display()));
    fs::remove_dir(log.join(unreadable)).expect("deleted");
    let (code, out, err) = daemon.offline(&["spool", "repair", "--json"]);
    assert_eq!((code, &json(&out)["brought_back"]), (0, &json("2")), "{out}{err}");
    assert_eq!(exported(&daemon, "acme"), [1, 2]);
    assert!(exported(&daemon, "other").is_empty());
}

/// A spool as the first version leaves it: events in the database and in the log, one of them parked, a dead letter.
/// Unused ends of files are not kept; a segment of the log gets its own back.
fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spool-1")
}

fn copy(from: &Path, to: &Path, trim: bool) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target, trim);
            continue;
        }
        let mut bytes = fs::read(&path).expect("read");
        let grows = path.extension().is_some_and(|extension| extension == "log" || extension == "jnl");
        if trim && grows {
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        } else if grows && path.extension().is_some_and(|extension| extension == "log") {
            bytes.resize(16 * 1024 * 1024, 0);
        }
        if !(trim && matches!(path.file_name().and_then(|name| name.to_str()), Some("RESERVE" | "spare"))) {
            fs::write(target, bytes).expect("written");
        }
    }
}

/// Writes the fixture; by hand, when there is a new version of the format.
#[tokio::test]
#[ignore = "writes a fixture into the source tree"]
async fn writes_the_fixture_of_this_version() {
    let receiver = Receiver::start().await;
    receiver.script("/gone", [Reply::status(410)]);
    receiver.script("/acme", [Reply::status(500)]);
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).no_breaker().retry(&["10s"; 9]);
        })
        .endpoint("gone", |e| {
            e.url(receiver.url("/gone"));
        })
        .start()
        .await;
    for number in 0..3 {
        assert_eq!(daemon.post(event(number)).await.status, 202);
    }
    receiver.wait_for("/acme", 3).await;
    daemon.wait_until("a dead letter", |metrics| metrics.sum("postrider_dead_letters", &[]) >= 1.0).await;
    assert!(daemon.term(STOP).await.success());
    daemon.start().await;
    for number in 3..5 {
        assert_eq!(daemon.post(event(number)).await.status, 202);
    }
    // What a person paused does not age.
    assert_eq!(daemon.ask("/api/v1/endpoints/acme/pause", "").await.status, 200);
    assert!(daemon.term(STOP).await.success());
    copy(&daemon.dir().join("data"), &fixture(), true);
}

#[tokio::test]
async fn a_spool_of_the_first_version_is_opened_and_delivered() {
    let receiver = Receiver::start().await;
    let mut daemon = daemon()
        .endpoint("acme", |e| {
            e.url(receiver.url("/acme")).key("state = \"paused\"\nretry = { max_age = \"365d\" }");
        })
        .config("[spool]\nkeep_dead = \"3650d\"")
        .prepared(|dir| copy(&fixture(), &dir.join("data"), false))
        .start()
        .await;
    let letters = daemon.get("/api/v1/dead-letters").await.json();
    assert_eq!(letters["dead_letters"][0]["reason"], "gone", "{letters}");
    assert!(daemon.term(STOP).await.success());
    let (code, out, err) = daemon.offline(&["spool", "export"]);
    assert_eq!(code, 0, "{out}{err}");
    for number in 0..5 {
        assert!(out.contains(&format!("\"m{number}\"")), "{number}: {out}");
    }
    daemon.start().await;
    let resumed = daemon.ask("/api/v1/endpoints/acme/resume", "").await;
    assert_eq!(resumed.status, 200, "{}", resumed.text());
    let repeat = daemon.post(event(0)).await;
    assert_eq!(repeat.status, 202);
    let bodies = receiver.wait_for("/acme", 6).await;
    assert!(bodies.iter().all(|one| one.text().contains(".50}")), "byte for byte");
}

#[test]
fn exit_codes_tell_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_postrider")).args(args).output().expect("it ran");
        output.status.code().expect("a code")
    };
    let none = folder.path().to_string_lossy().into_owned();
    assert_eq!(run(&["spool", "check", "--path", &none]), 6, "no spool there");
    assert_eq!(run(&["spool", "check", "--nonsense"]), 2);
    assert_eq!(run(&["spool"]), 2);
    let file = folder.path().join("postrider.toml");
    fs::write(&file, "version = 1\nnonsense = true\n").expect("written");
    assert_eq!(run(&["spool", "check", "-c", &file.to_string_lossy()]), 78);
}
