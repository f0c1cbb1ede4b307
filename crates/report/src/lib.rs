//! Reports: one HTML file without network requests or scripts, in a light and a dark theme.
//!
//! [`study_report`] makes the report of a study from its folder, [`comparison_report`] that of a comparison. The markup
//! of pages and drawings escapes every text, so that no name in a file becomes an element of the page. Drawings are SVG
//! with tooltips. A chart has a bounded number of marks, so that the file stays small even for a long study.
//!
//! The terminal output shares the formats in [`numbers`] and the colours of [`viridis`].

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

use adaplace_search_space::Placement;

use self::axes::ChartSize;

/// A drawing of a placement as arcs over so many hidden states, as SVG.
#[must_use]
pub fn placement_drawing(placement: &Placement, hidden_states: u16) -> String {
    let title = placement.to_string();
    let figure = arcs::arcs(placement, hidden_states, ChartSize::Wide, &title);
    figure.svg().into_string()
}

pub use comparison::{comparison_notes, comparison_report, heading};
pub use metric::{bare, difference};
pub use study::study_report;
