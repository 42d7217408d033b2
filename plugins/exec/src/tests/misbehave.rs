use super::{Rig, command, example, text};
use postrider_sink::testkit::{burst, delivery};
use postrider_sink::{FailureClass, Outcome, Secret, Sink, Table, Value, Verdict, Wait};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(15);

async fn deliver(sink: &Arc<dyn Sink>, id: &str) -> Outcome {
    timeout(SOON, sink.deliver(&delivery(id))).await.expect("an outcome")
}

/// Until it is delivered.
async fn delivered(sink: &Arc<dyn Sink>, id: &str) {
    let started = Instant::now();
    loop {
        let outcome = deliver(sink, id).await;
        if outcome.verdict == Verdict::Delivered {
            return;
        }
        assert!(started.elapsed() < SOON, "{outcome:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_failure(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Failed { class: FailureClass::SinkError, breaker: true, .. })
}

async fn wrong_build(how: &str) -> String {
    timeout(Duration::from_secs(20), Rig::new(how).build())
        .await
        .expect("an end")
        .err()
        .expect("an error")
        .to_string()
}

#[tokio::test]
async fn a_program_that_does_not_get_ready_holds_the_endpoint_with_the_reason() {
    let why = wrong_build("never-ready").await;
    assert_eq!(why, "crashed 3 times, last: exit 127, no module named kafka");
    assert!(wrong_build("future").await.contains("it speaks version 2 of the protocol"));
    assert!(wrong_build("chatty").await.contains("\"Hello!\""));
    let mut rig = Rig::new("takes");
    for (words, wanted) in [
        (["no-such-program", "x"], "no-such-program not found in PATH"),
        (["./none", "x"], "/./none not found"),
    ] {
        rig.settings.insert("command".into(), command(&words));
        rig.context.folder = rig.folder.path().into();
        let why = rig.build().await.err().expect("an error").to_string();
        assert!(why.ends_with(wanted), "{why}");
    }
    rig.settings.insert("dir".into(), text("nowhere"));
    assert!(rig.build().await.err().expect("an error").to_string().contains("no such folder"));
}

#[tokio::test]
async fn a_crash_fails_what_is_in_flight_and_says_why() {
    let rig = Rig::new("crashes");
    let sink = rig.build().await.unwrap();
    let outcome = deliver(&sink, "evt_first").await;
    assert!(is_failure(&outcome), "{outcome:?}");
    assert_eq!(outcome.reason, "the program stopped: exit 3, Traceback: the disk is gone");
    assert_eq!(deliver(&sink, "evt_second").await.verdict, Verdict::Delivered, "it waits for the restart");
    let said = rig.host.said();
    assert_eq!(said.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true], "{said:?}");
}

#[tokio::test]
async fn a_program_that_crashes_again_and_again_makes_the_endpoint_wait() {
    let rig = Rig::new("dies");
    let sink = rig.build().await.unwrap();
    let mut waits = Vec::new();
    let started = Instant::now();
    while waits.len() < 3 {
        assert!(started.elapsed() < SOON, "{waits:?}");
        let outcome = deliver(&sink, "evt_1").await;
        assert!(is_failure(&outcome), "{outcome:?}");
        if let Verdict::Failed { wait: Wait::Endpoint(wait), .. } = outcome.verdict {
            assert!(
                outcome.reason.contains("times, last: exit 3, Traceback: the disk is gone"),
                "{outcome:?}"
            );
            // Without a time left its next start is due, and not under way yet.
            if !wait.is_zero() {
                waits.push(wait);
            }
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
    }
    assert!(waits[0] <= Duration::from_millis(200) && waits[2] > Duration::from_millis(300), "{waits:?}");
}

#[tokio::test]
async fn floods_endless_lines_and_hoards_end_the_program_and_not_the_endpoint() {
    for (how, wanted) in [
        ("floods", "it flooded its standard output"),
        ("long", "it said a line of more than 64 KiB"),
        ("memory", "MemoryError"),
    ] {
        let rig = Rig::new(how);
        let sink = rig.build().await.unwrap();
        let outcome = deliver(&sink, "evt_first").await;
        assert!(is_failure(&outcome) && outcome.reason.contains(wanted), "{how}: {outcome:?}");
        delivered(&sink, "evt_second").await;
    }
}

#[tokio::test]
async fn half_a_line_at_the_end_is_no_answer() {
    let rig = Rig::new("half");
    let sink = rig.build().await.unwrap();
    let outcome = deliver(&sink, "evt_first").await;
    assert!(is_failure(&outcome), "{outcome:?}");
    assert_eq!(outcome.reason, "the program stopped: exit 0");
}

#[tokio::test]
async fn answers_for_what_was_not_asked_change_nothing() {
    let rig = Rig::new("unknown");
    let sink = rig.build().await.unwrap();
    for delivery in burst(50) {
        assert_eq!(sink.deliver(&delivery).await.verdict, Verdict::Delivered);
    }
    assert!(rig.host.said().iter().all(Result::is_ok));
}

#[tokio::test]
async fn answers_come_in_any_order() {
    let rig = Rig::new("reversed");
    let sink = rig.build().await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for delivery in burst(16) {
        let sink = Arc::clone(&sink);
        tasks.spawn(async move { sink.deliver(&delivery).await.verdict });
    }
    let verdicts = timeout(SOON, tasks.join_all()).await.unwrap();
    assert_eq!(verdicts, [Verdict::Delivered; 16]);
}

#[tokio::test]
async fn a_program_that_hangs_is_started_again() {
    let rig = Rig::new("hangs");
    let sink = rig.build().await.unwrap();
    for _ in 0..3 {
        let outcome = timeout(Duration::from_millis(50), sink.deliver(&delivery("evt_1"))).await;
        assert!(outcome.is_err(), "{outcome:?}");
    }
    let started = Instant::now();
    while rig.host.said().len() < 3 {
        assert!(started.elapsed() < SOON, "{:?}", rig.host.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let said = rig.host.said();
    assert!(said[1].as_ref().is_err_and(|why| why.contains("hung")) && said[2].is_ok(), "{said:?}");
}

#[tokio::test]
async fn its_environment_is_what_was_named_and_its_settings_are_handed_over() {
    let mut rig = Rig::new("env");
    let secret = |value: &str| Value::Secret(Secret::new(value.into()));
    let inner = Table::from([("token".into(), secret("s3cret")), ("n".into(), Value::Integer(3))]);
    rig.settings.insert("settings".into(), Value::Table(inner));
    rig.settings.insert("env".into(), Value::Table(Table::from([("KEY".into(), secret("v4lue"))])));
    rig.settings.insert("dir".into(), text("."));
    rig.context.folder = rig.folder.path().into();
    let sink = rig.build().await.unwrap();
    delivered(&sink, "evt_1").await;
    let first = rig.log().lines().next().unwrap_or_default().to_owned();
    let seen: serde_json::Value = serde_json::from_str(&first).unwrap();
    let mut names: Vec<&String> = seen["env"].as_object().unwrap().keys().collect();
    names.retain(|name| {
        !matches!(name.as_str(), "LC_CTYPE" | "PWD" | "_" | "SHLVL" | "OLDPWD") && !name.contains("PYENV")
    });
    assert_eq!(names, ["KEY", "PATH"], "python and its launcher add the others");
    assert_eq!(seen["env"]["KEY"], "v4lue");
    assert_eq!(seen["hello"]["settings"], serde_json::json!({"token": "s3cret", "n": 3}));
    assert_eq!((&seen["hello"]["postrider"], &seen["hello"]["in_flight"]), (&1.into(), &16.into()));
    assert_eq!(Path::new(seen["dir"].as_str().unwrap()), rig.folder.path().canonicalize().unwrap());
}

/// Processes that have this word in their command line; children that ended and were not waited for, too.
fn processes(word: &str) -> usize {
    zombies() + running(word)
}

fn running(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let named = |path: std::path::PathBuf| {
        std::fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line.contains(word))
    };
    entries.filter(|entry| named(entry.path())).count()
}

fn zombies() -> usize {
    let mine = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let dead = |path: std::path::PathBuf| {
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        // pid (name) state parent
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.first() == Some(&"Z") && fields.get(1) == Some(&mine.as_str())
    };
    entries.filter(|entry| dead(entry.path())).count()
}

/// The memory this process holds.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn a_program_that_will_not_end_goes_with_its_whole_group() {
    let rig = Rig::new("stays");
    let sink = rig.build().await.unwrap();
    delivered(&sink, "evt_1").await;
    let word = rig.folder.path().to_str().unwrap().to_owned();
    assert!(processes(&word) > 0);
    drop(sink);
    assert!(rig.host.ended(Duration::from_secs(5)).await);
    assert_eq!(processes(&word), 0);
}

#[tokio::test]
async fn a_program_yields_the_processors_to_the_daemon() {
    let rig = Rig::new("takes");
    let sink = rig.build().await.unwrap();
    delivered(&sink, "evt_1").await;
    let word = rig.folder.path().to_str().unwrap();
    let stat = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).find_map(|entry| {
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        line.contains(word).then(|| std::fs::read_to_string(entry.path().join("stat")).ok()).flatten()
    });
    let stat = stat.expect("it runs");
    let nice = |stat: &str| {
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(16)?.parse::<i32>().ok())
    };
    let own = nice(&std::fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
    assert_eq!(nice(&stat), Some(own.clamp(10, 19)), "{stat}");
}

#[test]
fn nothing_outlives_the_runtime() {
    let rig = Rig::new("stays");
    let word = rig.folder.path().to_str().unwrap().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sink = runtime.block_on(async {
        let sink = rig.build().await.unwrap();
        delivered(&sink, "evt_1").await;
        sink
    });
    assert!(running(&word) > 0);
    drop((runtime, sink));
    drop(rig);
    // SIGKILL is under way: there is nothing to wait for but the system.
    let mut looks = 0;
    while running(&word) > 0 {
        looks += 1;
        assert!(looks < 1000, "it is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// 50 in every run; `POSTRIDER_COUNT` for more.
#[tokio::test]
async fn restarts_leak_no_process_no_descriptor_and_no_memory() {
    let count: usize =
        std::env::var("POSTRIDER_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(50);
    let mut rig = Rig::new("takes");
    let word = rig.folder.path().join("leak").to_str().unwrap().to_owned();
    // Crashes after every answer, so that every restart is the first of a row.
    let script = "read -r hello; echo '{\"postrider\":1}'; read -r line; n=${line#*:}; echo \"{\\\"n\\\":${n%%,*},\\\"result\\\":\\\"ok\\\"}\"; sleep 600 & exit 1";
    rig.settings.insert("command".into(), command(&["sh", "-c", script, &word]));
    let sink = rig.build().await.unwrap();
    // What is allocated once is there after a few.
    for number in 0..20 {
        delivered(&sink, &format!("evt_first_{number}")).await;
    }
    let (before, held) = (descriptors(), resident_kib());
    for number in 1..=count {
        delivered(&sink, &format!("evt_{number}")).await;
    }
    let more = resident_kib().saturating_sub(held);
    println!("{count} restarts: {more} KiB more");
    assert!(more < 4096, "{held} KiB, then {more} more");
    assert!(descriptors() <= before + 4, "{before} descriptors, then {}", descriptors());
    drop(sink);
    assert!(rig.host.ended(Duration::from_secs(5)).await);
    assert_eq!(processes(&word), 0);
}

/// The example as it is, 16 in flight: 40,000 a second on two quiet cores. Here, what it must do on any machine.
#[tokio::test]
async fn the_example_in_python_takes_thousands_of_events_a_second() {
    let mut rig = Rig::new("takes");
    let out = rig.folder.path().join("out").to_str().unwrap().to_owned();
    rig.settings.insert("command".into(), command(&["python3", example("print.py").to_str().unwrap()]));
    rig.settings.insert("settings".into(), Value::Table(Table::from([("path".into(), text(&out))])));
    let sink = rig.build().await.unwrap();
    let (count, at_once) = (8000, 16);
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for mine in burst(count).chunks(count / at_once) {
        let (sink, mine) = (Arc::clone(&sink), mine.to_vec());
        tasks.spawn(async move {
            for delivery in &mine {
                assert_eq!(sink.deliver(delivery).await.verdict, Verdict::Delivered);
            }
        });
    }
    tasks.join_all().await;
    let rate = 8000.0 / started.elapsed().as_secs_f64();
    println!("{rate:.0} acknowledged events a second");
    assert!(rate > 5000.0, "{rate:.0} a second");
    assert_eq!(std::fs::read_to_string(out).unwrap().lines().count(), count);
}
