use crate::{
    BuildError, Delivery, HostContext, Outcome, Reader, Secret, SettingError, Sink, SinkFactory, SinkPlan,
    Table, async_trait,
};
use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

/// A sink in one type: its value is the checked settings of an endpoint, and makes the attempts.
///
/// ```
/// use postrider_sink::{Delivery, Outcome, Reader, SimpleSink, async_trait};
///
/// #[derive(Clone)]
/// struct Shout {
///     suffix: String,
/// }
///
/// #[async_trait]
/// impl SimpleSink for Shout {
///     const KIND: &'static str = "shout";
///     fn read(settings: &mut Reader<'_>) -> Option<Self> {
///         Some(Self { suffix: settings.required("suffix")?.to_owned() })
///     }
///     fn destination(&self) -> String {
///         format!("everybody, {}", self.suffix)
///     }
///     async fn deliver(&self, delivery: &Delivery) -> Outcome {
///         println!("{}{}", String::from_utf8_lossy(&delivery.body), self.suffix);
///         Outcome::delivered("shouted".into())
///     }
/// }
/// ```
#[async_trait]
pub trait SimpleSink: Clone + Send + Sync + 'static {
    /// The name of its table in an endpoint file.
    const KIND: &'static str;
    /// What it is, one line for people.
    const ABOUT: &'static str = "";
    /// The JSON Schema of its table, see [`SinkFactory::schema`].
    const SCHEMA: &'static str = r#"{"type":"object"}"#;

    /// Reads the settings: no I/O. What is wrong is noted in the reader, and `None` returned; keys that were not asked
    /// for are errors by themselves.
    fn read(settings: &mut Reader<'_>) -> Option<Self>;

    /// Where deliveries go, for people: no secret in it. An endpoint that was held because its destination said that
    /// it is gone is tried again when this changes.
    fn destination(&self) -> String;

    /// Makes one attempt, see [`Sink::deliver`].
    async fn deliver(&self, delivery: &Delivery) -> Outcome;
}

/// The factory of a [`SimpleSink`].
#[must_use]
pub const fn simple<T: SimpleSink>() -> Simple<T> {
    Simple(PhantomData)
}

/// See [`simple`].
pub struct Simple<T>(PhantomData<fn() -> T>);

struct Made<T>(T);

impl<T: SimpleSink> SinkFactory for Simple<T> {
    fn kind(&self) -> &'static str {
        T::KIND
    }

    fn about(&self) -> &'static str {
        T::ABOUT
    }

    fn schema(&self) -> Cow<'static, str> {
        Cow::Borrowed(T::SCHEMA)
    }

    fn check(&self, settings: &Table) -> Result<Arc<dyn SinkPlan>, Vec<SettingError>> {
        let mut reader = Reader::new(settings);
        let read = T::read(&mut reader);
        let errors = reader.finish();
        match read {
            Some(made) if errors.is_empty() => Ok(Arc::new(Made(made))),
            None if errors.is_empty() => {
                Err(vec![SettingError::missing(Default::default(), format!("[{}] is incomplete", T::KIND))])
            }
            _ => Err(errors),
        }
    }
}

#[async_trait]
impl<T: SimpleSink> SinkPlan for Made<T> {
    fn destination(&self) -> String {
        self.0.destination()
    }

    fn fingerprint(&self) -> u64 {
        Secret::new(self.0.destination()).digest()
    }

    async fn build(&self, _host: &HostContext) -> Result<Arc<dyn Sink>, BuildError> {
        Ok(Arc::new(Self(self.0.clone())))
    }
}

#[async_trait]
impl<T: SimpleSink> Sink for Made<T> {
    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        self.0.deliver(delivery).await
    }
}
