//! An endpoint's file. Each stands alone: what is wrong with one changes nothing for another.

use super::daemon::DaemonConfig;
use super::delivery::delivery;
use super::error::ConfigError;
use super::filter::{self, EndpointTest};
use super::secrets::{Resolver, SecretSource};
use super::section::Section;
use super::shared::Shared;
use super::sink_table;
use super::source::Problems;
use super::tree::{self, Entry, Item, Node};
use crate::ids::{EVERY_ACCOUNT, Identity};
use crate::policy::DeliverySettings;
use crate::sinks::Sinks;
use crate::table::{EndpointSpec, Filter, Lifecycle, Selection, SinkSpec};
use postrider_sink::Table;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an endpoint file is judged against.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The daemon's configuration: catalogue and defaults.
    pub daemon: &'a DaemonConfig,
    /// The kinds of sink.
    pub sinks: &'a Sinks,
    /// Where secrets come from.
    pub secrets: &'a dyn SecretSource,
    /// Where relative paths start.
    pub base: &'a Path,
    /// What other endpoints have in memory already.
    pub shared: &'a Shared,
}

/// What came of an endpoint file.
pub struct CompiledEndpoint {
    /// The endpoint, or everything that is wrong with its file.
    pub result: Result<EndpointSpec, Vec<ConfigError>>,
    /// What its sink's table says, secrets resolved, if that was found right.
    pub settings: Option<Table>,
    /// The secret files it names, and those of its sink, readable or not.
    pub secret_files: Vec<PathBuf>,
}

/// An endpoint file that was validated: everything but the sink's own table, which only its plugin can judge.
struct EndpointFile<'a> {
    lifecycle: Lifecycle,
    events: Selection,
    products: Selection,
    filter: Option<Arc<Filter>>,
    tests: Vec<EndpointTest>,
    account: Option<Arc<str>>,
    delivery: Arc<DeliverySettings>,
    sink: Option<&'a Entry>,
}

/// Compiles the text of an endpoint file. `file` is what errors call it.
#[must_use]
pub fn compile_endpoint(
    name: &Arc<str>,
    file: Arc<str>,
    text: &Arc<str>,
    context: Context<'_>,
) -> CompiledEndpoint {
    let problems = Problems::new(file, text.clone());
    let Some(root) = tree::parse(text, &problems) else {
        return CompiledEndpoint { result: Err(problems.take()), settings: None, secret_files: Vec::new() };
    };
    let valid = validate(&root, context, &problems);
    let draft = valid.lifecycle == Lifecycle::Draft;
    let mut resolver = Resolver::new(context.secrets, context.base).lenient(draft).sharing(context.shared);
    let sink = valid.sink.and_then(|entry| sink(entry, draft, context, &mut resolver, &problems));
    let (sink, settings) = sink.unzip();
    let mut errors = problems.take();
    let mut result = None;
    if errors.is_empty() {
        let spec = EndpointSpec {
            identity: Identity { name: name.clone(), account: valid.account },
            lifecycle: valid.lifecycle,
            events: valid.events,
            products: valid.products,
            filter: valid.filter,
            delivery: valid.delivery,
            sink,
        };
        filter::run(&valid.tests, &spec, &problems);
        errors = problems.take();
        result = Some(spec).filter(|_| errors.is_empty());
    }
    let result = result.ok_or(errors);
    CompiledEndpoint { result, settings, secret_files: resolver.files }
}

fn validate<'a>(root: &'a Node, context: Context<'_>, problems: &'a Problems) -> EndpointFile<'a> {
    let catalogue = &context.daemon.catalogue;
    let mut file = Section::root(root, problems);
    let states = [("active", Lifecycle::Active), ("draft", Lifecycle::Draft), ("paused", Lifecycle::Paused)];
    let lifecycle = file.choice("state", &states).unwrap_or_default();
    let draft = lifecycle == Lifecycle::Draft;
    let valid = EndpointFile {
        lifecycle,
        events: selection(&mut file, "events", &catalogue.events, draft, context.shared),
        products: selection(&mut file, "products", &catalogue.products, draft, context.shared),
        filter: filter::filter(&mut file),
        tests: filter::tests(&mut file, catalogue),
        account: account(&mut file, catalogue.accounts_required && !draft),
        delivery: context.shared.delivery(delivery(&mut file, &context.daemon.defaults)),
        sink: sink_entry(&mut file, context.sinks, draft),
    };
    let left_out = file.others().find_map(|entry| left_out(entry, context.sinks));
    if let Some(entry) = left_out.and_then(|kind| file.entry(kind)) {
        let kind = &entry.key;
        let error = problems.error(entry.key_span.clone(), format!("this binary was built without [{kind}]"));
        problems.add(error.help(format!("Build it with cargo build --release --features {kind}.")));
    }
    file.finish();
    valid
}

fn selection(
    file: &mut Section<'_>,
    key: &'static str,
    known: &[Arc<str>],
    draft: bool,
    shared: &Shared,
) -> Selection {
    let nothing = Selection::Some(Arc::default());
    let names: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    let help = format!("Write a list of names, or \"all\". Known: {}.", names.join(", "));
    let Some(entry) = file.entry(key) else {
        if !draft {
            file.missing(format!("{key} is missing"), help);
        }
        return nothing;
    };
    match &entry.node.item {
        Item::String(text) if text == "all" => return Selection::All,
        Item::Array(elements) if elements.is_empty() && !draft => {
            let error = file.problems().error(entry.node.span.clone(), format!("{key} is empty"));
            file.problems().add(error.help(help));
            return nothing;
        }
        Item::Array(_) => {}
        _ => return file.wrong(&entry.node, "a list of names, or \"all\"").unwrap_or(nothing),
    }
    let mut chosen: Vec<Arc<str>> = Vec::new();
    for (text, span) in file.strings(key).unwrap_or_default() {
        match known.iter().find(|name| name.as_ref() == text) {
            Some(name) if chosen.contains(name) => {
                file.problems().at(span, format!("{text:?} stands here twice"));
            }
            Some(name) => chosen.push(name.clone()),
            None if text == "all" || text == EVERY_ACCOUNT => {
                let error = file.problems().error(span, format!("{text:?} is not a name"));
                file.problems()
                    .add(error.help(format!("For all of them write {key} = \"all\", without a list.")));
            }
            None => {
                let one = key.strip_suffix('s').unwrap_or(key);
                file.unknown(span, &format!("unknown {one} {text:?}"), text, &names);
            }
        }
    }
    Selection::Some(shared.names(chosen))
}

fn account(file: &mut Section<'_>, required: bool) -> Option<Arc<str>> {
    let here = file.entry("account").is_some();
    let account = file.name("account").map(|(account, _)| account);
    if required && !here {
        let help = "[catalogue] says accounts = \"required\". Name one, or write account = \"*\" for all.";
        file.missing("account is missing", help);
    }
    account.filter(|account| account.as_ref() != EVERY_ACCOUNT)
}

/// The one table that is named after a sink.
fn sink_entry<'a>(file: &mut Section<'a>, sinks: &Sinks, draft: bool) -> Option<&'a Entry> {
    let mut entries: Vec<&Entry> = sinks.kinds().filter_map(|kind| file.entry(kind)).collect();
    entries.sort_by_key(|entry| entry.key_span.start);
    let found = entries.first().copied();
    for entry in entries.iter().skip(1) {
        let first = found.map_or("", |first| first.key.as_str());
        let message = format!("a second sink: [{first}] is there already");
        let error = file.problems().error(entry.key_span.clone(), message);
        file.problems().add(error.help("An endpoint has exactly one. Put the other into a file of its own."));
    }
    let other = file.others().any(|entry| left_out(entry, sinks).is_some());
    if found.is_none() && !draft && !other {
        let tables: Vec<String> = sinks.kinds().map(|kind| format!("[{kind}]")).collect();
        file.missing("the sink's table is missing", format!("Add one of {}.", tables.join(", ")));
    }
    found
}

/// The kind of sink that a key names and this binary does not have.
fn left_out(entry: &Entry, sinks: &Sinks) -> Option<&'static str> {
    sinks.left_out().find(|kind| entry.key == *kind && matches!(entry.node.item, Item::Table(_)))
}

/// Has the plugin check its table. A draft may leave things out, but what it says must be right.
fn sink(
    entry: &Entry,
    draft: bool,
    context: Context<'_>,
    resolver: &mut Resolver<'_>,
    problems: &Problems,
) -> Option<(SinkSpec, Table)> {
    let factory = context.sinks.get(&entry.key)?;
    let settings = sink_table::settings(entry, factory.files(), resolver, problems)?;
    match factory.check(&settings) {
        Ok(_) if !resolver.failed.is_empty() => None,
        Ok(plan) => Some((SinkSpec::checked(factory, &settings, plan), settings)),
        Err(errors) => {
            for error in errors {
                if !(draft && error.at == postrider_sink::At::Missing) {
                    sink_table::report(entry, &error, &resolver.failed, problems);
                }
            }
            None
        }
    }
}
