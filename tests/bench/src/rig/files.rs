use anyhow::Result;
use postrider_checker::event::account;
use postrider_checker::password;
use postrider_checker::verify::{Account, Subscription, write_subscriptions};
use std::net::SocketAddr;
use std::path::Path;

/// The endpoints of a daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Those that events are for.
    pub(crate) active: u64,
    /// Each of an account of its own, messages being for accounts in turn. Otherwise each wants every event.
    pub(crate) accounts: bool,
    /// Those beside them that want other events.
    pub(crate) idle: u64,
    /// Attempts at once of each.
    pub(crate) concurrency: usize,
    /// Subscribers refuse everything.
    pub(crate) down: bool,
}

impl Shape {
    /// One endpoint that wants everything, with as many attempts at once as the publisher has connections.
    pub(crate) const ONE: Self = Self { active: 1, accounts: false, idle: 0, concurrency: 64, down: false };

    /// The name of an active endpoint.
    pub(crate) fn name(&self, number: u64) -> String {
        if self.active == 1 { "bench".to_owned() } else { format!("bench-{number}") }
    }

    /// How many accounts messages are for.
    pub(crate) fn of_accounts(&self) -> Option<u64> {
        self.accounts.then_some(self.active)
    }

    /// Says who subscribes to what.
    pub(super) fn subscribe(&self, dir: &Path) -> Result<()> {
        let subscription = |number| Subscription {
            account: self.of_accounts().map(|of| Account { number, of }),
            ..Subscription::all(&self.name(number))
        };
        write_subscriptions(dir, &(0..self.active).map(subscription).collect::<Vec<_>>())?;
        Ok(())
    }

    /// Writes the configuration of a daemon.
    pub(super) fn configure(&self, dir: &Path, subscriber: SocketAddr) -> Result<()> {
        // A backlog that is waited for on purpose may grow.
        std::fs::write(
            dir.join("postrider.toml"),
            "version = 1\n[ingress]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [network]\nallow = [\"127.0.0.0/8\"]\n[spool]\nmax_bytes = \"64 GiB\"\nbacklog = \"64 GiB\"\n",
        )?;
        let folder = dir.join("endpoints");
        std::fs::create_dir(&folder)?;
        for number in 0..self.active {
            let name = self.name(number);
            let mut keys = format!("concurrency = {}\n", self.concurrency);
            if self.accounts {
                keys.push_str(&format!("account = \"{}\"\n", account(number)));
            }
            let text = endpoint_file(&name, subscriber, "\"all\"", &keys);
            std::fs::write(folder.join(format!("{name}.toml")), text)?;
        }
        for number in 0..self.idle {
            let name = idle_name(number);
            let keys = format!("account = \"{name}\"\n");
            let text = endpoint_file(&name, subscriber, "[\"sent\"]", &keys);
            std::fs::write(folder.join(format!("{name}.toml")), text)?;
        }
        Ok(())
    }
}

/// The name of an idle endpoint, and of its account.
pub(crate) fn idle_name(number: u64) -> String {
    format!("idle-{number}")
}

/// The text of an endpoint's file.
pub(crate) fn endpoint_file(name: &str, subscriber: SocketAddr, events: &str, keys: &str) -> String {
    format!(
        "events = {events}\nproducts = \"all\"\n{keys}[http]\nurl = \"http://{subscriber}/{name}\"\n\
         auth = {{ basic = {{ username = \"{name}\", password = \"{}\" }} }}\n",
        password(name)
    )
}
