//! What `plugins new` writes. The programs are the examples of this repository, word for word.

use super::Language;
use std::path::Path;

const PYTHON: &str = include_str!("../../../examples/sinks/print.py");
const NODE: &str = include_str!("../../../examples/sinks/print.js");
const SHELL: &str = include_str!("../../../examples/sinks/print.sh");
const RUST: &str = include_str!("../../../examples/custom_sink.rs");
const PYTHON_TEST: &str = include_str!("templates/test_main.py");
const NODE_TEST: &str = include_str!("templates/main.test.js");
const SHELL_TEST: &str = include_str!("templates/test.sh");
const RUST_TEST: &str = include_str!("templates/tests.rs.txt");
const WASM: &str = include_str!("../../../examples/sinks/wasm/sink.js");
const WASM_MAIN: &str = include_str!("../../../examples/sinks/wasm/main.js");
const WASM_BUILD: &str = include_str!("../../../examples/sinks/wasm/build.sh");
const WASM_WIT: &str = include_str!("../../../plugins/wasm/wit/sink.wit");
const WASM_TEST: &str = include_str!("templates/sink.test.js");
const WASM_PACKAGE: &str = include_str!("../../../examples/sinks/wasm/package.json");

/// The files of a new sink, by their path within its folder.
pub(super) fn files(
    name: &str,
    language: Language,
    dir: &Path,
    source: Option<&Path>,
) -> Vec<(&'static str, String)> {
    let out = toml(&dir.join("events.jsonl"));
    let settings = format!("settings = {{ path = {out} }}");
    let exec = |command: &str, more: &str| {
        endpoint(name, &format!("[exec]\ncommand = {command}\ndir = {}\n{more}", toml(dir)))
    };
    match language {
        Language::Python => vec![
            ("main.py", PYTHON.replace("print.py", "main.py")),
            ("test_main.py", PYTHON_TEST.to_owned()),
            ("endpoint.toml", exec(r#"["python3", "main.py"]"#, &settings)),
        ],
        Language::Node => vec![
            ("main.js", NODE.replace("print.js", "main.js")),
            ("main.test.js", NODE_TEST.to_owned()),
            ("endpoint.toml", exec(r#"["node", "main.js"]"#, &settings)),
        ],
        Language::Sh => vec![
            ("main.sh", SHELL.replace("print.sh", "main.sh")),
            ("test.sh", SHELL_TEST.to_owned()),
            ("endpoint.toml", exec(r#"["sh", "main.sh"]"#, &format!("env = {{ OUT = {out} }}"))),
        ],
        Language::Rust => vec![
            ("Cargo.toml", manifest(name, source)),
            ("src/main.rs", format!("{}\n{RUST_TEST}", RUST.replace("run --example custom_sink", "run"))),
            ("endpoint.toml", endpoint(name, "[shout]\nprefix = \"event \"")),
        ],
        Language::Wasm => vec![
            ("sink.js", WASM.to_owned()),
            ("main.js", WASM_MAIN.to_owned()),
            ("sink.wit", WASM_WIT.to_owned()),
            ("package.json", WASM_PACKAGE.to_owned()),
            ("build.sh", WASM_BUILD.to_owned()),
            ("sink.test.js", WASM_TEST.to_owned()),
            ("endpoint.toml", endpoint(name, &wasm(&dir.join("sink.wasm")))),
        ],
    }
}

/// What to do with them.
pub(super) fn next_steps(name: &str, language: Language, dir: &Path) -> String {
    let dir = dir.display();
    let (test, postrider) = match language {
        Language::Python => (format!("python3 {dir}/test_main.py"), "postrider"),
        Language::Node => (format!("node --test {dir}/main.test.js"), "postrider"),
        Language::Sh => (format!("sh {dir}/test.sh"), "postrider"),
        Language::Rust => (format!("cd {dir} && cargo test"), "cargo run -- "),
        Language::Wasm => (
            format!("node --test {dir}/sink.test.js\n  sh {dir}/build.sh\n  postrider listen &"),
            "postrider",
        ),
    };
    let postrider = postrider.trim_end();
    format!(
        "\nNext:\n  {test}\n  {postrider} plugins test {dir}\n  cp {dir}/endpoint.toml config/endpoints/{name}.toml"
    )
}

fn wasm(component: &Path) -> String {
    format!(
        "[wasm]\nfile = {}\n# What it may reach, and nothing else: here postrider listen, on this machine, for which [network] of\n\
         # postrider.toml says allow = [\"127.0.0.0/8\"].\nhosts = [\"127.0.0.1:9900\"]\n\
         settings = {{ url = \"http://127.0.0.1:9900/in\" }}",
        toml(component)
    )
}

fn endpoint(name: &str, sink: &str) -> String {
    format!(
        "# In use as {name}.toml in the folder endpoints of a daemon.\nevents = \"all\"\nproducts = \"all\"\n\n{sink}\n"
    )
}

fn manifest(name: &str, source: Option<&Path>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (postrider, kit) = match source {
        Some(path) => (
            format!("{{ path = {} }}", toml(path)),
            format!("{{ path = {}, features = [\"testkit\"] }}", toml(&path.join("plugins/sink"))),
        ),
        None => (format!("{version:?}"), format!("{{ version = {version:?}, features = [\"testkit\"] }}")),
    };
    format!(
        "[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\npostrider = {postrider}\n\n\
         [dev-dependencies]\npostrider-sink = {kit}\ntokio = {{ version = \"1\", features = [\"macros\", \"rt\"] }}\n\n\
         # Line numbers are enough, and faster to build.\n[profile.dev]\ndebug = \"line-tables-only\"\n\n[workspace]\n"
    )
}

/// A string as TOML writes it.
fn toml(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}
