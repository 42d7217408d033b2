use crate::settings::HttpSettings;
use crate::signing::Signing;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::Full;
use postrider_sink::{BuildError, Delivery, HostContext};
use std::time::Duration;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const PRODUCT: HeaderName = HeaderName::from_static("postrider-product");
const ATTEMPT: HeaderName = HeaderName::from_static("postrider-attempt");
const TEST: HeaderName = HeaderName::from_static("postrider-test");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What is the same in every request of an endpoint.
pub(crate) struct Template {
    target: Uri,
    headers: HeaderMap,
    signing: Signing,
}

impl Template {
    pub(crate) fn new(settings: &HttpSettings, host: &HostContext) -> Result<Self, BuildError> {
        let user_agent = HeaderValue::from_str(&host.user_agent)
            .map_err(|_| BuildError(String::from("the user agent is not a header value")))?;
        let mut headers = HeaderMap::with_capacity(settings.headers.len() + 12);
        headers.insert(HOST, settings.destination.host_header.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(settings.proof.name.clone(), settings.proof_value.clone());
        headers.insert(USER_AGENT, user_agent);
        for (name, value) in &settings.headers {
            headers.insert(name, value.clone());
        }
        // Those of one attempt have their place already: a copy has no room for more and would grow.
        for name in [ID, TIMESTAMP, PRODUCT, ATTEMPT, TRACEPARENT, CONTENT_LENGTH] {
            headers.insert(name, HeaderValue::from_static("0"));
        }
        if !settings.signing.is_empty() {
            headers.insert(SIGNATURE, HeaderValue::from_static("0"));
        }
        Ok(Self { target: settings.destination.target.clone(), headers, signing: settings.signing.clone() })
    }

    /// The request of one attempt made at `now`, the time since the Unix epoch. `None`: the id or the product
    /// cannot stand in a header.
    pub(crate) fn request(&self, delivery: &Delivery, now: Duration) -> Option<Request<Full<Bytes>>> {
        let mut headers = self.headers.clone();
        headers.insert(ID, HeaderValue::from_str(&delivery.id).ok()?);
        headers.insert(TIMESTAMP, HeaderValue::from(now.as_secs()));
        if !self.signing.is_empty() {
            headers.insert(SIGNATURE, self.signing.sign(&delivery.id, now.as_secs(), &delivery.body)?);
        }
        headers.insert(PRODUCT, HeaderValue::from_bytes(delivery.product.as_bytes()).ok()?);
        let attempt = match delivery.attempt {
            1 => HeaderValue::from_static("1"),
            attempt => HeaderValue::from(attempt),
        };
        headers.insert(ATTEMPT, attempt);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(delivery.body.len()));
        match delivery.traceparent.as_deref().and_then(|it| HeaderValue::from_str(it).ok()) {
            Some(value) => drop(headers.insert(TRACEPARENT, value)),
            None => drop(headers.remove(TRACEPARENT)),
        }
        if delivery.test {
            headers.insert(TEST, HeaderValue::from_static("true"));
        }
        let mut request = Request::new(Full::new(delivery.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = headers;
        Some(request)
    }
}
