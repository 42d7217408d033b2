//! Writes deliveries as JSON lines, to a file or to standard output.
//!
//! A delivery becomes one line, written by one call to the end of the file, so that several endpoints and several
//! processes may share it. Where what is there ends within a line, because a disk was full or a process was killed, the
//! next line begins on its own. A file that was moved away or removed (log rotation) is made anew for the next line.

mod line;
mod settings;
mod sink;

pub use settings::FileSinkFactory;
