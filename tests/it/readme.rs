//! The README's first screen and the guides are true: their commands exist, and what they show is accepted.

use crate::support::TlsPair;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("there is a README")
}

fn guide(name: &str) -> String {
    fs::read_to_string(root().join(format!("docs/guide-{name}.md"))).expect("there is a guide")
}

/// The fenced blocks in one language.
pub(crate) fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside: Option<Vec<&str>> = None;
    for line in text.lines() {
        match (&mut inside, line.strip_prefix("```")) {
            (None, Some(named)) if named == language => inside = Some(Vec::new()),
            (Some(lines), Some(_)) => {
                found.push(lines.join("\n"));
                inside = None;
            }
            (Some(lines), None) => lines.push(line),
            (None, _) => {}
        }
    }
    found
}

fn postrider(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postrider")).args(arguments).output().expect("it runs")
}

#[test]
fn every_command_that_is_shown_exists() {
    let mut shown = 0;
    let guides = ["subscriber", "publisher", "operator"].map(guide).concat();
    for block in blocks(&(readme() + &guides), "console") {
        for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let command = line.split('#').next().unwrap_or_default().trim();
            // What is set for this command alone is none of it.
            let words: Vec<&str> = command.split_whitespace().skip_while(|word| word.contains('=')).collect();
            let arguments = match words.as_slice() {
                ["postrider", arguments @ ..] => arguments,
                ["cargo", "run", rest @ ..] => {
                    let dashes = rest.iter().position(|word| *word == "--").unwrap_or(rest.len());
                    rest.get(dashes + 1..).unwrap_or_default()
                }
                [program, ..] if program.contains('/') => {
                    assert!(root().join(program).is_file(), "{command}: no such file");
                    shown += 1;
                    continue;
                }
                _ => continue,
            };
            // With --help a command line is read to its end, and nothing is started.
            let output = postrider(&[arguments, &["--help"]].concat());
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
            shown += 1;
        }
    }
    assert!(shown >= 14, "{shown} commands on its pages");
}

#[test]
fn the_endpoint_file_it_shows_is_accepted() {
    let dir = TempDir::new().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    };
    let endpoint = blocks(&readme(), "toml").into_iter().find(|block| block.contains("[http]"));
    let endpoint = endpoint.expect("it shows an endpoint file");
    write("postrider.toml", "version = 1\n");
    write("endpoints/acme-orders.toml", &endpoint);
    // acme:secret
    for secret in ["secrets/acme-orders", "endpoints/secrets/acme-orders"] {
        write(secret, "YWNtZTpzZWNyZXQ=\n");
    }
    let output = postrider(&["check", &dir.path().join("postrider.toml").to_string_lossy()]);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_configuration_that_the_operators_guide_shows_is_accepted() {
    let dir = TempDir::new().expect("a folder");
    let root = dir.path().to_string_lossy();
    let shown = blocks(&guide("operator"), "toml");
    let [whole, admin] = shown.as_slice() else { panic!("{} blocks", shown.len()) };
    for folder in ["secrets", "endpoints", "tls"] {
        fs::create_dir(dir.path().join(folder)).expect("a folder");
    }
    let pair = TlsPair::new();
    for (file, text) in [
        ("secrets/platform", "a-long-token-of-the-platform"),
        ("secrets/operator", "a long password"),
        ("tls/admin.pem", pair.cert.as_str()),
        ("tls/admin.key", pair.key.as_str()),
    ] {
        fs::write(dir.path().join(file), text).expect("written");
    }
    // The page by another address: its tables in the place of the one before.
    let elsewhere = whole.replace("[admin]\nlisten = \"127.0.0.1:8081\"", admin);
    assert_ne!(&elsewhere, whole);
    for text in [whole, &elsewhere] {
        let text =
            text.replace("/etc/postrider", &root).replace("/var/lib/postrider", &format!("{root}/data"));
        fs::write(dir.path().join("postrider.toml"), text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
        command.env("CREDENTIALS_DIRECTORY", dir.path().join("secrets"));
        let output = command.arg("check").arg(dir.path().join("postrider.toml")).output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

/// The series that expressions ask for, each of which there must be.
fn asked(expressions: &[String]) -> usize {
    let known = fs::read_to_string(root().join("src/metrics/names.rs")).expect("names");
    let words = expressions.iter().flat_map(|text| text.split(|c: char| !c.is_ascii_lowercase() && c != '_'));
    let names: Vec<&str> = words.filter(|word| word.starts_with("postrider_")).collect();
    for name in &names {
        let family = name.strip_suffix("_bucket").unwrap_or(name);
        assert!(known.contains(&format!("\"{family}\"")), "{name} is no series");
    }
    names.len()
}

#[test]
fn the_alerts_and_the_dashboard_ask_for_series_that_there_are() {
    let rules = fs::read_to_string(root().join("config/prometheus/postrider.rules.yml")).expect("rules");
    let lines = rules.lines().map(str::trim);
    let expressions: Vec<String> =
        lines.filter_map(|line| Some(line.strip_prefix("expr:")?.to_owned())).collect();
    assert!(asked(&expressions) >= 7, "{expressions:?}");
    let guide = guide("operator");
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(guide.contains(&format!("`{alert}`")), "{alert}: the guide says what to do about it");
    }
    let dashboard = fs::read(root().join("config/grafana/postrider.json")).expect("a dashboard");
    let dashboard: serde_json::Value = serde_json::from_slice(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let expressions: Vec<String> =
        targets.map(|target| target["expr"].as_str().expect("text").to_owned()).collect();
    assert!(asked(&expressions) >= 10, "{expressions:?}");
}
