//! The daemon's file, `postrider.toml`: all or nothing.

use super::access;
use super::daemon::{
    AdminConfig, DaemonConfig, IngressConfig, LimitsConfig, ReloadConfig, ShutdownConfig, SpoolConfig,
};
use super::delivery::delivery;
use super::error::ConfigError;
use super::secrets::{Resolver, SecretSource};
use super::section::{NAME, Section};
use super::source::{Problems, Span};
use super::tls::tls;
use super::tree::{self, Item, Node};
use crate::ids::{EVERY_ACCOUNT, is_name};
use crate::net::NetworkPolicy;
use crate::policy::DeliverySettings;
use crate::table::Catalogue;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const TIB: u64 = MIB * MIB;
const NEVER: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
const DECADE: Duration = Duration::from_secs(3650 * 86_400);

/// A daemon file that was read.
pub struct DaemonFile {
    /// What it says, as far as it could be understood; none where it is not TOML. In force only without errors.
    pub config: Option<DaemonConfig>,
    /// Everything that is wrong with it.
    pub errors: Vec<ConfigError>,
    /// The secret files it names.
    pub secret_files: Vec<PathBuf>,
    pub(super) root: Option<Node>,
    /// The file, as it was named.
    pub file: Arc<str>,
    pub(super) text: Arc<str>,
}

impl DaemonFile {
    /// Reads the text of a daemon file. Relative paths start at `base`.
    pub(crate) fn read(file: Arc<str>, text: Arc<str>, base: &Path, secrets: &dyn SecretSource) -> Self {
        let problems = Problems::new(file.clone(), text.clone());
        let mut resolver = Resolver::new(secrets, base);
        let root = tree::parse(&text, &problems);
        let config = root.as_ref().map(|root| compile(root, base, &problems, &mut resolver));
        Self { config, errors: problems.take(), secret_files: resolver.files, root, file, text }
    }

    /// A daemon file that could not even be read.
    pub(super) fn unreadable(file: Arc<str>, error: ConfigError) -> Self {
        let (config, root, secret_files) = (None, None, Vec::new());
        Self { config, errors: vec![error], secret_files, root, file, text: Arc::from("") }
    }

    /// The configuration, if nothing is wrong with it.
    #[must_use]
    pub fn valid(&self) -> Option<&DaemonConfig> {
        self.config.as_ref().filter(|_| self.errors.is_empty())
    }

    /// Whether nothing at all is written in it, as in a file that somebody has only begun to write.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Whether a key is written in the file.
    #[must_use]
    pub fn says(&self, path: &[&str]) -> bool {
        self.root.as_ref().is_some_and(|root| root.find(path).is_some())
    }

    /// An error about a key that the file says; about the file where it does not.
    #[must_use]
    pub fn error_at(&self, path: &[&str], message: &str) -> ConfigError {
        match self.root.as_ref().and_then(|root| root.find(path)) {
            Some(entry) => {
                Problems::new(self.file.clone(), self.text.clone()).error(entry.node.span.clone(), message)
            }
            None => ConfigError::about(&self.file, message),
        }
    }
}

pub(super) fn compile(
    root: &Node,
    base: &Path,
    problems: &Problems,
    resolver: &mut Resolver<'_>,
) -> DaemonConfig {
    let mut file = Section::root(root, problems);
    file.integer("version", 1, 1..=1);
    let (ingress, ingress_at) = ingress(&mut file, resolver);
    let (admin, admin_at) = admin(&mut file, resolver);
    if ingress.listen == admin.listen && ingress.listen.port() != 0 {
        let at = admin_at.or(ingress_at).unwrap_or(0..0);
        let error = problems.error(at, "ingress and admin listen at the same address");
        problems.add(error.help("Give one of them another port."));
    }
    let config = DaemonConfig {
        ingress,
        admin,
        spool: spool(&mut file, base),
        catalogue: catalogue(&mut file),
        network: network(&mut file),
        limits: limits(&mut file),
        reload: reload(&mut file),
        shutdown: shutdown(&mut file),
        defaults: defaults(&mut file),
    };
    file.finish();
    config
}

fn ingress(file: &mut Section<'_>, resolver: &mut Resolver<'_>) -> (IngressConfig, Option<Span>) {
    let defaults = IngressConfig::at(loopback(8080));
    let Some(mut table) = file.table("ingress") else { return (defaults, None) };
    let (listen, at) = listen(&mut table, defaults.listen);
    let max_batch = table.integer("max_batch", 1000, 1..=100_000);
    let config = IngressConfig {
        listen,
        tls: tls(&mut table, resolver),
        max_body: table.size("max_body", defaults.max_body, KIB..=64 * MIB),
        max_batch: usize::try_from(max_batch).unwrap_or(defaults.max_batch),
        dedup_window: table.duration("dedup_window", defaults.dedup_window, SECOND..=MONTH),
        dedup_max: table.integer("dedup_max", defaults.dedup_max, 1..=1_000_000_000),
        publishers: access::publishers(&mut table, resolver),
    };
    if names_nobody(&mut table, "publisher") {
        let what = "without a publisher, the ingress may only listen on loopback";
        only_loopback(&table, listen, at.as_ref(), what, "[[ingress.publisher]]");
    }
    table.finish();
    (config, at)
}

fn admin(file: &mut Section<'_>, resolver: &mut Resolver<'_>) -> (AdminConfig, Option<Span>) {
    let default = loopback(8081);
    let Some(mut table) = file.table("admin") else {
        return (AdminConfig::at(default), None);
    };
    let (listen, at) = listen(&mut table, default);
    let config = AdminConfig {
        listen,
        tls: tls(&mut table, resolver),
        logins: access::logins(&mut table, resolver),
        hosts: hosts(&mut table),
        metrics_public: table.boolean("metrics_public").is_some_and(|(public, _)| public),
    };
    if names_nobody(&mut table, "login") {
        let what = "without a login, the admin listener may only listen on loopback";
        only_loopback(&table, listen, at.as_ref(), what, "[[admin.login]]");
    }
    table.finish();
    (config, at)
}

fn hosts(table: &mut Section<'_>) -> Vec<Arc<str>> {
    let texts = table.strings("hosts").unwrap_or_default();
    let (names, wrong): (Vec<_>, Vec<_>) = texts.into_iter().partition(|(text, _)| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    });
    for (_, span) in wrong {
        let error = table.problems().error(span, "not a host name");
        table.problems().add(error.help("Write the name alone, for example \"postrider.example.com\"."));
    }
    names.into_iter().map(|(text, _)| Arc::from(text)).collect()
}

fn listen(table: &mut Section<'_>, default: SocketAddr) -> (SocketAddr, Option<Span>) {
    let Some((text, span)) = table.string("listen") else { return (default, None) };
    let address = text.parse().unwrap_or_else(|_| {
        let error = table.problems().error(span.clone(), "not an address and a port");
        let help = "Write for example \"127.0.0.1:8080\", \"[::1]:8080\" or \"0.0.0.0:8080\".";
        table.problems().add(error.help(help));
        default
    });
    (address, Some(span))
}

/// Whether nobody at all stands in a list; somebody who stands there wrongly is an error of its own.
fn names_nobody(table: &mut Section<'_>, key: &'static str) -> bool {
    table.entry(key).is_none_or(|entry| matches!(&entry.node.item, Item::Array(people) if people.is_empty()))
}

fn only_loopback(table: &Section<'_>, listen: SocketAddr, at: Option<&Span>, what: &str, key: &str) {
    if !listen.ip().to_canonical().is_loopback() {
        let help = format!("Add a {key}, or listen on \"127.0.0.1:{}\".", listen.port());
        let error = table.problems().error(at.cloned().unwrap_or_else(|| table.span()), what);
        table.problems().add(error.help(help));
    }
}

fn spool(file: &mut Section<'_>, base: &Path) -> SpoolConfig {
    let defaults = SpoolConfig::at(base.join("data"));
    let Some(mut table) = file.table("spool") else { return defaults };
    let path = table.string("path").map_or(defaults.path, |(text, span)| {
        if text.is_empty() {
            table.problems().at(span, "the path is empty");
        }
        base.join(text)
    });
    let config = SpoolConfig {
        path,
        max_bytes: table.size("max_bytes", defaults.max_bytes, KIB..=1024 * TIB),
        backlog: table.size("backlog", defaults.backlog, KIB..=1024 * TIB),
        keep_delivered: table.duration("keep_delivered", defaults.keep_delivered, NEVER..=DECADE),
        history_bytes: table.size("history_bytes", defaults.history_bytes, 0..=1024 * TIB),
        keep_dead: table.duration("keep_dead", defaults.keep_dead, NEVER..=DECADE),
        dead_bytes: table.size("dead_bytes", defaults.dead_bytes, 0..=1024 * TIB),
    };
    table.finish();
    config
}

fn catalogue(file: &mut Section<'_>) -> Catalogue {
    let defaults = Catalogue::default();
    let Some(mut table) = file.table("catalogue") else { return defaults };
    let config = Catalogue {
        events: catalogue_names(&mut table, "events", defaults.events),
        products: catalogue_names(&mut table, "products", defaults.products),
        accounts_required: table.choice("accounts", &[("optional", false), ("required", true)]) == Some(true),
    };
    table.finish();
    config
}

fn catalogue_names(table: &mut Section<'_>, key: &'static str, default: Vec<Arc<str>>) -> Vec<Arc<str>> {
    let Some(texts) = table.strings(key) else { return default };
    let problems = table.problems();
    if texts.is_empty() {
        table.missing(format!("{key} is empty"), "Name at least one.");
    }
    let mut names: Vec<Arc<str>> = Vec::new();
    for (text, span) in texts {
        if text == "all" || text == EVERY_ACCOUNT {
            let help = "An endpoint that wants all of them says so itself. Name each one here.";
            problems.add(problems.error(span, format!("{text:?} cannot be a name here")).help(help));
        } else if !is_name(text) {
            problems.add(problems.error(span, "not a name").help(NAME));
        } else if names.iter().any(|name| name.as_ref() == text) {
            problems.at(span, format!("{text:?} stands here twice"));
        } else {
            names.push(Arc::from(text));
        }
    }
    names
}

fn network(file: &mut Section<'_>) -> NetworkPolicy {
    let mut policy = NetworkPolicy::default();
    let Some(mut table) = file.table("network") else { return policy };
    let ranges = table.strings("allow").unwrap_or_default();
    policy.allow.extend(ranges.into_iter().filter_map(|range| cidr(range, table.problems())));
    for mut exception in table.tables("exception") {
        let endpoint = exception.name("endpoint");
        let range = exception.string("cidr");
        if exception.entry("endpoint").is_none() || exception.entry("cidr").is_none() {
            exception.missing(
                "an exception needs endpoint and cidr",
                "endpoint = \"acme\", cidr = \"10.1.0.0/16\".",
            );
        }
        let range = range.and_then(|range| cidr(range, exception.problems()));
        policy.exceptions.extend(endpoint.map(|(name, _)| name).zip(range));
        exception.finish();
    }
    table.finish();
    policy
}

fn cidr((text, span): (&str, Span), problems: &Problems) -> Option<IpNet> {
    let range = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    if range.is_none() {
        let help = "Write for example \"10.1.0.0/16\", \"fd00::/8\" or \"127.0.0.1\".";
        problems.add(problems.error(span, "not a range of addresses").help(help));
    }
    range
}

fn limits(file: &mut Section<'_>) -> LimitsConfig {
    let defaults = LimitsConfig::default();
    let Some(mut table) = file.table("limits") else { return defaults };
    let most = u64::try_from(defaults.attempts).unwrap_or(u64::MAX);
    let attempts = table.integer("attempts", most, 1..=1_000_000);
    table.finish();
    LimitsConfig { attempts: usize::try_from(attempts).unwrap_or(defaults.attempts) }
}

fn reload(file: &mut Section<'_>) -> ReloadConfig {
    let defaults = ReloadConfig::default();
    let Some(mut table) = file.table("reload") else { return defaults };
    let removed_grace = table.duration("removed_grace", defaults.removed_grace, NEVER..=MONTH);
    table.finish();
    ReloadConfig { removed_grace }
}

fn shutdown(file: &mut Section<'_>) -> ShutdownConfig {
    let defaults = ShutdownConfig::default();
    let Some(mut table) = file.table("shutdown") else { return defaults };
    let grace = table.duration("grace", defaults.grace, NEVER..=HOUR);
    table.finish();
    ShutdownConfig { grace }
}

fn defaults(file: &mut Section<'_>) -> DeliverySettings {
    let built_in = DeliverySettings::default();
    let Some(mut table) = file.table("defaults") else { return built_in };
    let settings = delivery(&mut table, &built_in);
    table.finish();
    settings
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
