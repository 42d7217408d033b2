//! What cannot change while the daemon runs: where it listens, and where its store is.

use crate::config::{ConfigError, DaemonConfig, DaemonFile};
use std::net::SocketAddr;

const HELP: &str = "It applies at the next start.";

/// Puts back what cannot change. Each such change is an error by name; the rest of the file applies.
pub(super) fn keep(running: &DaemonConfig, next: &mut DaemonConfig, file: &DaemonFile) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let mut refuse = |path: [&str; 2], kept: &str| {
        let message = format!("{} cannot change while the daemon runs", path.join("."));
        let note = format!("it stays {kept}; the rest of the file applies");
        errors.push(file.error_at(&path, &message).help(HELP).note(note));
    };
    // A file that moves a listener to loopback may well name nobody any more; the listener is not there yet.
    let people = "as it was, because the listener is not on loopback";
    if next.ingress.listen != running.ingress.listen {
        refuse(["ingress", "listen"], &running.ingress.listen.to_string());
        next.ingress.listen = running.ingress.listen;
        if next.ingress.publishers.is_empty() && !is_loopback(running.ingress.listen) {
            refuse(["ingress", "publisher"], people);
            next.ingress.publishers.clone_from(&running.ingress.publishers);
        }
    }
    if next.admin.listen != running.admin.listen {
        refuse(["admin", "listen"], &running.admin.listen.to_string());
        next.admin.listen = running.admin.listen;
        if next.admin.logins.is_empty() && !is_loopback(running.admin.listen) {
            refuse(["admin", "login"], people);
            next.admin.logins.clone_from(&running.admin.logins);
        }
    }
    if next.spool.path != running.spool.path {
        refuse(["spool", "path"], &running.spool.path.to_string_lossy());
        next.spool.path.clone_from(&running.spool.path);
    }
    errors
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
