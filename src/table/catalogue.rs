use std::sync::Arc;

/// The events, products and account rule that this platform has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// The events' names, in the order they are written.
    pub events: Vec<Arc<str>>,
    /// The products' names.
    pub products: Vec<Arc<str>>,
    /// Whether endpoints and events must name an account.
    pub accounts_required: bool,
}

impl Catalogue {
    /// The catalogue's own copy of an event's name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&Arc<str>> {
        self.events.iter().find(|known| known.as_ref() == name)
    }

    /// The catalogue's own copy of a product's name.
    #[must_use]
    pub fn product(&self, name: &str) -> Option<&Arc<str>> {
        self.products.iter().find(|known| known.as_ref() == name)
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Self {
            events: ["sent", "delivered", "read", "failed"].map(Arc::from).to_vec(),
            products: ["automation", "crm", "developer-apis", "campaigns"].map(Arc::from).to_vec(),
            accounts_required: false,
        }
    }
}
