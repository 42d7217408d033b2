//! The sink against real receivers on loopback, and against streams in memory where timing is what is tested.

mod answers;
mod auth;
mod conform;
mod kit;
mod pool;
mod proxy;
mod settings;
mod tls;
mod wire;
