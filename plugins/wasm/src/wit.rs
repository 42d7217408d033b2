//! What `wit/sink.wit` says, as types.

use wasmtime::component::{ComponentType, Lift};

wasmtime::component::bindgen!({
    path: "wit",
    world: "sink",
    imports: {
        "postrider:sink/http.send": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});

use self::postrider as generated;
pub(crate) use generated::sink::{clock, config, http, log, types};

/// `problem` of the interface `check`, which a component need not export.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Problem {
    pub(crate) path: Vec<String>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}
