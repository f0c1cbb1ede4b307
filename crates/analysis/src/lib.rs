//! What results say: ranks and their correlations, bootstrap intervals, reliability of single measurements, and a test of
//! paired differences.
//!
//! Numbers in, numbers out; nothing here knows what was measured.

mod bootstrap;
mod correlation;
mod pareto;
mod ranks;
mod reliability;
mod wilcoxon;
mod wilson;

pub use bootstrap::{Interval, bootstrap};
pub use correlation::{kendall, spearman, top_recall};
pub use pareto::pareto_front;
pub use ranks::ranks;
pub use reliability::{Reliability, reliability, within_variance};
pub use wilcoxon::{FEWEST_PAIRS, signed_rank_p};
pub use wilson::wilson_interval;
