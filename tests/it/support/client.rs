use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_secs(60);

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The id of the one event that was accepted.
    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_else(|| panic!("{} {}", self.status, self.text())).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A keep-alive connection that is made again when it has ended.
pub(crate) struct Client {
    to: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
    driver: JoinSet<Result<(), hyper::Error>>,
}

impl Client {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self { to, sender: None, driver: JoinSet::new() }
    }

    /// Posts an event, or an array of them.
    pub(crate) async fn post(&mut self, body: impl Into<Bytes>) -> Result<Answer, String> {
        let headers = [("content-type", "application/json")];
        self.request(Method::POST, "/v1/events", &headers, body.into()).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.request(Method::GET, path, &[], Bytes::new()).await
    }

    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, String> {
        let mut request = http::Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", self.to.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("a request");
        tokio::time::timeout(DEADLINE, self.exchange(request))
            .await
            .map_err(|_elapsed| format!("no answer within {DEADLINE:?}"))?
    }

    async fn exchange(&mut self, request: http::Request<Full<Bytes>>) -> Result<Answer, String> {
        let mut kept = self.sender.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.connect().await?,
        };
        let response = match sender.try_send_request(request).await {
            Ok(response) => response,
            // The daemon closed the idle connection in the same moment: nothing of the request was sent.
            Err(mut error) => {
                let Some(request) = error.take_message() else { return Err(error.into_error().to_string()) };
                sender = self.connect().await?;
                sender.send_request(request).await.map_err(|error| error.to_string())?
            }
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = TcpStream::connect(self.to).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        self.driver.spawn(connection);
        Ok(sender)
    }
}
