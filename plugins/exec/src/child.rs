use crate::settings::Settings;
use postrider_sink::HostContext;
use rustix::fs::{Access, access};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit, setpriority_process};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// How long a program may take to end after its standard input has, and again after SIGTERM.
const END: Duration = Duration::from_secs(1);

/// The priority of a program, see nice(1): one that runs wild takes what processors the daemon leaves, not the other way
/// round.
const NICE: i32 = 10;

/// Where programs are looked for without a `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The program, in a process group of its own that does not outlive this value.
pub(crate) struct Program {
    child: Child,
    group: Group,
}

/// Its standard streams.
pub(crate) struct Streams {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
}

struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Gone already: that is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Starts the program.
pub(crate) fn start(settings: &Settings, host: &HostContext) -> Result<(Program, Streams), String> {
    let dir = host.folder.join(&settings.dir);
    if !dir.is_dir() {
        return Err(format!("cannot start it in {}: no such folder", dir.display()));
    }
    let name = settings.command.first().map(String::as_str).unwrap_or_default();
    let program = find(name, &dir, settings)?;
    let mut command = Command::new(&program);
    command
        .args(settings.command.iter().skip(1))
        .current_dir(&dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for name in &settings.inherit {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for (name, value) in &settings.env {
        command.env(name, value.expose());
    }
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{} not found", program.display()),
        _ => format!("cannot start {}: {error}", program.display()),
    })?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let group = Group(pid);
    // The data segment and everything private that can be written to, threads' stacks included; unlike the address
    // space, which runtimes reserve by the gigabyte and do not use.
    let limit = Rlimit { current: Some(settings.memory), maximum: Some(settings.memory) };
    prlimit(pid, Resource::Data, limit).map_err(|error| format!("cannot limit its memory: {error}"))?;
    if let Err(error) = setpriority_process(pid, NICE) {
        tracing::debug!(%error, "the program keeps the daemon's own priority");
    }
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(String::from("its standard streams are missing"));
    };
    Ok((Program { child, group }, Streams { stdin, stdout, stderr }))
}

/// The file of a program. A name without a slash is looked for in the folders of the program's own `PATH`, as execvp(3)
/// does, but here: a process of which only the name is known is started by a copy of this one, which takes the daemon
/// milliseconds and slows it down for longer.
fn find(name: &str, dir: &Path, settings: &Settings) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(dir.join(name));
    }
    let own = settings.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.expose().into());
    let inherited = || settings.inherit.iter().any(|name| name == "PATH").then(|| std::env::var_os("PATH"));
    let path: OsString = own.or_else(|| inherited().flatten()).unwrap_or_else(|| DEFAULT_PATH.into());
    let files = std::env::split_paths(&path).map(|folder| dir.join(folder).join(name));
    let mut found = files.filter(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok());
    found.next().ok_or_else(|| format!("{name} not found in PATH"))
}

impl Program {
    /// Ends when it has ended. Safe to cancel.
    pub(crate) async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), describe)
    }

    /// Ends what it started and left behind.
    pub(crate) fn end_group(&self) {
        self.group.signal(Signal::KILL);
    }

    /// Lets it end by itself, its standard input being closed; helps it with SIGTERM and then SIGKILL. Nothing of its group
    /// is left after that.
    pub(crate) async fn end(mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            if tokio::time::timeout(END, self.child.wait()).await.is_ok() {
                break;
            }
            self.group.signal(signal);
        }
        self.kill().await;
    }

    /// It is about to end by itself: how it did.
    pub(crate) async fn exit(mut self) -> String {
        let ended = tokio::time::timeout(END, self.ended()).await;
        self.kill().await;
        ended.unwrap_or_else(|_| String::from("it closed its standard output"))
    }

    /// Ends it and its group at once, and waits until the system has forgotten it.
    pub(crate) async fn kill(mut self) {
        self.group.signal(Signal::KILL);
        if tokio::time::timeout(END, self.child.wait()).await.is_err() {
            tracing::error!(pid = ?self.group.0, "a program cannot be killed: the system holds it");
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => String::from("ended"),
    }
}
