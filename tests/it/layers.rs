//! The house keeps its layers: imports point down, never up and never in a circle; files stay readable.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom. A part may use the parts below it, and those beside it that do not use it.
const LAYERS: [&[&str]; 9] = [
    &["ids", "clock", "chance", "metrics", "policy"],
    &["net", "table"],
    &["sinks", "config"],
    &["spool", "history"],
    &["delivery"],
    &["router"],
    &["reload"],
    &["ingress", "admin"],
    &["app", "cli", "fuzz"],
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn layer(part: &str) -> usize {
    let found = LAYERS.iter().position(|parts| parts.contains(&part));
    found.unwrap_or_else(|| panic!("{part} is in no layer: add it to the list in DESIGN and here"))
}

/// The parts that a text names after `crate::`.
fn used(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut parts = BTreeSet::new();
    for (at, mark) in code.match_indices("crate::") {
        let standalone = code[..at].chars().last().is_none_or(|char| !char.is_alphanumeric() && char != '_');
        if standalone {
            parts.extend(heads(&code[at + mark.len()..]));
        }
    }
    parts.retain(|part| part.chars().next().is_some_and(char::is_lowercase));
    parts
}

/// The first names of a path, or of each path in a group.
fn heads(path: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim_start().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::ids::Seq;\nuse crate::{net, table::{Table, X}, clock};\n// crate::admin\nlet a = crate::policy::new();\nmycrate::app; $crate::Type";
    let found: Vec<String> = used(text).into_iter().collect();
    assert_eq!(found, ["clock", "ids", "net", "policy", "table"]);
}

#[test]
fn imports_point_down_the_layers() {
    let mut uses = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in sources(&root().join("src")) {
        let inside = path.strip_prefix(root().join("src")).expect("inside").to_owned();
        let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
        let part = first.trim_end_matches(".rs").to_owned();
        if part == "lib" || part == "main" {
            continue;
        }
        for other in used(&fs::read_to_string(&path).expect("readable")) {
            if other == part {
                continue;
            }
            if layer(&other) > layer(&part) {
                wrong.push(format!("src/{}: {part} must not use {other}", inside.display()));
            }
            uses.insert((part.clone(), other));
        }
    }
    for (part, other) in &uses {
        if layer(part) == layer(other) && uses.contains(&(other.clone(), part.clone())) {
            wrong.push(format!("{part} and {other} use each other"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn plugins_stand_on_the_contract_and_never_on_the_daemon() {
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("plugins")).expect("readable") {
        let folder = entry.expect("an entry").path();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        for line in manifest.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if name == "postrider" {
                wrong.push(format!("{}: {line}", folder.display()));
            }
        }
        for path in sources(&folder) {
            let text = fs::read_to_string(&path).expect("readable");
            if text.lines().any(|line| line.contains("postrider::") && !line.trim_start().starts_with("//")) {
                wrong.push(format!("{} uses the daemon", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_can_be_read_in_one_sitting() {
    let long: Vec<String> = ["src", "plugins", "tests", "examples"]
        .into_iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).expect("readable").lines().count();
            (lines > 500).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
