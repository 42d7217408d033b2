//! What is printed: never a panic when nobody reads on, colour only for a terminal.

use super::exit::{Exit, Failure};
use std::io::{ErrorKind, IsTerminal as _, Write as _};

/// Prints a line of data and makes sure it is out.
pub(super) fn line(text: &str) -> Result<(), Failure> {
    write(&format!("{text}\n"))
}

/// Prints data as it is.
pub(super) fn text(text: &str) -> Result<(), Failure> {
    write(text)
}

/// Prints one JSON value as a line.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::failed(error.to_string()))?;
    line(&text)
}

/// Says something to the person, on stderr.
pub(super) fn say(text: &str) {
    // With stderr gone there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        // `postrider status | head` is no failure; whoever stopped reading has what they wanted.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::said(Exit::Done)),
        Err(error) => Err(Failure::failed(format!("cannot write to stdout: {error}"))),
    }
}

/// Whether the person asked for no colour, see no-color.org.
pub(super) fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style(bool);

impl Style {
    /// For stdout, as it is.
    pub(super) fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && !no_colour())
    }

    /// Whether it colours.
    pub(super) const fn is_on(self) -> bool {
        self.0
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What came over the wire must neither steer the terminal nor begin a line of its own.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Columns as wide as their widest cell; the last is left ragged. Cells are plain text: pad first, colour after.
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let pad = |(cell, width): (&String, &usize)| format!("{cell:<width$}");
    rows.iter()
        .map(|row| row.iter().zip(&widths).map(pad).collect::<Vec<_>>().join("  ").trim_end().to_owned())
        .collect()
}

/// `12:03:41`, UTC.
pub(super) fn clock_time(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// `41m`, `2h 5m`: the two largest units at most.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `12.3 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scale = 1_u64;
    let mut unit = "B";
    for next in units {
        unit = next;
        if bytes / scale < 1024 || next == "TiB" {
            break;
        }
        scale *= 1024;
    }
    let (whole, tenth) = (bytes / scale, bytes % scale * 10 / scale);
    if tenth == 0 { format!("{whole} {unit}") } else { format!("{whole}.{tenth} {unit}") }
}
