//! The one place that is random: everything that jitters or names a span draws from here, so that a simulation can
//! decide.

/// A source of random numbers.
pub trait Chance: Send + Sync + 'static {
    /// Any number.
    fn number(&self) -> u64;

    /// From 0 up to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    fn draw(&self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The thread's own generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn number(&self) -> u64 {
        rand::random()
    }
}
