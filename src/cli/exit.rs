use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

/// What a command came to. Scripts depend on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// What was asked failed.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// No daemon answers.
    Unreachable = 4,
    /// Somebody else changed it meanwhile.
    Changed = 5,
    /// There is no such thing.
    NotFound = 6,
    /// The configuration is invalid (`EX_CONFIG` of sysexits.h).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what was asked: for people, on stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The exit code.
    pub(super) exit: Exit,
    /// What went wrong. Empty: it was said already.
    pub(super) message: String,
    /// What to do.
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The command has printed everything there is to say.
    pub(super) fn said(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An answer of the daemon that is no success; its problem document's words where it sent one.
    pub(super) fn answer(status: u16, body: &[u8]) -> Self {
        let exit = match status {
            // What the daemon cannot make sense of came from the arguments.
            400 => Exit::Usage,
            404 => Exit::NotFound,
            412 => Exit::Changed,
            _ => Exit::Failed,
        };
        let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let mut message = match problem.get("detail").and_then(serde_json::Value::as_str) {
            Some(detail) => format!("{detail} ({status})"),
            None => format!("the daemon answered {status}"),
        };
        for error in problem.get("errors").and_then(serde_json::Value::as_array).into_iter().flatten() {
            let word = |key| error.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            // Of one error alone the document says it all.
            if !message.contains(word("detail")) {
                message.push_str(&format!("\n  {} {}", word("pointer"), word("detail")));
            }
        }
        Self::new(exit, message)
    }

    pub(super) fn print(&self) {
        if self.message.is_empty() {
            return;
        }
        let mut stderr = std::io::stderr();
        let (red, plain) = if stderr.is_terminal() && !super::out::no_colour() {
            ("\x1b[1;31m", "\x1b[0m")
        } else {
            ("", "")
        };
        // With stderr gone there is nobody to tell.
        // Errors of files are rendered with that word in front already.
        let message = self.message.strip_prefix("error: ").unwrap_or(&self.message);
        let _ = writeln!(stderr, "{red}error:{plain} {message}");
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "{hint}");
        }
    }
}
