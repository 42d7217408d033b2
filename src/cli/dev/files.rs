//! The small configuration of `dev`. Files that are there are a person's, and are kept.

use super::super::exit::Failure;
use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// An endpoint of the tour, and the credentials that its receiver asks for.
pub(super) struct Endpoint {
    pub(super) name: &'static str,
    pub(super) credentials: &'static str,
    events: &'static str,
    products: &'static str,
}

/// Two, so that there is something to filter.
pub(super) const ENDPOINTS: [Endpoint; 2] = [
    Endpoint {
        name: "all-campaigns",
        credentials: "campaigns:only-for-dev",
        events: r#""all""#,
        products: r#"["campaigns"]"#,
    },
    Endpoint {
        name: "crm-failures",
        credentials: "failures:only-for-dev",
        events: r#"["failed"]"#,
        products: r#"["crm", "automation"]"#,
    },
];

/// Where things listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) ingress: u16,
    pub(super) admin: u16,
    pub(super) receiver: u16,
}

/// The folder, ready.
pub(super) struct Folder {
    pub(super) config: PathBuf,
    /// Where the endpoint files say that the receiver is.
    pub(super) receiver: u16,
    /// Ports that were taken, and what was chosen instead, in words.
    pub(super) moved: Vec<String>,
}

/// Writes what is missing.
pub(super) fn prepare(dir: &Path, any_port: bool) -> Result<Folder, Failure> {
    let endpoints = dir.join("endpoints");
    fs::create_dir_all(&endpoints).map_err(|error| failed(&endpoints, &error))?;
    let config = dir.join("postrider.toml");
    let mut moved = Vec::new();
    let ports = choose(any_port, receiver_of(&endpoints), &mut moved)?;
    let daemon = daemon_file(ports);
    if !write_new(&config, &daemon)? {
        // The kept file says where the daemon listens, whatever was chosen here.
        moved.retain(|line| line.starts_with("receiver"));
    }
    for endpoint in &ENDPOINTS {
        let path = endpoints.join(format!("{}.toml", endpoint.name));
        write_new(&path, &endpoint_file(endpoint, ports.receiver))?;
    }
    Ok(Folder { config, receiver: ports.receiver, moved })
}

/// What the receiver asks for, by path.
pub(super) fn credentials() -> HashMap<String, String> {
    let encode = |text| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    ENDPOINTS.iter().map(|endpoint| (format!("/{}", endpoint.name), encode(endpoint.credentials))).collect()
}

fn daemon_file(ports: Ports) -> String {
    let Ports { ingress, admin, .. } = ports;
    format!(
        r#"# Written by `postrider dev`. Change it as you like: it is never overwritten.
version = 1

[ingress]
listen = "127.0.0.1:{ingress}"       # POST /v1/events

[admin]
listen = "127.0.0.1:{admin}"       # /metrics, /-/ready, /api/v1/status

[spool]
path = "data"

[network]
allow = ["127.0.0.0/8"]          # the receiver is on this machine; without this, private addresses are refused

[defaults]
retry = {{ schedule = ["1s", "5s", "30s", "5m"] }}
"#
    )
}

fn endpoint_file(endpoint: &Endpoint, receiver: u16) -> String {
    let Endpoint { name, credentials, events, products } = endpoint;
    let (username, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    format!(
        r#"# One endpoint, named by its file. Save it and the running daemon follows.
events = {events}
products = {products}

[http]
url = "http://127.0.0.1:{receiver}/{name}"
auth = {{ basic = {{ username = "{username}", password = "{password}" }} }}
"#
    )
}

/// The receiver's port in files of an earlier run.
fn receiver_of(endpoints: &Path) -> Option<u16> {
    ENDPOINTS.iter().find_map(|endpoint| {
        let text = fs::read_to_string(endpoints.join(format!("{}.toml", endpoint.name))).ok()?;
        let table: toml::Table = text.parse().ok()?;
        let url = url::Url::parse(table.get("http")?.get("url")?.as_str()?).ok()?;
        (url.host_str() == Some("127.0.0.1")).then(|| url.port())?
    })
}

/// The usual ports where they are free. All sockets are held until each port is chosen, so that no two are the same.
fn choose(any_port: bool, receiver: Option<u16>, moved: &mut Vec<String>) -> Result<Ports, Failure> {
    let mut held = Vec::new();
    let mut port = |what: &str, usual: u16| -> Result<u16, Failure> {
        let usual_socket = if any_port { None } else { bind(usual).ok() };
        let taken = usual_socket.is_none() && !any_port;
        let (socket, port) = match usual_socket {
            Some(bound) => bound,
            None => bind(0).map_err(|error| Failure::failed(format!("no free port: {error}")))?,
        };
        held.push(socket);
        if taken {
            moved.push(format!("{what}: port {usual} is taken, so {port} it is"));
        }
        Ok(port)
    };
    let (ingress, admin) = (port("ingress", 8080)?, port("admin", 8081)?);
    let receiver = match receiver {
        Some(kept) => kept,
        None => port("receiver", 9900)?,
    };
    Ok(Ports { ingress, admin, receiver })
}

fn bind(port: u16) -> std::io::Result<(TcpListener, u16)> {
    let socket = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

/// Whether the file is new.
fn write_new(path: &Path, text: &str) -> Result<bool, Failure> {
    match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true).map_err(|error| failed(path, &error)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(path, &error)),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot write {}: {error}", path.display()))
        .hint("Name another folder with --dir.")
}
