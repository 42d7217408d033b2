//! What a filter can look at, converted once for all filters of an event.

use super::compile::environment;
use super::lenient::readable;
use cel::objects::{Key, Map};
use cel::{Context, Value};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// An event as filters see it.
pub struct Facts {
    context: Context<'static, 'static>,
}

/// The one member of a composed body that is looked at.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    data: serde_json::Value,
}

impl Facts {
    /// From an event's names and its `data`. Where that has no `details` it gets an empty one, as subscribers do.
    #[must_use]
    pub fn new(event: &str, product: &str, account: Option<&str>, mut data: serde_json::Value) -> Self {
        if let serde_json::Value::Object(members) = &mut data {
            members.entry("details").or_insert_with(|| serde_json::Value::Object(serde_json::Map::new()));
        }
        let text = |text: &str| Value::String(Arc::new(text.to_owned()));
        let mut context = Context::with_env(environment());
        context.add_variable_from_value("event", text(event));
        context.add_variable_from_value("product", text(product));
        context.add_variable_from_value("account", account.map_or(Value::Null, text));
        context.add_variable_from_value("data", value(data));
        Self { context }
    }

    /// From an event's names and the body that subscribers get.
    ///
    /// # Errors
    /// The body is no JSON object.
    pub fn of_body(
        event: &str,
        product: &str,
        account: Option<&str>,
        body: &[u8],
    ) -> Result<Self, serde_json::Error> {
        let read = serde_json::from_slice(body).or_else(|_| serde_json::from_slice(&readable(body)));
        let Body { data } = read?;
        Ok(Self::new(event, product, account, data))
    }

    pub(super) const fn context(&self) -> &Context<'static, 'static> {
        &self.context
    }
}

/// Whole numbers become `int` where they fit, so that they can be reckoned with as they are written.
fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::String(Arc::new(text)),
        serde_json::Value::Array(elements) => {
            Value::List(Arc::new(elements.into_iter().map(value).collect()))
        }
        serde_json::Value::Object(members) => {
            let members = members.into_iter().map(|(name, json)| (Key::String(Arc::new(name)), value(json)));
            Value::Map(Map { map: Arc::new(members.collect::<HashMap<_, _>>()) })
        }
    }
}
