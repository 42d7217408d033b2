use super::{Rig, command, example, text};
use crate::ExecSinkFactory;
use postrider_sink::testkit::{Behaviour, Subject, conform};
use postrider_sink::{Secret, Table, Value, async_trait};
use std::path::PathBuf;
use std::sync::Mutex;
use tempfile::TempDir;

/// The ids in what a program wrote: one a line, or in lines of JSON.
fn ids(text: &str) -> Vec<String> {
    let id = |line: &str| match serde_json::from_str::<serde_json::Value>(line) {
        Ok(line) => line["id"].as_str().unwrap_or_default().to_owned(),
        Err(_) => line.to_owned(),
    };
    text.lines().map(id).collect()
}

#[derive(Default)]
struct Behaving(Mutex<Option<Rig>>);

#[async_trait]
impl Subject for Behaving {
    async fn settings(&self, behaviour: Behaviour) -> Option<Table> {
        let rig = Rig::new(&format!("{behaviour:?}").to_lowercase());
        let mut settings = rig.settings.clone();
        let key = Value::Secret(Secret::new("hunter2-hunter2".into()));
        settings.insert("settings".into(), Value::Table(Table::from([("key".into(), key)])));
        *self.0.lock().unwrap() = Some(rig);
        Some(settings)
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        self.0.lock().unwrap().as_ref().map(|rig| ids(&rig.log()))
    }
}

#[tokio::test]
async fn a_program_that_behaves_in_any_way_is_a_sink_that_conforms() {
    let report = conform(&ExecSinkFactory, &Behaving::default()).await;
    report.assert();
    assert_eq!(report.made(), 10, "{report}");
}

struct Example {
    folder: TempDir,
    words: Vec<String>,
}

#[async_trait]
impl Subject for Example {
    async fn settings(&self, behaviour: Behaviour) -> Option<Table> {
        let out = self.folder.path().join("events.jsonl").to_str()?.to_owned();
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        (behaviour == Behaviour::Takes).then(|| {
            Table::from([
                ("command".into(), command(&words)),
                ("env".into(), Value::Table(Table::from([("OUT".into(), text(out.clone()))]))),
                ("settings".into(), Value::Table(Table::from([("path".into(), text(out))]))),
            ])
        })
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(self.folder.path().join("events.jsonl")).ok()?;
        Some(ids(&text))
    }
}

async fn example_conforms(interpreter: &str, file: &str) {
    let path: PathBuf = example(file);
    let words = vec![interpreter.to_owned(), path.to_str().unwrap().to_owned()];
    let subject = Example { folder: TempDir::new().unwrap(), words };
    conform(&ExecSinkFactory, &subject).await.assert();
}

#[tokio::test]
async fn the_example_in_python_conforms() {
    example_conforms("python3", "print.py").await;
}

#[tokio::test]
async fn the_example_for_the_shell_conforms() {
    example_conforms("sh", "print.sh").await;
}

#[tokio::test]
async fn the_example_for_node_conforms() {
    example_conforms("node", "print.js").await;
}
