//! What one evaluation may use. The evaluator knows no limits of its own, so the compiled expression calls two
//! functions that count: [`TICK`] around every call, [`TURNS`] around whatever a loop runs over. Both hand their
//! argument back.

use crate::clock::{Clock as _, SystemClock};
use cel::common::types::DYN_TYPE;
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// Counts one step. No expression can name it: an `@` is no part of a name.
pub(super) const TICK: &str = "@tick";
/// Counts as many steps as its argument has elements.
pub(super) const TURNS: &str = "@turns";

#[derive(Clone, Copy)]
struct Left {
    steps: u32,
    /// Before this no processor can have been used for too long: the cheap look at the time.
    not_before: Instant,
    /// What this thread may have used of processors by then.
    used: Duration,
    spent: bool,
}

thread_local! {
    /// Of the evaluation that runs on this thread.
    static LEFT: Cell<Option<Left>> = const { Cell::new(None) };
}

/// The budget of the evaluation on this thread, as long as this lives.
pub(super) struct Budget(PhantomData<*const ()>);

impl Budget {
    pub(super) fn start(steps: u32, time: Duration) -> Self {
        let (not_before, used) = (SystemClock.now() + time, thread_time() + time);
        LEFT.set(Some(Left { steps, not_before, used, spent: false }));
        Self(PhantomData)
    }

    /// Whether more was asked for than there was. An expression may have gone on without noticing: `||` forgives.
    pub(super) fn is_spent(&self) -> bool {
        LEFT.get().is_some_and(|left| left.spent)
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        LEFT.set(None);
    }
}

/// Makes the two functions known.
pub(super) fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(TICK, "tick", vec![DYN_TYPE], tick)?;
    env.add_overload(TURNS, "turns", vec![DYN_TYPE], turns)
}

fn tick<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = the_one(arguments)?;
    spend(1)?;
    Ok(value)
}

fn turns<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = the_one(arguments)?;
    let size = value.as_sizer().map_or(0, |sizer| *sizer.size().inner());
    spend(u32::try_from(size).unwrap_or(u32::MAX).max(1))?;
    Ok(value)
}

fn the_one<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    arguments.into_iter().next().ok_or_else(ExecutionError::missing_argument_or_target)
}

fn spend(steps: u32) -> Result<(), ExecutionError> {
    let Some(mut left) = LEFT.get() else { return Ok(()) };
    let in_time = || SystemClock.now() <= left.not_before || thread_time() <= left.used;
    let enough = left.steps.checked_sub(steps).filter(|_| !left.spent && in_time());
    left.steps = enough.unwrap_or(0);
    left.spent = enough.is_none();
    LEFT.set(Some(left));
    if left.spent { Err(ExecutionError::function_error("filter", "its budget is spent")) } else { Ok(()) }
}

/// How long this thread has kept processors busy.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
