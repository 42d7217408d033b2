//! What components of most languages ask for without meaning to: clocks, random numbers and standard output, which goes
//! to the log. Whatever else of WASI is asked for is refused when it is called, by a trap that says so.

use crate::state::{Refusal, RefusalKind, State};
use crate::wit::log::Level;
use std::time::Duration;
use wasmtime::component::types::{ComponentInstance, ComponentItem};
use wasmtime::component::{Linker, Resource, ResourceAny, ResourceType, Val};
use wasmtime::{AsContextMut as _, Engine, Error, Result, StoreContextMut, bail, format_err};

/// The most random bytes at once.
const RANDOM: u64 = 64 * 1024;
/// The most bytes that are taken of standard output at once.
const OUTPUT: u64 = 4096;

/// Standard output or error.
struct Output;
/// What nobody ever gets.
struct Nothing;

/// What is done when a function is called.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Wall,
    Monotonic,
    Resolution,
    Bytes,
    Number,
    Pair,
    Output,
    Room,
    Write,
    Flush,
    NoTerminal,
    /// Nothing, and noted: what reports a crash looks there too, and must get on with its report.
    NoEnvironment,
}

/// Answers everything that is imported from an interface of WASI.
pub(crate) fn define(
    linker: &mut Linker<State>,
    name: &str,
    interface: &ComponentInstance,
    engine: &Engine,
) -> Result<()> {
    let mut instance = linker.instance(name)?;
    let (bare, _) = name.split_once('@').unwrap_or((name, ""));
    for (member, item) in interface.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(_) => {
                let asked = answer(bare, member).ok_or_else(|| format!("{bare} {member}"));
                instance.func_new_async(member, move |mut store, _, params, results| {
                    let asked = asked.clone();
                    Box::new(async move {
                        let answer = asked.map_err(|called| refuse(store.as_context_mut(), &called))?;
                        give(answer, store.as_context_mut(), params, results)?;
                        // What was lent goes back before the call ends.
                        for param in params {
                            if let Val::Resource(lent) = param {
                                lent.resource_drop_async(&mut store).await?;
                            }
                        }
                        Ok(())
                    })
                })?;
            }
            ComponentItem::Resource(_) if member == "output-stream" => {
                instance.resource(member, ResourceType::host::<Output>(), |_, _| Ok(()))?;
            }
            ComponentItem::Resource(_) => {
                instance.resource(member, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn answer(interface: &str, function: &str) -> Option<Answer> {
    Some(match (interface, function) {
        ("wasi:clocks/wall-clock", "now") => Answer::Wall,
        ("wasi:clocks/monotonic-clock", "now") => Answer::Monotonic,
        ("wasi:clocks/monotonic-clock", "resolution") => Answer::Resolution,
        ("wasi:random/random", "get-random-bytes")
        | ("wasi:random/insecure", "get-insecure-random-bytes") => Answer::Bytes,
        ("wasi:random/random", "get-random-u64") | ("wasi:random/insecure", "get-insecure-random-u64") => {
            Answer::Number
        }
        ("wasi:random/insecure-seed", "insecure-seed") => Answer::Pair,
        ("wasi:cli/stdout", "get-stdout") | ("wasi:cli/stderr", "get-stderr") => Answer::Output,
        ("wasi:io/streams", "[method]output-stream.check-write") => Answer::Room,
        (
            "wasi:io/streams",
            "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush",
        ) => Answer::Write,
        ("wasi:io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => {
            Answer::Flush
        }
        ("wasi:cli/environment", "get-environment") => Answer::NoEnvironment,
        ("wasi:cli/terminal-stdin", "get-terminal-stdin")
        | ("wasi:cli/terminal-stdout", "get-terminal-stdout")
        | ("wasi:cli/terminal-stderr", "get-terminal-stderr") => Answer::NoTerminal,
        _ => return None,
    })
}

fn give(
    answer: Answer,
    mut store: StoreContextMut<'_, State>,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let state = store.data_mut();
    let value = match answer {
        Answer::Wall => {
            let now = state.shared.clock.as_ref().map_or(Duration::ZERO, |clock| clock.unix());
            Val::Record(vec![
                (String::from("seconds"), Val::U64(now.as_secs())),
                (String::from("nanoseconds"), Val::U32(now.subsec_nanos())),
            ])
        }
        Answer::Monotonic => Val::U64(u64::try_from(state.born.elapsed().as_nanos()).unwrap_or(u64::MAX)),
        Answer::Resolution => Val::U64(1),
        Answer::Bytes => {
            let wanted = match params {
                [Val::U64(wanted)] if *wanted <= RANDOM => *wanted,
                _ => bail!("it wanted more than {RANDOM} random bytes at once"),
            };
            Val::List((0..wanted).map(|_| Val::U8(rand::random())).collect())
        }
        Answer::Number => Val::U64(rand::random()),
        Answer::Pair => Val::Tuple(vec![Val::U64(rand::random()), Val::U64(rand::random())]),
        Answer::Output => {
            let output = Resource::<Output>::new_own(0);
            Val::Resource(ResourceAny::try_from_resource(output, &mut store)?)
        }
        Answer::Room => Val::Result(Ok(Some(Box::new(Val::U64(OUTPUT))))),
        Answer::Write => {
            if let [_, Val::List(bytes)] = params {
                let bytes: Vec<u8> =
                    bytes.iter().map(|byte| if let Val::U8(byte) = byte { *byte } else { b' ' }).collect();
                let lines = state.output.write(&bytes);
                lines.iter().for_each(|line| state.shared.log.say(Level::Info, line));
            }
            Val::Result(Ok(None))
        }
        Answer::Flush => Val::Result(Ok(None)),
        Answer::NoTerminal => Val::Option(None),
        Answer::NoEnvironment => {
            let reason = String::from(
                "wasi:cli/environment get-environment was refused: a component has no environment",
            );
            state.refused.get_or_insert(Refusal { reason, kind: RefusalKind::Empty });
            Val::List(Vec::new())
        }
    };
    *results.first_mut().ok_or_else(|| format_err!("a function of WASI that returns nothing"))? = value;
    Ok(())
}

fn refuse(mut store: StoreContextMut<'_, State>, called: &str) -> Error {
    let what = match called.split('/').next() {
        Some("wasi:filesystem") => "a component has no files",
        Some("wasi:sockets" | "wasi:http") => {
            "a component reaches the network through postrider:sink/http alone"
        }
        _ => "a component does not have it",
    };
    let reason = format!("{called} was refused: {what}");
    store.data_mut().refused = Some(Refusal { reason: reason.clone(), kind: RefusalKind::Denied });
    format_err!("{reason}")
}
