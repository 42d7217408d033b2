use crate::config::ConfigError;
use crate::ids::Generation;
use serde::Serialize;
use std::sync::Arc;

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// Everything that changed is in force.
    Applied {
        /// The configuration in force.
        generation: Generation,
        /// What changed.
        changes: Vec<String>,
    },
    /// The files say what is in force already.
    Unchanged {
        /// The configuration in force.
        generation: Generation,
    },
    /// Some of it is in force, some was rejected.
    PartlyApplied {
        /// The configuration in force.
        generation: Generation,
        /// What changed.
        changes: Vec<String>,
        /// What was rejected, and what runs instead.
        errors: Vec<ConfigError>,
    },
    /// Nothing new is in force: everything new was rejected, or what was rejected before still is.
    Rejected {
        /// The configuration in force.
        generation: Generation,
        /// What was rejected, and what runs instead.
        errors: Vec<ConfigError>,
    },
}

impl ReloadOutcome {
    pub(super) fn of(generation: Generation, changes: Vec<String>, errors: Vec<ConfigError>) -> Self {
        match (changes.is_empty(), errors.is_empty()) {
            (true, true) => Self::Unchanged { generation },
            (false, true) => Self::Applied { generation, changes },
            (false, false) => Self::PartlyApplied { generation, changes, errors },
            (true, false) => Self::Rejected { generation, errors },
        }
    }

    /// The word for it in metrics and answers.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        match self {
            Self::Applied { .. } => "applied",
            Self::Unchanged { .. } => "unchanged",
            Self::PartlyApplied { .. } => "partial",
            Self::Rejected { .. } => "rejected",
        }
    }

    /// The configuration in force afterwards.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        match self {
            Self::Applied { generation, .. }
            | Self::Unchanged { generation }
            | Self::PartlyApplied { generation, .. }
            | Self::Rejected { generation, .. } => *generation,
        }
    }

    /// What was rejected.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        match self {
            Self::PartlyApplied { errors, .. } | Self::Rejected { errors, .. } => errors,
            Self::Applied { .. } | Self::Unchanged { .. } => &[],
        }
    }

    /// What changed, a line each.
    #[must_use]
    pub fn changes(&self) -> &[String] {
        match self {
            Self::Applied { changes, .. } | Self::PartlyApplied { changes, .. } => changes,
            Self::Unchanged { .. } | Self::Rejected { .. } => &[],
        }
    }

    /// Whether nothing was rejected.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.errors().is_empty()
    }
}

/// One entry of the history of reloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// `applied`, `partial`, `rejected` or `unchanged`.
    pub result: &'static str,
    /// The configuration in force since then.
    pub generation: u64,
    /// What changed, a line each.
    pub changes: Vec<String>,
    /// What was rejected, a line each.
    pub errors: Vec<String>,
}

/// The configuration in force and how it came to be.
#[derive(Debug, Clone, Serialize)]
pub struct ReloadStatus {
    /// The configuration in force.
    pub generation: u64,
    /// When everything was last found good, milliseconds since the Unix epoch.
    pub last_success_ms: u64,
    /// Endpoints whose file is rejected.
    pub invalid: Vec<Arc<str>>,
    /// Everything that is rejected now.
    pub errors: Vec<ConfigError>,
    /// The last 50 reloads that changed or rejected something, or were asked for, the newest first.
    pub history: Vec<Change>,
}
