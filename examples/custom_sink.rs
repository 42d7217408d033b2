//! A sink of one's own, in a binary with the whole command line of Postrider, its listeners and its metrics.
//!
//! ```sh
//! cargo run --example custom_sink -- plugins list
//! cargo run --example custom_sink -- run -c config/postrider.toml    # with endpoint files that have a table [shout]
//! ```

use postrider::Postrider;
use postrider::sink::{Delivery, Outcome, Reader, SimpleSink, async_trait, simple};

/// `[shout]` of an endpoint file: prints every event to standard output, with something before it.
#[derive(Clone)]
struct Shout {
    prefix: String,
}

#[async_trait]
impl SimpleSink for Shout {
    const KIND: &'static str = "shout";
    const ABOUT: &'static str = "prints events to standard output";
    const SCHEMA: &'static str =
        r#"{"type":"object","required":["prefix"],"properties":{"prefix":{"type":"string"}}}"#;

    fn read(settings: &mut Reader<'_>) -> Option<Self> {
        Some(Self { prefix: settings.required("prefix")?.to_owned() })
    }

    fn destination(&self) -> String {
        format!("standard output, after {:?}", self.prefix)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        println!("{}{} {}", self.prefix, delivery.id, String::from_utf8_lossy(&delivery.body));
        Outcome::delivered("shouted".into()) // or Outcome::later(...), reject(...), gone(...)
    }
}

fn main() -> std::process::ExitCode {
    Postrider::new().sink(simple::<Shout>()).main()
}
