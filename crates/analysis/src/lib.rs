//! What results say: ranks and their correlations, bootstrap intervals, reliability of single measurements, what variance is
//! made of and what a kernel explains of it, and a test of paired differences.
//!
//! Numbers in, numbers out; nothing here knows what was measured.

mod bootstrap;
mod components;
mod correlation;
mod estimate;
mod kernel_ridge;
mod moments;
mod order;
mod pareto;
mod ranks;
mod reliability;
mod wilcoxon;
mod wilson;

pub use bootstrap::{Interval, bootstrap};
pub use components::{Components, components};
pub use correlation::{kendall, spearman, top_recall};
pub use estimate::{Estimate, Measured};
pub use kernel_ridge::{Kernel, explained, held_out};
pub use order::{folds, shuffled};
pub use pareto::pareto_front;
pub use ranks::ranks;
pub use reliability::{Reliability, reliability, within_variance};
pub use wilcoxon::{FEWEST_PAIRS, signed_rank_p};
pub use wilson::wilson_interval;
