use crate::answer::{self, Answer, excerpt};
use crate::child::{self, Program, Streams};
use crate::lines::{self, Read};
use crate::message;
use crate::pending::Pending;
use crate::settings::Settings;
use crate::stderr::Stderr;
use postrider_sink::{Delivery, FailureClass, HostContext, Outcome};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};

/// The longest line a program may say.
const LINE: usize = 64 * 1024;
/// Lines in a row that answer nothing, after which a program is stopped.
const USELESS: u32 = 1000;
/// How long a program may take until it says that it is ready.
const READY: Duration = Duration::from_secs(10);
/// How long is listened to what was answered before the end; somebody else may hold the pipe open.
const LAST_ANSWERS: Duration = Duration::from_millis(200);
/// Bytes that are written at once.
const BATCH: usize = 64 * 1024;

/// How attempts reach one run of the program.
pub(crate) struct Session {
    pending: Pending,
    queue: mpsc::Sender<(u64, Vec<u8>)>,
    timeout: Duration,
    useful: AtomicBool,
}

/// One run of the program, ready for events.
pub(crate) struct Run {
    program: Program,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: Stderr,
    queue: mpsc::Receiver<(u64, Vec<u8>)>,
    pub(crate) session: Arc<Session>,
}

impl Session {
    /// Makes one attempt.
    pub(crate) async fn attempt(&self, delivery: &Delivery) -> Outcome {
        let stopped = |why: Arc<str>| Outcome::failed(FailureClass::SinkError, why.to_string());
        let mut waiting = match self.pending.begin() {
            Ok(waiting) => waiting,
            Err(why) => return stopped(why),
        };
        let line = match message::event(waiting.n, delivery, self.timeout) {
            Ok(line) => line,
            Err(error) => {
                return Outcome::unfit(FailureClass::SinkError, format!("the body is not JSON: {error}"));
            }
        };
        // Closed: the session has ended, and has said why.
        let _ = self.queue.send((waiting.n, line)).await;
        waiting.outcome().await.unwrap_or_else(stopped)
    }

    /// Its program is no more: what waits fails for this reason.
    pub(crate) fn end(&self, why: &Arc<str>) {
        self.pending.end(why);
    }

    /// Whether an answer was ever of use.
    pub(crate) fn was_useful(&self) -> bool {
        self.useful.load(Ordering::Relaxed)
    }
}

/// Why there is no run.
pub(crate) struct NotReady {
    pub(crate) why: String,
    /// Whether there was a program to start at all.
    pub(crate) started: bool,
}

/// Starts the program and waits until it is ready.
pub(crate) async fn start(settings: &Settings, host: &HostContext) -> Result<Run, NotReady> {
    let started = child::start(settings, host).map_err(|why| NotReady { why, started: false })?;
    let (program, Streams { mut stdin, stdout, stderr }) = started;
    let mut stdout = BufReader::with_capacity(16 * 1024, stdout);
    let mut stderr = Stderr::new(stderr, Arc::clone(&host.endpoint));
    let mut line = Vec::new();
    let greeted = async {
        stdin.write_all(&message::hello(settings, host)).await?;
        lines::read(&mut stdout, &mut line, LINE).await
    };
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(READY, greeted) => greeted,
        () = stderr.log() => unreachable!("it never ends"),
    };
    let why = match greeted {
        Ok(Ok(Read::Line)) => match answer::ready(&line) {
            Ok(()) => {
                let (tell, queue) = mpsc::channel(host.concurrency.clamp(1, 1024));
                let (pending, useful, timeout) = (Pending::default(), AtomicBool::new(false), host.timeout);
                let session = Arc::new(Session { pending, queue: tell, timeout, useful });
                return Ok(Run { program, stdin, stdout, stderr, queue, session });
            }
            Err(wrong) => {
                program.kill().await;
                wrong
            }
        },
        Ok(Ok(Read::TooLong)) => {
            program.kill().await;
            String::from("its first line has more than 64 KiB")
        }
        // It closed one of its streams, so it is about to end.
        Ok(_) => program.exit().await,
        Err(_) => {
            program.kill().await;
            format!("not ready within {} s", READY.as_secs())
        }
    };
    Err(NotReady { why: stderr.explain(why).await, started: true })
}

/// How a run ended.
pub(crate) enum End {
    /// The sink is no more.
    Dropped,
    /// The program ended, or was stopped for this.
    Crashed(String),
}

/// What made a run end.
enum Cause {
    Dropped,
    /// It has ended, like this.
    Ended(String),
    /// It closed its standard output.
    Silent,
    /// It must be stopped for this.
    Misbehaved(String),
}

impl Run {
    /// Passes events and answers until the program ends or `dropped` does. Attempts that wait then are left to
    /// [`Session::end`].
    pub(crate) async fn serve(self, endpoint: &str, dropped: &mut oneshot::Receiver<()>) -> End {
        let Self { mut program, mut stdin, mut stdout, mut stderr, mut queue, session } = self;
        let cause = {
            let mut listening = pin!(listen(&mut stdout, &session, endpoint));
            let mut writing = pin!(write(&mut stdin, &mut queue, &session));
            tokio::select! {
                _ = dropped => Cause::Dropped,
                cause = &mut listening => cause,
                ended = program.ended() => {
                    // What it said before is still in the pipe; what it started must not hold that open.
                    program.end_group();
                    let heard = tokio::time::timeout(LAST_ANSWERS, &mut listening).await;
                    match heard {
                        Ok(Cause::Misbehaved(why)) => Cause::Misbehaved(why),
                        _ => Cause::Ended(ended),
                    }
                }
                () = session.pending.hung.notified() => {
                    Cause::Misbehaved(String::from("hung: no answer to several events in a row"))
                }
                () = &mut writing => unreachable!("it never ends"),
                () = stderr.log() => unreachable!("it never ends"),
            }
        };
        queue.close();
        drop(stdin);
        let why = match cause {
            Cause::Dropped => {
                tokio::select! {
                    () = program.end() => {}
                    // What it still says must not keep it from ending.
                    () = drain(&mut stdout) => {}
                    () = stderr.log() => {}
                }
                return End::Dropped;
            }
            Cause::Silent => program.exit().await,
            Cause::Ended(why) | Cause::Misbehaved(why) => {
                program.kill().await;
                why
            }
        };
        End::Crashed(stderr.explain(why).await)
    }
}

/// Writes what is queued, much of it at once. Never ends by itself: a program that takes no more is about to end, and
/// that is noticed.
async fn write(stdin: &mut ChildStdin, queue: &mut mpsc::Receiver<(u64, Vec<u8>)>, session: &Session) {
    let mut batch = Vec::new();
    while let Some((n, line)) = queue.recv().await {
        batch.clear();
        let mut next = Some((n, line));
        while let Some((n, line)) = next {
            // Given up while it was queued: the program need not know.
            if session.pending.waits(n) {
                batch.extend_from_slice(&line);
            }
            next = if batch.len() < BATCH { queue.try_recv().ok() } else { None };
        }
        if stdin.write_all(&batch).await.is_err() {
            break;
        }
        batch.shrink_to(BATCH);
    }
    std::future::pending::<()>().await;
}

/// Hands answers over. Ends when the program says no more, or too much of no use.
async fn listen(stdout: &mut BufReader<ChildStdout>, session: &Session, endpoint: &str) -> Cause {
    let mut line = Vec::new();
    let (mut useless, mut unknown) = (0_u32, 0_u64);
    let cause = loop {
        line.clear();
        match lines::read(stdout, &mut line, LINE).await {
            Ok(Read::Line) => {}
            Ok(Read::TooLong) => break Cause::Misbehaved(String::from("it said a line of more than 64 KiB")),
            Ok(Read::End) if !line.is_empty() => {
                tracing::warn!(endpoint, said = %excerpt(&line), "the program ended within a line");
                break Cause::Silent;
            }
            Ok(Read::End) | Err(_) => break Cause::Silent,
        }
        match Answer::read(&line) {
            Some(answer) if session.pending.answer(answer.n, answer.outcome()) => {
                session.useful.store(true, Ordering::Relaxed);
                useless = 0;
                continue;
            }
            Some(answer) => {
                unknown += 1;
                if unknown == 1 {
                    let n = answer.n;
                    tracing::warn!(
                        endpoint,
                        n,
                        "the program answered what nobody waits for: ignored, as further ones"
                    );
                }
            }
            None if line.iter().all(u8::is_ascii_whitespace) => {}
            None if useless < 3 => {
                tracing::warn!(
                    endpoint,
                    said = %excerpt(&line),
                    "no answer: standard output is for answers, standard error for everything else"
                );
            }
            None => {}
        }
        useless += 1;
        if useless >= USELESS {
            let why = format!("it flooded its standard output: {USELESS} lines in a row that answer nothing");
            break Cause::Misbehaved(why);
        }
    };
    if unknown > 0 {
        tracing::warn!(endpoint, unknown, "answers that nobody waited for were ignored");
    }
    cause
}

async fn drain(stdout: &mut BufReader<ChildStdout>) {
    let mut line = Vec::new();
    while let Ok(Read::Line | Read::TooLong) = lines::read(stdout, &mut line, LINE).await {
        line.clear();
    }
    std::future::pending::<()>().await;
}
