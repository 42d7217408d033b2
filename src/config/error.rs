//! What is wrong with a file, and where: for people with a caret under it, for programs as JSON.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One thing that is wrong with a configuration file. It holds no secret: what looks like one is masked in the
/// excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1; none: the whole file is meant.
    pub line: Option<usize>,
    /// The column, in characters from 1.
    pub column: Option<usize>,
    /// The bytes that are wrong.
    pub span: Option<Range<usize>>,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// A word beside the caret.
    pub label: Option<String>,
    /// What is allowed, and what to do.
    pub help: Option<String>,
    /// What keeps running.
    pub note: Option<String>,
    pub(super) excerpt: Option<Arc<str>>,
}

impl ConfigError {
    /// An error about a whole file or folder.
    #[must_use]
    pub fn about(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
            span: None,
            message: message.into(),
            label: None,
            help: None,
            note: None,
            excerpt: None,
        }
    }

    /// Adds what is allowed, or what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds what keeps running.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Adds a word beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// `file:line:column`, as far as it is known.
    #[must_use]
    pub fn place(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.file),
            _ => self.file.to_string(),
        }
    }

    /// Where it is and what is wrong, in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        format!("{}: {}", self.place(), self.message)
    }

    /// All of it in one line, for logs.
    #[must_use]
    pub fn log_line(&self) -> String {
        let mut line = self.one_line();
        for (before, part) in [(". ", self.advice()), ("; ", self.note.clone())] {
            if let Some(part) = part {
                line.push_str(before);
                line.push_str(part.trim_end_matches('.'));
            }
        }
        line
    }

    /// What was probably meant, what is allowed, and what to do.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        let meant = self.label.as_ref().map(|label| {
            let mut letters = label.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        });
        let parts: Vec<String> = meant.into_iter().chain(self.help.clone()).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// The error with its excerpt and carets, in colour or not.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut group = match (&self.excerpt, &self.span) {
            (Some(excerpt), Some(span)) => {
                let mut caret = AnnotationKind::Primary.span(span.clone());
                if let Some(label) = &self.label {
                    caret = caret.label(label.as_str());
                }
                title.element(Snippet::source(&**excerpt).path(&*self.file).annotation(caret))
            }
            _ => self.without_excerpt(title),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        if let Some(note) = &self.note {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    fn without_excerpt<'a>(&'a self, title: annotate_snippets::Title<'a>) -> Group<'a> {
        let mut origin = Origin::path(&*self.file);
        if let Some(line) = self.line {
            origin = origin.line(line);
        }
        if let Some(column) = self.column {
            origin = origin.char_column(column);
        }
        title.element(origin)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigError {}

impl Serialize for ConfigError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ConfigError", 6)?;
        fields.serialize_field("file", &*self.file)?;
        fields.serialize_field("line", &self.line)?;
        fields.serialize_field("column", &self.column)?;
        fields.serialize_field("message", &self.message)?;
        fields.serialize_field("help", &self.help)?;
        fields.serialize_field("note", &self.note)?;
        fields.end()
    }
}

/// Several errors, one below the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
