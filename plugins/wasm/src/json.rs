use postrider_sink::{Table, Value};
use serde_json::Map;

/// Settings as a component gets them, secrets included: its memory is nobody else's.
pub(crate) fn json(table: &Table) -> serde_json::Value {
    table.iter().map(|(key, value)| (key.clone(), one(value))).collect::<Map<_, _>>().into()
}

fn one(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(value) => (*value).into(),
        Value::Array(values) => values.iter().map(one).collect(),
        Value::Table(table) => json(table),
        Value::Secret(secret) => secret.expose().into(),
        Value::File(file) => file.path().into(),
    }
}
