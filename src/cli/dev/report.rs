use super::super::out::Style;
use super::files::ENDPOINTS;
use super::tour::Tour;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// Where things are.
pub(super) struct Scene<'a> {
    pub(super) dir: &'a Path,
    pub(super) ingress: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) receiver: u16,
}

pub(super) fn addresses(scene: &Scene<'_>) -> String {
    let Scene { dir, ingress, admin, receiver } = scene;
    format!(
        "
  ingress    http://{ingress}/v1/events
  page       http://{admin}/
  status     http://{admin}/api/v1/status
  metrics    http://{admin}/metrics
  receiver   http://127.0.0.1:{receiver}, a password for each path
  endpoints  {}

",
        dir.join("endpoints").display()
    )
}

/// One row an event, one column an endpoint.
pub(super) fn table(tour: &Tour, style: Style) -> String {
    let mut paths: BTreeSet<&str> =
        tour.events.iter().flat_map(|sent| sent.arrived.keys()).map(|p| &**p).collect();
    let own: Vec<String> = ENDPOINTS.iter().map(|endpoint| format!("/{}", endpoint.name)).collect();
    paths.extend(own.iter().map(String::as_str));
    let mut out = String::new();
    let mut head = format!("  {:<11}{:<16}", "event", "product");
    for path in &paths {
        let _ = write!(head, "{:<17}", path.trim_start_matches('/'));
    }
    let _ = writeln!(out, "{}", style.bold(head.trim_end()));
    for sent in &tour.events {
        let _ = write!(out, "  {:<11}{:<16}", sent.event, sent.product);
        for path in &paths {
            let cell = match sent.arrived.get(*path) {
                Some(ms) => style.green(&format!("{:<17}", format!("arrived, {ms} ms"))),
                None => style.dim(&format!("{:<17}", "-")),
            };
            out.push_str(&cell);
        }
        // Colour codes end behind the padding, so only a plain row can be cut.
        let kept = out.trim_end_matches(' ').len();
        out.truncate(kept);
        out.push('\n');
    }
    let (events, arrived, promised) = (tour.events.len(), tour.arrived(), tour.promised());
    let possible = events * ENDPOINTS.len();
    let filtered = possible.saturating_sub(usize::try_from(promised).unwrap_or(usize::MAX));
    let _ = if tour.is_complete() {
        let words = format!("{arrived} of {promised} deliveries arrived");
        writeln!(out, "\n  {events} events sent, {}, {filtered} filtered out", style.green(&words))
    } else {
        let words = format!("only {arrived} of {promised} deliveries arrived here");
        writeln!(out, "\n  {events} events sent, {}: see `postrider status`", style.red(&words))
    };
    out
}

pub(super) fn hints(scene: &Scene<'_>) -> String {
    let ingress = match scene.ingress.port() {
        8080 => String::new(),
        _ => format!(" --ingress http://{}", scene.ingress),
    };
    let admin = match scene.admin.port() {
        8081 => String::new(),
        _ => format!(" --admin http://{}", scene.admin),
    };
    let file = scene.dir.join("endpoints").join("crm-failures.toml");
    format!(
        "
  It runs, and prints what arrives from now on. In another terminal:
    postrider send --event failed --product crm{ingress}
    postrider status{admin}
  Then change events in {} to \"all\" and send a read event: it follows by itself.
  Ctrl-C stops.

",
        file.display()
    )
}
