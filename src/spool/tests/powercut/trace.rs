//! A log of strace, read as what it did to the files of one folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The calls that strace must record: every way in which the spool and its database change files.
pub(super) const CALLS: &str = "openat,open,creat,close,dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,\
    lseek,ftruncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,\
    copy_file_range,sendfile,link,linkat,symlink,symlinkat";

/// When something began and when it had ended, as lines of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A change of a file's content.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Write {
        at: u64,
        bytes: Vec<u8>,
    },
    /// Made shorter or longer.
    Length(u64),
    /// Made at least so long.
    Room(u64),
}

/// A file, by whatever name.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) changes: Vec<(Span, Content)>,
    pub(super) syncs: Vec<Span>,
    length: u64,
}

/// A change of names.
#[derive(Debug, Clone)]
pub(super) enum Name {
    Create(PathBuf, usize),
    Folder(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// Everything that was done, and what was said meanwhile.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) files: Vec<File>,
    pub(super) names: Vec<(Span, Name)>,
    pub(super) folder_syncs: Vec<(PathBuf, Span)>,
    /// Lines on the standard output, by when they were begun.
    pub(super) said: Vec<(usize, String)>,
    pub(super) lines: usize,
}

impl Trace {
    /// Whether this folder was made while it was recorded.
    pub(super) fn made(&self, path: &Path) -> bool {
        self.names.iter().any(|(_, name)| matches!(name, Name::Folder(folder) if folder == path))
    }
}

#[derive(Debug, Clone)]
enum Open {
    File { file: usize, at: u64, append: bool },
    Folder(PathBuf),
}

/// What of the recorded process is needed to understand its calls.
struct Reader<'a> {
    root: &'a Path,
    trace: Trace,
    open: HashMap<i64, Open>,
    /// The files there are now, as the process sees them.
    now: HashMap<PathBuf, usize>,
}

/// Reads a log written with `-f -xx`. Calls that would change files in a way this does not know are a panic.
pub(super) fn read(log: &str, root: &Path) -> Trace {
    let mut reader = Reader { root, trace: Trace::default(), open: HashMap::new(), now: HashMap::new() };
    let mut begun: HashMap<&str, (usize, &str)> = HashMap::new();
    for (line, text) in log.lines().enumerate() {
        reader.trace.lines = line + 1;
        let (pid, text) = text.trim_start().split_once(' ').expect("a process id");
        let text = text.trim_start();
        if let Some(call) = text.strip_suffix(" <unfinished ...>") {
            begun.insert(pid, (line, call));
        } else if let Some((_, rest)) =
            text.strip_prefix("<... ").and_then(|text| text.split_once(" resumed>"))
        {
            let (start, call) = begun.remove(pid).expect("it was begun");
            reader.call(Span { start, end: line }, &format!("{call}{rest}"));
        } else if !text.starts_with("+++") && !text.starts_with("---") {
            reader.call(Span { start: line, end: line }, text);
        }
    }
    reader.trace
}

impl Reader<'_> {
    fn call(&mut self, span: Span, text: &str) {
        let (call, result) = text.rsplit_once(" = ").expect("a result");
        let result =
            result.split_whitespace().next().and_then(|number| number.parse::<i64>().ok()).unwrap_or(-1);
        if result < 0 {
            return;
        }
        let (name, arguments) = call.trim_end().split_once('(').expect("a call");
        let arguments = arguments.strip_suffix(')').expect("its end");
        let arguments: Vec<&str> = arguments.split(", ").collect();
        let number = |at: usize| arguments[at].parse::<i64>().unwrap_or(-1);
        match name {
            "openat" => self.opened(span, &path(arguments[1]), arguments[2], result),
            "open" => self.opened(span, &path(arguments[0]), arguments[1], result),
            "close" => drop(self.open.remove(&number(0))),
            "dup" | "dup2" | "dup3" => self.copied(number(0), result),
            "fcntl" if arguments[1].starts_with("F_DUPFD") => self.copied(number(0), result),
            "fcntl" => {}
            "lseek" => {
                if let Some(Open::File { at, .. }) = self.open.get_mut(&number(0)) {
                    *at = u64::try_from(result).unwrap();
                }
            }
            "write" if number(0) == 1 => {
                let said = String::from_utf8_lossy(&bytes(arguments[1])).into_owned();
                self.trace.said.extend(said.lines().map(|line| (span.start, line.to_owned())));
            }
            "write" => self.written(span, number(0), None, arguments[1], result),
            "pwrite64" => {
                let at = u64::try_from(number(3)).unwrap();
                self.written(span, number(0), Some(at), arguments[1], result);
            }
            "ftruncate" => self.changed(span, number(0), Content::Length(u64::try_from(number(1)).unwrap())),
            "fallocate" => {
                assert_eq!(number(1), 0, "an unknown way to make room");
                let end = u64::try_from(number(2) + number(3)).unwrap();
                self.changed(span, number(0), Content::Room(end));
            }
            "fsync" | "fdatasync" => match self.open.get(&number(0)) {
                Some(Open::File { file, .. }) => self.trace.files[*file].syncs.push(span),
                Some(Open::Folder(path)) => self.trace.folder_syncs.push((path.clone(), span)),
                None => {}
            },
            "rename" => self.renamed(span, path(arguments[0]), path(arguments[1])),
            "renameat" | "renameat2" => self.renamed(span, path(arguments[1]), path(arguments[3])),
            "unlink" | "rmdir" => self.removed(span, path(arguments[0])),
            "unlinkat" => {
                let folder = match self.open.get(&number(0)) {
                    Some(Open::Folder(folder)) => folder.clone(),
                    _ => PathBuf::new(),
                };
                self.removed(span, folder.join(path(arguments[1])));
            }
            "mkdir" => self.named(span, Name::Folder(path(arguments[0]))),
            "mkdirat" => self.named(span, Name::Folder(path(arguments[1]))),
            // Only of the process itself, never of the folder.
            _ => assert!(!self.open.contains_key(&number(0)), "unknown: {name}"),
        }
    }

    fn opened(&mut self, span: Span, path: &Path, flags: &str, descriptor: i64) {
        if !path.starts_with(self.root) {
            self.open.remove(&descriptor);
            return;
        }
        if flags.contains("O_DIRECTORY") || path.is_dir() || self.trace.made(path) {
            self.open.insert(descriptor, Open::Folder(path.to_owned()));
            return;
        }
        let file = self.now.get(path).copied().unwrap_or_else(|| {
            let file = self.trace.files.len();
            self.trace.files.push(File::default());
            self.named(span, Name::Create(path.to_owned(), file));
            file
        });
        self.now.insert(path.to_owned(), file);
        self.open.insert(descriptor, Open::File { file, at: 0, append: flags.contains("O_APPEND") });
        if flags.contains("O_TRUNC") {
            self.changed(span, descriptor, Content::Length(0));
        }
    }

    fn copied(&mut self, from: i64, to: i64) {
        if let Some(open) = self.open.get(&from).cloned() {
            self.open.insert(to, open);
        }
    }

    fn written(&mut self, span: Span, descriptor: i64, at: Option<u64>, text: &str, count: i64) {
        let Some(Open::File { file, at: position, append }) = self.open.get_mut(&descriptor) else { return };
        let mut bytes = bytes(text);
        bytes.truncate(usize::try_from(count).unwrap());
        let begin = at.unwrap_or(if *append { self.trace.files[*file].length } else { *position });
        if at.is_none() {
            *position = begin + bytes.len() as u64;
        }
        self.changed(span, descriptor, Content::Write { at: begin, bytes });
    }

    fn changed(&mut self, span: Span, descriptor: i64, content: Content) {
        let Some(Open::File { file, .. }) = self.open.get(&descriptor) else { return };
        let file = &mut self.trace.files[*file];
        file.length = match &content {
            Content::Write { at, bytes } => file.length.max(at + bytes.len() as u64),
            Content::Length(length) => *length,
            Content::Room(length) => file.length.max(*length),
        };
        file.changes.push((span, content));
    }

    fn renamed(&mut self, span: Span, from: PathBuf, to: PathBuf) {
        let moved: Vec<_> = self.now.keys().filter(|path| path.starts_with(&from)).cloned().collect();
        for path in moved {
            let file = self.now.remove(&path).unwrap();
            let rest = path.strip_prefix(&from).unwrap();
            let target = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
            self.now.insert(target, file);
        }
        self.named(span, Name::Rename(from, to));
    }

    fn removed(&mut self, span: Span, path: PathBuf) {
        self.now.remove(&path);
        self.named(span, Name::Remove(path));
    }

    fn named(&mut self, span: Span, name: Name) {
        let (Name::Create(path, _) | Name::Folder(path) | Name::Rename(path, _) | Name::Remove(path)) = &name;
        if path.starts_with(self.root) && path != self.root {
            self.trace.names.push((span, name));
        }
    }
}

/// A string as `-xx` prints it: every byte as `\x41`.
fn bytes(text: &str) -> Vec<u8> {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect("a whole string");
    let digits = text.split("\\x").skip(1);
    digits.map(|digits| u8::from_str_radix(digits, 16).expect("two digits")).collect()
}

fn path(text: &str) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes(text)).expect("a path"))
}
