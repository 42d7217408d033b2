//! How values are spread.

use serde::{Deserialize, Serialize};

/// The value below which a share of all values lie; 0 where there are none.
pub(crate) fn quantile(sorted: &[u64], share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a length is a length"
    )]
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// How values are spread, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// Half are no more,
    pub p50_us: u64,
    /// 99 % are no more,
    pub p99_us: u64,
    /// 99.9 % are no more,
    pub p999_us: u64,
    /// none is more.
    pub max_us: u64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        Self {
            p50_us: quantile(&values, 0.5),
            p99_us: quantile(&values, 0.99),
            p999_us: quantile(&values, 0.999),
            max_us: values.last().copied().unwrap_or(0),
        }
    }
}
