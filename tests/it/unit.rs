//! The unit for systemd lets the daemon do all that it does. What it forbids shows under systemd only, which runs no test:
//! so what has to do with the code is held here to what the code needs, each with its reason.

use crate::readme::blocks;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of the project")
}

fn unit() -> String {
    read("config/systemd/postrider.service")
}

/// The values of a directive, in order.
fn values<'a>(unit: &'a str, directive: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(directive)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_forbids_no_system_call_that_the_daemon_makes_and_ends_it_for_none() {
    let unit = unit();
    // Of @resources it needs setpriority: for its threads that read files or run components, and for its programs. Of
    // @process prctl, for pages of 4 KiB.
    assert_eq!(values(&unit, "SystemCallFilter"), ["@system-service", "~@privileged"]);
    // Without a number, a call that is not allowed ends the process with SIGSYS: Node.js asks for protection keys, and goes
    // on without.
    assert_eq!(values(&unit, "SystemCallErrorNumber"), ["EPERM"]);
    // Names are looked up over UDP and TCP, or by a service of this machine.
    assert_eq!(values(&unit, "RestrictAddressFamilies"), ["AF_INET AF_INET6 AF_UNIX"]);
}

#[test]
fn the_unit_names_what_makes_code_while_it_runs_and_so_do_the_pages_about_it() {
    let unit = unit();
    assert_eq!(values(&unit, "MemoryDenyWriteExecute"), ["yes"]);
    let comment = unit.lines().find(|line| line.contains("MemoryDenyWriteExecute=no")).expect("a comment");
    assert!(
        comment.starts_with('#') && comment.contains("[wasm]") && comment.contains("Node.js"),
        "{comment}"
    );
    assert_eq!(read("docs/sinks.md").matches("`MemoryDenyWriteExecute=no`").count(), 2);
}

#[test]
fn the_unit_gives_a_stop_its_time_and_leaves_programs_to_the_daemon() {
    let unit = unit();
    // [shutdown] grace; and 5 s for requests under way, 4 s for what sinks keep running, 10 s for the store: src/app/stop.rs.
    let stop = values(&unit, "TimeoutStopSec");
    let seconds: u64 = stop[0].strip_suffix('s').and_then(|seconds| seconds.parse().ok()).expect("seconds");
    assert!(read("docs/configuration.md").contains("| `shutdown.grace` | duration | `\"30s\"` |"));
    assert!(seconds >= 30 + 5 + 4 + 10, "{seconds}");
    // Else systemd sends SIGTERM to programs behind [exec] while they have attempts in hand.
    assert_eq!(values(&unit, "KillMode"), ["mixed"]);
    // Wrong arguments, and a wrong postrider.toml: another start meets the same.
    assert_eq!(values(&unit, "RestartPreventExitStatus"), ["2 78"]);
}

#[test]
fn the_operators_guide_and_the_unit_speak_of_the_same_paths_users_and_secrets() {
    let (unit, guide) = (unit(), read("docs/guide-operator.md"));
    let [shell, toml, added] = ["sh", "toml", "ini"].map(|language| blocks(&guide, language).join("\n"));
    let state = values(&unit, "StateDirectory");
    assert!(toml.contains(&format!("path = \"/var/lib/{}\"", state[0])), "{state:?}");
    for path in values(&unit, "ExecStart")[0].split(' ').filter(|word| word.starts_with('/')) {
        assert!(shell.contains(path), "{path} is put where the unit expects it");
    }
    // A user of systemd's making cannot read what only root may: each secret is handed over.
    let mut secrets = 0;
    for name in toml.split("credential = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let handed = format!("LoadCredential={name}:/etc/postrider/secrets/{name}");
        assert!(guide.contains(&handed), "{handed}");
        secrets += 1;
    }
    assert_eq!(secrets, 2);
    for line in values(&added, "LoadCredential") {
        let (_, path) = line.split_once(':').expect("a name and a path");
        assert!(shell.contains(&format!("> {path})")), "{path} is made");
    }
    for user in values(&added, "User") {
        let made = shell.lines().any(|line| line.starts_with("useradd ") && line.ends_with(user));
        assert!(made, "{user}");
        let owned = format!("chown -R {user}: {}", values(&added, "ReadWritePaths")[0]);
        assert!(shell.contains(&owned), "{owned}");
    }
}
