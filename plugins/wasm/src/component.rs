use crate::imports;
use crate::line::line;
use crate::state::State;
use crate::wasi;
use crate::wit::SinkPre;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Linker};
use wasmtime::{Engine, Error};

const FORM: &str = "Name a component of the world sink in postrider:sink@1.0.0: postrider plugins new NAME --lang wasm \
                    writes one, and the script that builds it.";

/// A component that was compiled, with everything it imports.
pub(crate) struct Program {
    pub(crate) pre: SinkPre<State>,
    /// The function that checks settings, where it exports one.
    pub(crate) check: Option<ComponentExportIndex>,
}

/// Why a component cannot be used.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

impl Refused {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: FORM }
    }
}

impl Program {
    pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Self, Refused> {
        // The second half of the first eight bytes tells a component from a module and from text.
        match bytes.get(..8) {
            Some([0, b'a', b's', b'm', _, _, 1, 0]) => {}
            Some([0, b'a', b's', b'm', ..]) => {
                return Err(Refused::new("it is a module of WebAssembly, and not a component"));
            }
            _ => return Err(Refused::new("it is not WebAssembly")),
        }
        let component = Component::from_binary(engine, bytes).map_err(|error| {
            Refused::new(format!("it is not a component that can be loaded: {}", why(&error)))
        })?;
        let misfit =
            |error: Error| Refused::new(format!("it does not fit postrider:sink@1.0.0: {}", why(&error)));
        let mut linker = Linker::new(engine);
        imports::define(&mut linker).map_err(misfit)?;
        let (wanted, mut foreign) = (component.component_type(), Vec::new());
        for (name, import) in wanted.imports(engine) {
            match import.ty {
                ComponentItem::ComponentInstance(instance) if name.starts_with("wasi:") => {
                    wasi::define(&mut linker, name, &instance, engine).map_err(misfit)?;
                }
                _ if name.starts_with("postrider:sink/") => {}
                _ => foreign.push(name.to_owned()),
            }
        }
        if !foreign.is_empty() {
            return Err(Refused::new(format!("it imports what is not there: {}", line(&foreign.join(", ")))));
        }
        let pre = linker.instantiate_pre(&component).and_then(SinkPre::new).map_err(misfit)?;
        let check = component
            .get_export_index(None, "postrider:sink/check@1.0.0")
            .and_then(|instance| component.get_export_index(Some(&instance), "check"));
        Ok(Self { pre, check })
    }
}

/// What is at the bottom of an error, in one line.
pub(crate) fn why(error: &Error) -> String {
    line(&format!("{error:#}"))
}
