mod conform;
mod connections;
mod credentials;
mod kit;
mod publishes;
pub(crate) mod server;
mod settings;
