//! A file's text, and the errors found in it so far.

use super::error::ConfigError;
use super::mask;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a file, from and to.
pub(super) type Span = Range<usize>;

/// The errors of one file as they are found. Every pass adds to it, so that all are reported at once.
pub(super) struct Problems {
    file: Arc<str>,
    text: Arc<str>,
    masked: RefCell<Option<Arc<str>>>,
    found: RefCell<Vec<ConfigError>>,
    #[cfg(test)]
    pub(super) asked: RefCell<std::collections::BTreeSet<String>>,
}

impl Problems {
    pub(super) fn new(file: Arc<str>, text: Arc<str>) -> Self {
        Self {
            file,
            text,
            masked: RefCell::default(),
            found: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// For a text that is only looked at: its errors show no excerpt.
    pub(super) fn unshown(text: &str) -> Self {
        let problems = Self::new(Arc::from(""), Arc::from(text));
        problems.masked.replace(Some(Arc::from("")));
        problems
    }

    /// These bytes of the file.
    pub(super) fn slice(&self, span: &Span) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Something is wrong with these bytes.
    pub(super) fn at(&self, span: Span, message: impl Into<String>) {
        self.add(self.error(span, message));
    }

    /// An error about these bytes, not yet added.
    pub(super) fn error(&self, span: Span, message: impl Into<String>) -> ConfigError {
        let (line, column) = position(&self.text, span.start);
        ConfigError {
            line: Some(line),
            column: Some(column),
            excerpt: Some(self.masked()),
            span: Some(span),
            ..ConfigError::about(&self.file, message)
        }
    }

    /// The text is not TOML here.
    pub(super) fn syntax(&self, span: Option<Span>, message: &str) {
        let message = format!("not valid TOML: {message}");
        // Only of a limit of the parser's is no place known.
        let Some(span) = span else { return self.add(ConfigError::about(&self.file, message)) };
        let mut error = self.error(span, message);
        error.excerpt = mask::broken(&self.text, error.line.unwrap_or(1)).map(Arc::from);
        self.add(error);
    }

    pub(super) fn add(&self, error: ConfigError) {
        self.found.borrow_mut().push(error);
    }

    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// What was found, in the order of the file.
    pub(super) fn take(&self) -> Vec<ConfigError> {
        let mut found = std::mem::take(&mut *self.found.borrow_mut());
        found.sort_by_key(|error| error.span.as_ref().map_or(0, |span| span.start));
        found
    }

    /// `file:line` of a place.
    pub(super) fn line_of(&self, span: &Span) -> String {
        format!("{}:{}", self.file, position(&self.text, span.start).0)
    }

    fn masked(&self) -> Arc<str> {
        self.masked.borrow_mut().get_or_insert_with(|| Arc::from(mask::text(&self.text))).clone()
    }
}

/// Line and column of a byte, both from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The name among `known` that was probably meant.
pub(super) fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
