//! What curves and scatters share: two axes, drawn by the plotting library.

use std::ops::Range;

use plotters::chart::ChartContext;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::error::ReportError;
use crate::ink::Ink;
use crate::numbers::Unit;
use crate::svg::Svg;

/// The library draws on whole pixels: drawn larger than it is shown, a chart is finer than that.
pub(crate) const SCALE: u32 = 4;

/// The library takes this for the height of a line, which is 1.24 times the size of its letters.
const LABEL: u32 = 15 * SCALE;

pub(crate) type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
pub(crate) type DrawingError = DrawingAreaErrorKind<std::io::Error>;

/// An axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// What it measures.
    pub name: String,
    /// How its numbers are written.
    pub unit: Unit,
}

impl Axis {
    /// An axis.
    #[must_use]
    pub fn new(name: impl Into<String>, unit: Unit) -> Self {
        Self {
            name: name.into(),
            unit,
        }
    }
}

/// How much room a chart takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChartSize {
    /// The width of the page.
    Wide,
    /// Half of it, two side by side.
    Half,
}

impl ChartSize {
    fn pixels(self) -> (u32, u32) {
        let (width, height) = match self {
            Self::Wide => (1040, 400),
            Self::Half => (500, 400),
        };
        (width * SCALE, height * SCALE)
    }
}

/// Two axes and what they hold.
pub(crate) struct Frame<'a> {
    pub(crate) title: &'a str,
    pub(crate) size: ChartSize,
    pub(crate) x: (&'a Axis, Range<f64>),
    pub(crate) y: (&'a Axis, Range<f64>),
}

impl Frame<'_> {
    /// Draws the axes, and on them what `content` draws.
    pub(crate) fn draw(
        &self,
        content: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), DrawingError>,
    ) -> Result<Svg, ReportError> {
        let mut plot = String::new();
        let size = self.size.pixels();
        self.plot(&mut plot, size, content)
            .map_err(|error| ReportError::Drawing {
                chart: self.title.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(Svg::from_plot(&plot, size, SCALE, self.title))
    }

    fn plot(
        &self,
        plot: &mut String,
        size: (u32, u32),
        content: impl FnOnce(&mut Chart<'_, '_>) -> Result<(), DrawingError>,
    ) -> Result<(), DrawingError> {
        let ((x, x_range), (y, y_range)) = (&self.x, &self.y);
        let labels = match self.size {
            ChartSize::Wide => 10,
            ChartSize::Half => 7,
        };
        let root = SVGBackend::with_string(plot, size).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(10 * SCALE)
            .margin_right(16 * SCALE)
            .margin_bottom(2 * SCALE)
            .x_label_area_size(42 * SCALE)
            .y_label_area_size(76 * SCALE)
            .build_cartesian_2d(x_range.clone(), y_range.clone())?;
        let font = |ink: Ink| ("sans-serif", LABEL).into_font().color(&ink.colour());
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(Ink::Faint.colour().stroke_width(SCALE))
            .light_line_style(TRANSPARENT)
            .axis_style(Ink::Muted.colour().stroke_width(SCALE))
            .set_all_tick_mark_size(4 * SCALE)
            .x_labels(labels)
            .y_labels(7)
            .x_label_formatter(&|value| x.unit.tick(*value))
            .y_label_formatter(&|value| y.unit.tick(*value))
            .label_style(font(Ink::Muted))
            .axis_desc_style(font(Ink::Text))
            .x_desc(&x.name)
            .y_desc(&y.name)
            .draw()?;
        content(&mut chart)?;
        drop(chart);
        root.present()
    }
}

/// The range of all finite `values` with a share of its width as room on both sides.
pub(crate) fn padded(values: impl Iterator<Item = f64>, room: f64) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite()) {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        return 0.0..1.0;
    }
    let margin = match high - low {
        // A single value stands in the middle.
        width if width <= low.abs() * 1e-12 => (low.abs() * 0.1).max(1e-3),
        width => width * room,
    };
    low - margin..high + margin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_room() {
        let range = |values: &[f64]| padded(values.iter().copied(), 0.5);
        assert_eq!(range(&[1.0, f64::NAN, 3.0]), 0.0..4.0);
        assert_eq!(range(&[]), 0.0..1.0);
        assert_eq!(range(&[10.0]), 9.0..11.0);
        assert_eq!(range(&[0.0, 0.0]), -1e-3..1e-3);
    }

    #[test]
    fn axes_are_drawn_with_their_names() {
        let (x, y) = (
            Axis::new("steps <n>", Unit::Count),
            Axis::new("accuracy", Unit::Share),
        );
        let frame = Frame {
            title: "Chart",
            size: ChartSize::Half,
            x: (&x, 0.0..1000.0),
            y: (&y, 0.5..0.9),
        };
        let markup = frame.draw(|_| Ok(())).unwrap().markup();
        for part in [
            "steps &lt;n&gt;",
            "accuracy",
            "80 %",
            "400",
            "<title>Chart</title>",
        ] {
            assert!(markup.contains(part), "no {part} in {markup}");
        }
        assert_eq!(
            markup.matches("<svg").count(),
            markup.matches("</svg>").count()
        );
    }
}
