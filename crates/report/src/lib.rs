//! Reports: one HTML file that is looked at without network and scripts, in light and dark.
//!
//! [`study_report`] makes the report of a study from its folder, [`comparison_report`] that of a comparison. Pages and
//! drawings are written as markup that escapes every text put into it, so that no name in a file becomes an element of the
//! page. Drawings are SVG with tooltips. However long a study is, a chart has a bounded number of marks, so that the file
//! stays small.
//!
//! What the terminal writes the same way is here, too: [`numbers`] and the colours of [`viridis`].

mod arcs;
mod axes;
mod comparison;
mod configuration;
mod curves;
mod document;
mod dots;
mod figure;
mod heatmap;
mod ink;
mod legend;
mod metric;
pub mod numbers;
mod pareto;
mod scatter;
mod so_far;
mod study;
mod svg;
mod table;
mod thinning;
mod ticks;
pub mod viridis;

pub use comparison::{comparison_notes, comparison_report};
pub use study::study_report;
