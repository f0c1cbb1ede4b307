//! The statistics behind every statement about results: ranks and their correlations, bootstrap intervals, the
//! reliability of single measurements, variance components, kernel ridge regression and a test of paired differences.
//!
//! All functions map numbers to numbers, and none of them knows what was measured.
//!
//! ```
//! use adaplace_analysis::{bootstrap, signed_rank_p, spearman};
//!
//! let predicted = [0.1, 0.4, 0.3, 0.9];
//! let accuracy = [0.71, 0.74, 0.75, 0.80];
//! assert_eq!(spearman(&predicted, &accuracy), Some(0.8));
//!
//! let differences = [0.02, 0.01, 0.03, 0.01, 0.02, 0.04];
//! let mean = |drawn: &[usize]| {
//!     let sum: f64 = drawn.iter().map(|&index| differences[index]).sum();
//!     Some(sum / drawn.len() as f64)
//! };
//! let interval = bootstrap(differences.len(), 0, mean).expect("every resample has a mean");
//! assert!(interval.low > 0.0);
//! assert!(signed_rank_p(&differences) < 0.05);
//! ```

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
pub use correlation::{kendall, pearson, spearman, top_recall};
pub use estimate::{Estimate, Measured};
pub use kernel_ridge::{Kernel, explained, held_out};
pub use order::{folds, shuffled};
pub use pareto::pareto_front;
pub use ranks::ranks;
pub use reliability::{Reliability, reliability, within_variance};
pub use wilcoxon::{FEWEST_PAIRS, signed_rank_p};
pub use wilson::wilson_interval;
