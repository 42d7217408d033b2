use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// An endpoint's file.
#[derive(Debug, Clone)]
pub(crate) struct EndpointFile {
    name: String,
    keys: String,
    http: String,
    events: String,
    products: String,
    url: String,
    password: String,
}

impl EndpointFile {
    /// Everything, with the name as the user and the password the checker expects.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            keys: String::new(),
            http: String::new(),
            events: "\"all\"".to_owned(),
            products: "\"all\"".to_owned(),
            url: String::new(),
            password: postrider_checker::password(name),
        }
    }

    pub(crate) fn url(&mut self, url: impl Into<String>) -> &mut Self {
        self.url = url.into();
        self
    }

    pub(crate) fn events(&mut self, names: &[&str]) -> &mut Self {
        self.events = format!("{names:?}");
        self
    }

    pub(crate) fn products(&mut self, names: &[&str]) -> &mut Self {
        self.products = format!("{names:?}");
        self
    }

    /// Waits between attempts, without jitter.
    pub(crate) fn retry(&mut self, schedule: &[&str]) -> &mut Self {
        self.key(&format!("retry = {{ schedule = {schedule:?}, jitter = 0.0 }}"))
    }

    /// A breaker that opens at nothing a test does.
    pub(crate) fn no_breaker(&mut self) -> &mut Self {
        self.key("breaker = { failures = 1000000, ratio = 1.0, min_attempts = 1000000 }")
    }

    /// A line at the file's top level.
    pub(crate) fn key(&mut self, line: &str) -> &mut Self {
        let _ = writeln!(self.keys, "{line}");
        self
    }

    /// A line in its table `[http]`.
    pub(crate) fn http(&mut self, line: &str) -> &mut Self {
        let _ = writeln!(self.http, "{line}");
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        format!(
            "events = {}\nproducts = {}\n{}\n[http]\nurl = \"{}\"\nauth = {{ basic = {{ username = \"{}\", password = \"{}\" }} }}\n{}",
            self.events, self.products, self.keys, self.url, self.name, self.password, self.http
        )
    }
}

/// How a file comes to have another content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As editors do: a new file is renamed over it.
    Rename,
    /// Truncated and written again.
    InPlace,
    /// As mounted volumes do: the file is a link into `..data`, itself a link that is swapped.
    DataSwap,
    /// Deleted, and made again.
    Recreate,
}

/// Writes files into the endpoints folder.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: PathBuf,
    swaps: u64,
}

impl Writer {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), swaps: 0 }
    }

    pub(crate) fn write(&mut self, way: Way, name: &str, text: &str) {
        let path = self.folder.join(format!("{name}.toml"));
        match way {
            Way::Rename => {
                let unfinished = self.folder.join(format!(".{name}.toml.swp"));
                fs::write(&unfinished, text).expect("written");
                fs::rename(unfinished, path).expect("renamed");
            }
            Way::InPlace => fs::write(path, text).expect("written"),
            Way::Recreate => {
                fs::remove_file(&path).expect("deleted");
                fs::write(path, text).expect("written");
            }
            Way::DataSwap => self.swap(name, text, &path),
        }
    }

    fn swap(&mut self, name: &str, text: &str, path: &Path) {
        self.swaps += 1;
        let old = self.folder.join(format!("..version-{}", self.swaps - 1));
        let new = self.folder.join(format!("..version-{}", self.swaps));
        fs::create_dir(&new).expect("a folder");
        fs::write(new.join(format!("{name}.toml")), text).expect("written");
        let unfinished = self.folder.join("..data_tmp");
        symlink(new.file_name().expect("a name"), &unfinished).expect("a link");
        fs::rename(unfinished, self.folder.join("..data")).expect("swapped");
        if !path.is_symlink() {
            let link = self.folder.join("..link_tmp");
            symlink(format!("..data/{name}.toml"), &link).expect("a link");
            fs::rename(link, path).expect("renamed");
        }
        let _ = fs::remove_dir_all(old);
    }
}
