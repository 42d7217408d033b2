use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A proxy in front of a daemon, which it keeps connections to. It ends with this value.
pub(super) struct Proxy {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Proxy {
    pub(super) async fn nginx(daemon: SocketAddr) -> Self {
        Self::start("nginx", |at, folder| {
            format!(
                "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n\
                 http {{\n access_log off;\n client_body_temp_path {folder}/a;\n proxy_temp_path {folder}/b;\n \
                 fastcgi_temp_path {folder}/c;\n uwsgi_temp_path {folder}/d;\n scgi_temp_path {folder}/e;\n \
                 keepalive_timeout 1s;\n client_header_timeout 1s;\n client_body_timeout 1s;\n proxy_read_timeout 3s;\n \
                 lingering_close off;\n upstream daemon {{ server {daemon}; keepalive 8; }}\n \
                 server {{\n listen {at};\n ignore_invalid_headers off;\n location / {{ proxy_pass http://daemon; \
                 proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_request_buffering off; }}\n }}\n}}\n"
            )
        })
        .await
    }

    pub(super) async fn haproxy(daemon: SocketAddr) -> Self {
        Self::start("haproxy", |at, _folder| {
            format!(
                "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 3s\n \
                 timeout http-request 1s\n timeout http-keep-alive 1s\n http-reuse always\n\
                 frontend in\n bind {at}\n default_backend out\nbackend out\n server daemon {daemon}\n"
            )
        })
        .await
    }

    async fn start(name: &'static str, config: impl Fn(SocketAddr, &str) -> String) -> Self {
        let folder = TempDir::new().expect("a folder");
        // It cannot be told to take any port and say which: one that was free a moment ago is taken.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let file = folder.path().join("config");
        let path = folder.path().to_str().expect("UTF-8");
        fs::write(&file, config(address, path)).expect("written");
        let mut command = Command::new(name);
        match name {
            "nginx" => command.args(["-p", path, "-e", "stderr", "-c"]).arg(&file),
            _ => command.args(["-db", "-f"]).arg(&file),
        };
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = spawned.unwrap_or_else(|error| panic!("{name}: {error}; tests/run installs it"));
        let mut proxy = Self { address, child, _folder: folder };
        crate::support::until(Duration::from_secs(10), "the proxy listens", async || {
            let ended = proxy.child.try_wait().expect("its state");
            assert!(ended.is_none(), "{name} ended: {ended:?}");
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        proxy
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
