//! The filter of an endpoint: an expression of the Common Expression Language over `event`, `product`, `account` and
//! `data` that says whether a delivery is made.
//!
//! It is compiled once, with the file. What always holds: an evaluation ends within [`MOST_STEPS`] steps and about
//! [`MOST_TIME`], whatever the expression and the event are; what does not end by then, or cannot be evaluated for
//! this event, does not match and says why.

mod budget;
mod compile;
mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod lenient;
#[cfg(test)]
mod tests;

pub use compile::{FilterError, MOST_BYTES, MOST_DEPTH, MOST_NODES};
pub use facts::Facts;

use budget::Budget;
use cel::common::types::CelBool;
use cel::{ExecutionError, IdedExpr, Value};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Steps of one evaluation: calls and turns of loops.
pub const MOST_STEPS: u32 = 10_000;
/// How long one evaluation may keep a processor busy. Looked at between steps. Waiting for a processor does not count:
/// no event may be lost because the machine is busy.
pub const MOST_TIME: Duration = Duration::from_millis(25);

/// Bytes of stack that an evaluation may need: the evaluator calls itself for every level of an expression.
pub const EVALUATION_STACK: usize = 16 << 20;

/// A compiled filter.
pub struct Filter {
    source: Arc<str>,
    expression: IdedExpr,
}

/// What a filter says about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is wanted.
    Wanted,
    /// It is not.
    Unwanted,
    /// The filter cannot tell, so it is not.
    Failed(FilterFailure),
}

/// Why a filter could not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterFailure {
    /// Which kind.
    pub kind: FailureKind,
    /// One line for people, without anything the event says.
    pub reason: Arc<str>,
}

/// In which way a filter failed; the `reason` label of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It cannot be evaluated for this event: a member is missing, or has another type.
    Error,
    /// It took more steps or time than it may.
    Limit,
}

impl FailureKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Limit => "limit",
        }
    }
}

impl Filter {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, with its place in the text.
    pub fn compile(source: &str) -> Result<Self, FilterError> {
        compile::compile(source).map(|expression| Self { source: source.into(), expression })
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Judges an event. Takes up to [`MOST_TIME`] and [`EVALUATION_STACK`] of a thread: never call it in an actor, nor
    /// on a runtime's thread.
    #[must_use]
    pub fn judge(&self, facts: &Facts) -> Judgement {
        let budget = Budget::start(MOST_STEPS, MOST_TIME);
        // A panic of the evaluator would take the events with it that are judged together with this one.
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let value = Value::resolve_val(&self.expression, facts.context())?;
            let said = value.downcast_ref::<CelBool>().map(|answer| *answer.inner());
            said.ok_or_else(|| ExecutionError::UnexpectedType {
                got: value.get_type().name().to_owned(),
                want: "bool".to_owned(),
            })
        }));
        if budget.is_spent() {
            let reason = format!("took more than {MOST_STEPS} steps or {} ms", MOST_TIME.as_millis());
            return Judgement::Failed(FilterFailure { kind: FailureKind::Limit, reason: reason.into() });
        }
        let reason = match answer {
            Ok(Ok(true)) => return Judgement::Wanted,
            Ok(Ok(false)) => return Judgement::Unwanted,
            Ok(Err(error)) => reason(&error),
            Err(_) => "cannot be evaluated for this event".to_owned(),
        };
        Judgement::Failed(FilterFailure { kind: FailureKind::Error, reason: reason.into() })
    }
}

/// Does some work on a thread that has the stack filters need, and waits for it. None: the work panicked, or there was
/// no thread to be had.
pub fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("filter".to_owned()).stack_size(EVALUATION_STACK);
        builder.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

/// One line about an error, with names and types but no values: those are the publisher's.
fn reason(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => {
            let key: String = key.chars().filter(|c| !c.is_control()).take(64).collect();
            format!("there is no {key:?}: test for it with has()")
        }
        ExecutionError::NoSuchOverload(overload) => {
            let function = overload.function().trim_matches(['_', '@']);
            format!("{function:?} does not take {}", overload.argument_types().join(" and "))
        }
        ExecutionError::UnexpectedType { got, want } => format!("a {want} is needed, and it is a {got}"),
        ExecutionError::ValuesNotComparable(..) => "these values cannot be compared".to_owned(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "it divides by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number becomes too large".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "the list has no such element".to_owned(),
        _ => "cannot be evaluated for this event".to_owned(),
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.source).finish()
    }
}
