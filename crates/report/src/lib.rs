//! Reports: one HTML file that is looked at without network and scripts, in light and dark.
//!
//! [`study_report`] makes the report of a study from its folder, [`comparison_report`] that of a comparison. They are put
//! together from parts that know nothing of studies and serve other reports too: a [`Document`] of [`Section`]s with
//! [`Figure`]s and [`Table`]s, and the charts [`heatmap`], [`arcs`], [`curves`] and [`scatter`]. Charts are SVG with
//! tooltips; their axes are drawn by `plotters`. However long a study is, a chart has a bounded number of marks, so that
//! the file stays small.

mod arcs;
mod axes;
mod comparison;
mod configuration;
mod curves;
mod document;
mod dots;
mod error;
mod heatmap;
mod ink;
mod markup;
mod metric;
pub mod numbers;
mod pareto;
mod scatter;
mod so_far;
mod study;
mod svg;
mod table;
mod thinning;

pub use arcs::{arcs, kinds_legend};
pub use axes::{Axis, ChartSize};
pub use comparison::{comparison_notes, comparison_report};
pub use curves::{Curves, Outcomes, Reference, Series, Shape, curves};
pub use document::{Document, Fact, Figure, LegendEntry, Mark, Section};
pub use dots::Dots;
pub use error::ReportError;
pub use heatmap::{HeatmapOptions, heatmap};
pub use ink::Ink;
pub use markup::escaped;
pub use numbers::Unit;
pub use pareto::pareto_front;
pub use scatter::{Landmark, Point, Scatter, scatter};
pub use study::study_report;
pub use svg::Svg;
pub use table::{Cell, Table};
pub use thinning::{best_so_far, evenly};
