//! `tls = { cert, key }` of a listener: two files in PEM form, read with the daemon's file, so that a bad pair is an
//! error of that file and what runs keeps running; and watched like secrets.

use super::secrets::Resolver;
use super::section::Section;
use super::source::Span;
use crate::net::ServerTls;
use std::sync::Arc;

/// What a listener proves itself with, if it shall.
pub(super) fn tls(listener: &mut Section<'_>, resolver: &mut Resolver<'_>) -> Option<Arc<ServerTls>> {
    let mut table = listener.table("tls")?;
    let certificates = pem(&mut table, resolver, "cert", "\"tls/chain.pem\"");
    let key = pem(&mut table, resolver, "key", "\"tls/key.pem\"");
    let problems = table.problems();
    table.finish();
    let (certificates, key) = (certificates?, key?);
    match ServerTls::from_pem(&certificates.bytes, &key.bytes) {
        Ok(tls) => Some(Arc::new(tls)),
        Err(fault) => {
            let file = if fault.is_of_key() { key } else { certificates };
            let help = "cert names the chain, the listener's own certificate first; key names its private key. \
                        Where both are replaced, the pair counts once both are there.";
            problems.add(problems.error(file.span, format!("{} {fault}", file.name)).help(help));
            None
        }
    }
}

struct Pem<'a> {
    name: &'a str,
    span: Span,
    bytes: Vec<u8>,
}

fn pem<'a>(
    table: &mut Section<'a>,
    resolver: &mut Resolver<'_>,
    key: &'static str,
    example: &str,
) -> Option<Pem<'a>> {
    if table.entry(key).is_none() {
        table.missing(
            format!("tls needs {key}"),
            format!("For example {key} = {example}, a file in PEM form."),
        );
    }
    let (name, span) = table.string(key)?;
    let problems = table.problems();
    // Written out where its file should be named: it must not be shown.
    if name.contains("-----BEGIN") || name.contains('\n') {
        let help = format!("Save it and name the file: {key} = {example}.");
        problems.add(problems.error(span, format!("{key} takes the name of a file")).help(help));
        return None;
    }
    match resolver.named(name) {
        Ok(bytes) => Some(Pem { name, span, bytes }),
        Err(why) => {
            let help = "Relative paths start at the daemon file's folder; the daemon's user must be able to read it.";
            problems.add(problems.error(span, format!("cannot read {name}: {why}")).help(help));
            None
        }
    }
}
