//! What a reload makes of the files.

use super::*;
use crate::table::Selection;

#[tokio::test]
async fn a_changed_endpoint_is_published_and_the_rest_stays_the_same_value() {
    let mut bench = start(folder(&[("a", GOOD), ("b", GOOD)]), None).await;
    assert_eq!(bench.handle.reload().await, ReloadOutcome::Unchanged { generation: Generation(1) });
    bench.write("endpoints/a.toml", &format!("concurrency = 3\n{GOOD}"));
    let outcome = bench.handle.reload().await;
    assert_eq!((outcome.result(), outcome.generation()), ("applied", Generation(2)));
    assert_eq!(outcome.changes(), ["a changed"]);
    let first = bench.next().await;
    assert_eq!(first.endpoints[0].delivery.concurrency.get(), 3);
    bench.write("endpoints/c.toml", GOOD);
    assert_eq!(bench.handle.reload().await.changes(), ["c added"]);
    let second = bench.next().await;
    assert!(Arc::ptr_eq(&first.endpoints[1], &second.endpoints[1]));
    bench.stop().await;
}

#[tokio::test]
async fn a_bad_file_keeps_its_last_good_version_across_a_restart() {
    let mut bench = start(folder(&[("a", GOOD), ("b", GOOD)]), None).await;
    bench.handle.reload().await;
    bench.write("endpoints/a.toml", "events = ['nope']");
    bench.write("endpoints/b.toml", &format!("concurrency = 3\n{GOOD}"));
    let outcome = bench.handle.reload().await;
    assert_eq!(outcome.result(), "partial");
    assert_eq!(outcome.changes(), ["b changed"]);
    assert!(outcome.errors()[0].note.as_ref().unwrap().contains("a keeps its last good version"));
    let publication = bench.next().await;
    assert_eq!((names(&publication), &*publication.invalid[0]), (vec!["a", "b"], "a"));
    assert_eq!(bench.handle.reload().await.result(), "rejected");
    let status = bench.handle.status().await.unwrap();
    assert_eq!((status.invalid.len(), status.errors.is_empty()), (1, false));

    bench.handle.stop();
    bench.join.await.unwrap();
    let again = initial(&loader(&bench.folder), Duration::ZERO)
        .expect("a bad endpoint does not stop a start")
        .running;
    assert_eq!(again.endpoints.len(), 2);
    assert_eq!(again.endpoints.get("a").expect("there").events, Selection::Some([Arc::from("sent")].into()));
    assert_eq!(&*again.invalid[0], "a");
}

#[tokio::test]
async fn last_good_versions_are_private_and_go_with_their_endpoint() {
    use std::os::unix::fs::PermissionsExt;
    let bench = start(folder(&[("a", GOOD), ("b", GOOD)]), None).await;
    bench.handle.reload().await;
    let kept = bench.path("data/last-good/a.toml");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(bench.path("endpoints/a.toml")).unwrap();
    assert_eq!(bench.handle.reload().await.changes(), ["a removed"]);
    assert!(!kept.exists() && bench.path("data/last-good/b.toml").exists());
    bench.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_missing_or_suddenly_empty_removes_nobody() {
    let mut bench = start(folder(&[("a", GOOD)]), None).await;
    bench.handle.reload().await;
    fs::remove_file(bench.path("endpoints/a.toml")).unwrap();
    let outcome = bench.handle.reload().await;
    assert_eq!(outcome.result(), "rejected");
    assert!(outcome.errors()[0].message.contains("suddenly empty"));
    fs::remove_dir(bench.path("endpoints")).unwrap();
    assert_eq!(bench.handle.reload().await.result(), "rejected");
    assert_eq!(initial(&loader(&bench.folder), Duration::ZERO).expect("starts").running.endpoints.len(), 1);
    fs::create_dir(bench.path("endpoints")).unwrap();
    let removed = bench.handle.reload_removing(vec![Arc::from("a")]).await;
    assert_eq!(removed.changes(), ["a removed"]);
    assert!(bench.next().await.endpoints.is_empty());
    bench.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_missing_forgets_nobody_who_has_no_version_to_run() {
    let folder = folder(&[]);
    let text = GOOD.replace("auth = {}", "auth = { basic = { password = { file = 'pw' } } }");
    fs::write(folder.path().join("endpoints/a.toml"), text).unwrap();
    fs::write(folder.path().join("endpoints/b.toml"), GOOD).unwrap();
    fs::write(folder.path().join("pw"), "one\n").unwrap();
    let bench = start(folder, None).await;
    bench.handle.stop();
    bench.join.await.unwrap();

    let folder = bench.folder;
    fs::remove_file(folder.path().join("pw")).unwrap();
    fs::rename(folder.path().join("endpoints"), folder.path().join("away")).unwrap();
    let known = initial(&loader(&folder), Duration::ZERO).expect("starts").running;
    assert_eq!((known.endpoints.len(), known.invalid.as_slice()), (1, [Arc::from("a")].as_slice()));
    assert!(
        known.errors[0].note.as_ref().unwrap().contains("1 endpoint(s) keep running"),
        "{:?}",
        known.errors
    );
    let mut bench = start(folder, None).await;
    assert!(bench.path("data/last-good/a.toml").exists(), "it is what comes back");
    bench.handle.reload().await;
    let status = bench.handle.status().await.unwrap();
    assert_eq!(status.invalid, [Arc::from("a")]);

    fs::rename(bench.path("away"), bench.path("endpoints")).unwrap();
    bench.write("pw", "one\n");
    assert_eq!(bench.handle.reload().await.changes(), ["a added"]);
    assert_eq!(names(&bench.next().await), ["a", "b"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_catalogue_drops_no_used_name_while_the_folder_says_nothing() {
    let bench = start(folder(&[("a", GOOD), ("b", GOOD)]), None).await;
    fs::rename(bench.path("endpoints"), bench.path("away")).unwrap();
    bench.write("postrider.toml", "[catalogue]\nevents = ['delivered', 'read', 'failed']\n");
    let outcome = bench.handle.reload().await;
    assert_eq!(outcome.result(), "rejected");
    assert_eq!(outcome.errors()[0].message, "\"sent\" cannot go from events: used by a, b");
    bench.write("postrider.toml", "[catalogue]\naccounts = 'required'\n");
    let message = &bench.handle.reload().await.errors()[0].message.clone();
    assert!(message.ends_with("none is named by a, b"), "{message}");
    bench.stop().await;
}

#[test]
fn a_first_start_needs_its_folder_but_no_endpoint() {
    let folder = folder(&[]);
    assert_eq!(initial(&loader(&folder), Duration::ZERO).expect("starts").warnings.len(), 1);
    fs::remove_dir(folder.path().join("endpoints")).unwrap();
    assert!(initial(&loader(&folder), Duration::ZERO).is_err());
}

#[tokio::test]
async fn the_daemon_file_is_all_or_nothing_and_endpoints_still_apply() {
    let mut bench = start(folder(&[("a", GOOD)]), None).await;
    bench.write("postrider.toml", "[ingress]\nmax_batch = 7\n[shutdown]\ngrace = 'never'\n");
    bench.write("endpoints/b.toml", GOOD);
    let outcome = bench.handle.reload().await;
    assert_eq!((outcome.result(), outcome.errors().len()), ("partial", 1));
    let publication = bench.next().await;
    assert_eq!(publication.daemon.ingress.max_batch, 1000);
    assert_eq!(names(&publication), ["a", "b"]);
    bench.stop().await;
}

#[tokio::test]
async fn what_cannot_change_live_is_refused_by_name_and_the_rest_applies() {
    let mut bench = start(folder(&[("a", GOOD)]), None).await;
    let text = "ingress = { listen = '127.0.0.1:9', max_batch = 7 }\nspool.path = 'elsewhere'\n";
    bench.write("postrider.toml", text);
    let outcome = bench.handle.reload().await;
    let messages: Vec<&str> = outcome.errors().iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "ingress.listen cannot change while the daemon runs",
            "spool.path cannot change while the daemon runs"
        ]
    );
    let daemon = bench.next().await.daemon;
    assert_eq!((daemon.ingress.max_batch, daemon.ingress.listen.port()), (7, 8080));
    bench.stop().await;
}

#[tokio::test]
async fn a_refused_move_to_loopback_does_not_open_the_door() {
    let folder = folder(&[("a", GOOD)]);
    let public = "[ingress]\nlisten = '0.0.0.0:9'\n[[ingress.publisher]]\nname = 'p'\nbearer = 't'\n";
    fs::write(folder.path().join("postrider.toml"), public).unwrap();
    let mut bench = start(folder, None).await;
    bench.write("postrider.toml", "[ingress]\nmax_batch = 7\n");
    assert_eq!(bench.handle.reload().await.errors().len(), 2);
    let daemon = bench.next().await.daemon;
    assert_eq!((daemon.ingress.publishers.len(), daemon.ingress.max_batch), (1, 7));
    bench.stop().await;
}

#[tokio::test]
async fn accounts_are_not_required_while_endpoints_name_none() {
    let named = format!("account = '*'\n{GOOD}");
    let mut bench = start(folder(&[("a", GOOD), ("b", &named)]), None).await;
    bench.write("postrider.toml", "[catalogue]\naccounts = 'required'\n");
    let outcome = bench.handle.reload().await;
    assert_eq!(outcome.result(), "rejected");
    let error = &outcome.errors()[0];
    assert_eq!(error.message, "accounts cannot be required yet: none is named by a");
    assert_eq!(error.line, Some(2));
    bench.write("endpoints/a.toml", &named);
    assert_eq!(bench.handle.reload().await.result(), "applied");
    assert!(bench.next().await.daemon.catalogue.accounts_required);
    bench.stop().await;
}

#[tokio::test]
async fn a_catalogue_that_drops_a_used_name_is_refused_naming_the_users() {
    let mut bench = start(folder(&[("a", GOOD), ("b", &GOOD.replace("'sent'", "'read'"))]), None).await;
    bench.write("postrider.toml", "[catalogue]\nevents = ['delivered', 'read', 'failed']\n");
    let outcome = bench.handle.reload().await;
    assert_eq!(outcome.result(), "rejected");
    assert_eq!(outcome.errors()[0].message, "\"sent\" cannot go from events: used by a");
    // Once the user is edited too, both apply at once.
    bench.write("endpoints/a.toml", &GOOD.replace("'sent'", "'failed'"));
    assert_eq!(bench.handle.reload().await.result(), "applied");
    assert_eq!(bench.next().await.daemon.catalogue.events.len(), 3);
    bench.stop().await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_any_more_keeps_the_endpoint_running() {
    let folder = folder(&[]);
    let text = GOOD.replace("auth = {}", "auth = { basic = { password = { file = 'pw' } } }");
    fs::write(folder.path().join("endpoints/a.toml"), text).unwrap();
    fs::write(folder.path().join("pw"), "one\n").unwrap();
    let mut bench = start(folder, None).await;
    bench.handle.reload().await;
    bench.write("pw", "two\n");
    assert_eq!(bench.handle.reload().await.changes(), ["a changed"]);
    bench.next().await;
    fs::remove_file(bench.path("pw")).unwrap();
    assert_eq!(bench.handle.reload().await.result(), "rejected");
    let publication = bench.next().await;
    assert_eq!((names(&publication), publication.invalid.len()), (vec!["a"], 1));
    bench.stop().await;
}

#[tokio::test]
async fn the_history_holds_the_last_fifty() {
    let bench = start(folder(&[("a", GOOD)]), None).await;
    for _ in 0..60 {
        bench.handle.reload().await;
    }
    assert_eq!(bench.handle.status().await.unwrap().history.len(), 50);
    bench.stop().await;
}

#[tokio::test]
async fn what_could_not_be_put_in_force_is_tried_again_by_itself() {
    let mut bench = start(folder(&[("a", GOOD)]), None).await;
    tokio::time::pause();
    bench.recorder.fails.store(true, Ordering::Relaxed);
    bench.write("endpoints/b.toml", GOOD);
    let outcome = bench.handle.reload().await;
    assert_eq!((outcome.result(), outcome.generation()), ("rejected", Generation(1)));
    bench.recorder.fails.store(false, Ordering::Relaxed);
    assert_eq!(names(&bench.published.recv().await.unwrap()), ["a", "b"]);
    bench.stop().await;
}

#[tokio::test]
async fn a_daemon_file_that_is_suddenly_empty_changes_nothing() {
    let folder = folder(&[("a", GOOD)]);
    let publisher = "[[ingress.publisher]]\nname = 'shop'\nbearer = 'token'\n";
    fs::write(folder.path().join("postrider.toml"), publisher).unwrap();
    let mut bench = start(folder, None).await;
    for blank in ["", " \n\n"] {
        bench.write("postrider.toml", blank);
        let outcome = bench.handle.reload().await;
        assert_eq!(outcome.result(), "rejected");
        assert!(outcome.errors()[0].message.contains("suddenly empty"), "{:?}", outcome.errors());
    }
    bench.write("postrider.toml", "version = 1\n");
    assert_eq!(bench.handle.reload().await.result(), "applied");
    assert!(bench.next().await.daemon.ingress.publishers.is_empty());
    bench.stop().await;
}

const READER: &str =
    "events = ['sent']\nproducts = 'all'\n[reader]\nurl = 'https://a.example/'\nauth = {}\nfile = 'a.bin'\n";

#[tokio::test]
async fn a_file_of_a_sink_is_reloaded_and_a_bad_one_keeps_the_last_good_across_a_restart() {
    let files = folder(&[("a", READER), ("b", GOOD)]);
    fs::write(files.path().join("a.bin"), "one").unwrap();
    let mut bench = start(files, None).await;
    bench.write("a.bin", "two");
    assert_eq!(bench.handle.reload().await.changes(), ["a changed"]);
    let two = bench.next().await.endpoints[0].clone();
    // The sink of these tests finds nothing good in an empty file.
    bench.write("a.bin", "");
    let outcome = bench.handle.reload().await;
    assert_eq!((outcome.result(), outcome.changes()), ("rejected", &[][..]));
    assert!(outcome.errors()[0].note.as_ref().unwrap().contains("a keeps its last good version"));
    bench.handle.stop();
    bench.join.await.unwrap();

    let again = initial(&loader(&bench.folder), Duration::ZERO)
        .expect("a bad endpoint does not stop a start")
        .running;
    assert_eq!((again.endpoints.get("a").expect("there").clone(), &*again.invalid[0]), (two, "a"));
    let kept = || fs::read_dir(bench.folder.path().join("data/last-good/files")).unwrap().count();
    assert_eq!(kept(), 1, "of what was good last, and not of what was good before");
    fs::write(bench.folder.path().join("endpoints/a.toml"), GOOD).unwrap();
    let bench = start(bench.folder, None).await;
    let none = fs::read_dir(bench.path("data/last-good/files")).unwrap().count();
    assert_eq!(none, 0, "it names no file any more");
    bench.stop().await;
}
