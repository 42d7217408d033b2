//! The daemon's configuration, as files.

use crate::plan::{Endpoint, Plan};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of the daemon's files and of its spool.
pub(crate) struct Files {
    folder: PathBuf,
}

/// The name of the endpoint, of its host and of its user.
pub(crate) fn name(endpoint: usize) -> String {
    format!("r{endpoint}")
}

impl Files {
    /// Writes everything for the first time.
    pub(crate) fn write(folder: &Path, plan: &Plan) -> io::Result<Self> {
        let files = Self { folder: folder.to_owned() };
        fs::create_dir_all(folder.join("endpoints"))?;
        fs::write(
            files.root(),
            "version = 1\n[ingress]\nlisten = \"127.0.0.1:8080\"\n[admin]\nlisten = \"127.0.0.1:8081\"\n\
             [network]\nallow = [\"192.168.0.0/16\"]\n[reload]\nremoved_grace = \"2d\"\n",
        )?;
        for (number, endpoint) in plan.endpoints.iter().enumerate() {
            files.endpoint(number, endpoint, endpoint.concurrency, false)?;
        }
        Ok(files)
    }

    /// The daemon's own file.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("postrider.toml")
    }

    /// Removes an endpoint's file, if it is there.
    pub(crate) fn remove(&self, number: usize) -> io::Result<()> {
        match fs::remove_file(self.path(number)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join("endpoints").join(format!("{}.toml", name(number)))
    }

    /// Writes an endpoint's file.
    pub(crate) fn endpoint(
        &self,
        number: usize,
        endpoint: &Endpoint,
        concurrency: u64,
        paused: bool,
    ) -> io::Result<()> {
        let name = name(number);
        let mut text = String::new();
        if endpoint.events.is_empty() {
            text.push_str("events = \"all\"\n");
        } else {
            let _ = writeln!(text, "events = {:?}", endpoint.events);
        }
        let state = if paused { "paused" } else { "active" };
        let schedule: Vec<String> =
            [1, 2, 4].into_iter().chain([8; 60]).map(|s| format!("\"{s}s\"")).collect();
        let _ = write!(
            text,
            "products = \"all\"\nstate = \"{state}\"\nordering = \"{}\"\nconcurrency = {concurrency}\ntimeout = \"5s\"\n\
             connect_timeout = \"2s\"\nretry = {{ schedule = [{}] }}\nbreaker = {{ open = \"2s\", max_open = \"8s\" }}\n\
             [http]\nurl = \"http://{name}.test/{name}\"\n\
             auth = {{ basic = {{ username = \"{name}\", password = \"{}\" }} }}\n",
            endpoint.ordering,
            schedule.join(", "),
            postrider_checker::password(&name),
        );
        fs::write(self.path(number), text)
    }
}
