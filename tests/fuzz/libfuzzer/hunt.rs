//! The functions of `tests/fuzz` under libFuzzer; `POSTRIDER_FUZZ` names the one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postrider::fuzz;
use std::sync::LazyLock;

static CHECK: LazyLock<fn(&[u8])> = LazyLock::new(|| match std::env::var("POSTRIDER_FUZZ").as_deref() {
    Ok("envelope") => fuzz::envelope,
    Ok("cloud-events") => fuzz::cloud_events,
    Ok("daemon-file") => fuzz::daemon_file,
    Ok("endpoint-file") => fuzz::endpoint_file,
    Ok("address") => fuzz::address,
    Ok("records") => fuzz::records,
    Ok("filter") => fuzz::filter,
    Ok("url") => postrider_sink_http::fuzz::url,
    Ok("retry-after") => postrider_sink_http::fuzz::retry_after,
    Ok("plugin-lines") => postrider_sink_exec::fuzz::plugin_lines,
    other => panic!("POSTRIDER_FUZZ names no function: {other:?}"),
});

fuzz_target!(
    init: {
        // The daemon catches some panics on purpose; those that it does not catch end the run all the same.
        std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    },
    |input: &[u8]| CHECK(input)
);
