use super::kit::{Receiver, Way, components, doing, factory, file, text};
use postrider_sink::testkit::{Behaviour, Subject, conform, context};
use postrider_sink::{Host, HostContext, Secret, Table, Value, async_trait};
use std::path::Path;
use std::sync::{Arc, Mutex};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A component that behaves like this, and where it sends events.
#[derive(Default)]
struct Behaving(Mutex<Option<Receiver>>);

#[async_trait]
impl Subject for Behaving {
    async fn settings(&self, behaviour: Behaviour) -> Option<Table> {
        let (way, first) = match behaviour {
            Behaviour::Takes => ("send", false),
            Behaviour::Slow => ("hang", true),
            Behaviour::Crashes => ("throw", true),
            Behaviour::Garbage => ("nonsense", true),
            Behaviour::Rejects => ("reject", false),
            Behaviour::Gone => ("gone", false),
            // A function returns once.
            Behaviour::Duplicates => return None,
        };
        *self.0.lock().unwrap() = Some(Receiver::start(OK).await);
        let key = Value::Secret(Secret::new("hunter2-hunter2".into()));
        Some(doing(way, &[("first", Value::Boolean(first)), ("key", key)]))
    }

    fn context(&self, host: Arc<dyn Host>) -> HostContext {
        let address = self.0.lock().unwrap().as_ref().map(|receiver| receiver.address);
        HostContext { connector: Arc::new(Way::To(address.expect("it listens"))), ..context(host) }
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        self.0.lock().unwrap().as_ref().map(Receiver::arrived)
    }
}

#[tokio::test]
async fn a_component_that_behaves_in_any_way_is_a_sink_that_conforms() {
    let report = conform(factory(), &Behaving::default()).await;
    report.assert();
    assert_eq!(report.made(), 9, "{report}");
}

/// `examples/sinks/wasm`, as it is checked in or built anew.
struct Example {
    component: Value,
    receiver: Receiver,
}

#[async_trait]
impl Subject for Example {
    async fn settings(&self, behaviour: Behaviour) -> Option<Table> {
        (behaviour == Behaviour::Takes).then(|| {
            let settings = Table::from([
                ("url".into(), text("http://hooks.example/in")),
                ("token".into(), Value::Secret(Secret::new("hunter2-hunter2".into()))),
            ]);
            Table::from([
                ("file".into(), self.component.clone()),
                ("hosts".into(), Value::Array(vec![text("hooks.example")])),
                ("settings".into(), Value::Table(settings)),
            ])
        })
    }

    fn context(&self, host: Arc<dyn Host>) -> HostContext {
        HostContext { connector: Arc::new(Way::To(self.receiver.address)), ..context(host) }
    }

    async fn arrived(&self) -> Option<Vec<String>> {
        Some(self.receiver.arrived())
    }
}

async fn example_conforms(path: &Path) {
    let example = Example { component: file(path), receiver: Receiver::start(OK).await };
    conform(factory(), &example).await.assert();
}

#[tokio::test]
async fn the_example_conforms_as_it_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sinks/wasm/sink.wasm");
    let size = std::fs::metadata(&path).expect("a component").len();
    assert!(size <= 1_200_000, "{size} bytes");
    example_conforms(&path).await;
}

#[tokio::test]
async fn the_example_conforms_as_it_is_built_anew() {
    example_conforms(&components().join("example.wasm")).await;
}
