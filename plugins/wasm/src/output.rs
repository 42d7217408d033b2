use crate::line::line;

/// Bytes of a line; a longer one is cut in pieces.
const LINE: usize = 4096;
/// Bytes that are kept to explain why an attempt was given up.
const KEPT: usize = 400;

/// What an attempt writes to standard output and error, as lines. In most languages it ends with why it gave up.
#[derive(Debug, Default)]
pub(crate) struct Output {
    begun: String,
    kept: String,
}

impl Output {
    /// Takes what was written, and returns the lines that are complete.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Vec<String> {
        self.begun.push_str(&String::from_utf8_lossy(bytes));
        let end = match self.begun.rfind('\n') {
            Some(end) => end + 1,
            None if self.begun.len() > LINE => self.begun.len(),
            None => return Vec::new(),
        };
        let rest = self.begun.split_off(end);
        let complete = std::mem::replace(&mut self.begun, rest);
        let lines: Vec<String> = complete.lines().map(line).filter(|line| !line.is_empty()).collect();
        for line in &lines {
            // What every program in Rust says when it panics helps nobody here.
            if self.kept.len() < KEPT && !line.starts_with("note: run with `RUST_BACKTRACE") {
                if !self.kept.is_empty() {
                    self.kept.push(' ');
                }
                self.kept.push_str(line);
            }
        }
        lines
    }

    /// The first of it, in one line.
    pub(crate) fn explanation(&self) -> String {
        line(&format!("{} {}", self.kept, self.begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_become_lines_and_the_first_of_them_explain() {
        let mut output = Output::default();
        assert!(output.write(b"thread panicked at ").is_empty());
        assert_eq!(output.write(b"a.rs:1:\nno such"), ["thread panicked at a.rs:1:"]);
        let note = "note: run with `RUST_BACKTRACE=1` to see more";
        assert_eq!(output.write(format!(" table\n{note}\n").as_bytes()), ["no such table", note]);
        assert_eq!(output.explanation(), "thread panicked at a.rs:1: no such table");
        for _ in 0..1000 {
            output.write(&[b'x'; 1000]);
        }
        assert!(output.explanation().len() < 600 && output.begun.len() <= LINE + 1000);
    }
}
