//! Components made from JavaScript (`tests/wasm/behave.js`), against receivers on loopback.

mod conform;
mod kit;
mod misbehave;
mod refuse;
mod settings;
mod speed;
