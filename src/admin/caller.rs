//! Who asks: every route gets it from its request's extensions, where [`super::guard`] puts it.

use super::problem::Problem;
use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use std::sync::Arc;

/// What a caller may see and change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Operator,
    /// What belongs to this account. Of anything else not even the existence is told.
    Account(Arc<str>),
}

/// By which way a caller came; the history of changes names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A browser.
    Page,
    /// Any other program.
    Api,
}

/// Who asks. Handlers take it as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What the caller may see and change.
    pub scope: Scope,
    /// The user name of the login; none where no login is asked for.
    pub login: Option<Arc<str>>,
    /// By which way.
    pub way: Way,
}

impl Scope {
    /// Whether something of this account (none: of every account) may be seen.
    #[must_use]
    pub fn sees(&self, account: Option<&str>) -> bool {
        match self {
            Self::Operator => true,
            Self::Account(own) => account == Some(own),
        }
    }

    /// The one account it is limited to.
    #[must_use]
    pub fn account(&self) -> Option<&Arc<str>> {
        match self {
            Self::Operator => None,
            Self::Account(own) => Some(own),
        }
    }
}

impl Caller {
    /// Somebody on this machine, where no login is asked for.
    #[must_use]
    pub const fn local(way: Way) -> Self {
        Self { scope: Scope::Operator, login: None, way }
    }

    /// Whether something of this account (none: of every account) may be seen.
    #[must_use]
    pub fn sees(&self, account: Option<&str>) -> bool {
        self.scope.sees(account)
    }

    /// Goes on only for an operator.
    pub(super) fn operator(&self) -> Result<(), Problem> {
        match self.scope {
            Scope::Operator => Ok(()),
            Scope::Account(_) => {
                Err(Problem::new(StatusCode::FORBIDDEN, "this needs the login of an operator"))
            }
        }
    }

    /// For the history of changes: `page`, `api`, with the login where there is one.
    #[must_use]
    pub fn name(&self) -> String {
        let way = match self.way {
            Way::Page => "page",
            Way::Api => "api",
        };
        self.login.as_ref().map_or_else(|| way.to_owned(), |login| format!("{way}: {login}"))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // The guard runs before every route; without it nobody is let in.
        let refused = || Problem::new(StatusCode::UNAUTHORIZED, "log in first");
        parts.extensions.get::<Self>().cloned().ok_or_else(refused)
    }
}
