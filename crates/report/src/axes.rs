//! The axes of curves and scatter plots, and the positions of values between them.

use std::ops::Range;

use maud::{Markup, html};

use crate::figure::Figure;
use crate::ink::Ink;
use crate::numbers::Unit;
use crate::svg::{Px, corners};
use crate::ticks::ticks;

/// Margins for the labels and beyond the last ticks, in pixels.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 46.0;

const HEIGHT: f64 = 400.0;

/// Length of a tick.
const TICK: f64 = 4.0;

/// An axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Axis {
    /// The quantity on it.
    pub(crate) name: String,
    /// The format of its numbers.
    pub(crate) unit: Unit,
}

impl Axis {
    pub(crate) fn new(name: impl Into<String>, unit: Unit) -> Self {
        Self {
            name: name.into(),
            unit,
        }
    }
}

/// The size of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChartSize {
    /// The width of the page.
    Wide,
    /// Half the width of the page, for two charts side by side.
    Half,
}

/// Two axes, each with the range of its values.
pub(crate) struct Frame<'a> {
    pub(crate) size: ChartSize,
    pub(crate) x: (&'a Axis, Range<f64>),
    pub(crate) y: (&'a Axis, Range<f64>),
}

impl Frame<'_> {
    fn width(&self) -> f64 {
        match self.size {
            ChartSize::Wide => 1040.0,
            ChartSize::Half => 500.0,
        }
    }

    /// The position of a point with these values.
    pub(crate) fn at(&self, (x, y): (f64, f64)) -> (Px, Px) {
        // The difference of huge numbers is infinite: such values are placed at the start.
        let share = |value: f64, range: &Range<f64>| {
            let share = (value - range.start) / (range.end - range.start);
            if share.is_finite() { share } else { 0.0 }
        };
        let right = LEFT + share(x, &self.x.1) * (self.width() - LEFT - RIGHT);
        let down = HEIGHT - BOTTOM - share(y, &self.y.1) * (HEIGHT - TOP - BOTTOM);
        (Px(right), Px(down))
    }

    /// The corners of a line through these points, or of an area within them.
    pub(crate) fn corners(&self, points: &[(f64, f64)]) -> String {
        corners(points.iter().map(|&point| self.at(point)))
    }

    /// A point with an error bar and a tooltip.
    pub(crate) fn estimate(
        &self,
        (x, y): (f64, f64),
        error: Option<f64>,
        ink: Ink,
        tooltip: &str,
    ) -> Markup {
        let (right, down) = self.at((x, y));
        html! {
            @if let Some(error) = error {
                polyline points=(self.corners(&[(x, y - error), (x, y + error)])) stroke=(ink) stroke-width="2" {}
            }
            circle cx=(right) cy=(down) r="4" fill=(ink) { title { (tooltip) } }
        }
    }

    /// The axes with the content between them.
    pub(crate) fn figure(&self, title: &str, content: &Markup) -> Figure {
        let labels = match self.size {
            ChartSize::Wide => 12,
            ChartSize::Half => 6,
        };
        let ((x, x_range), (y, y_range)) = (&self.x, &self.y);
        let across: Vec<(Px, String)> = ticks(x_range, labels, x.unit)
            .into_iter()
            .map(|(value, label)| (self.at((value, y_range.start)).0, label))
            .collect();
        let upwards: Vec<(Px, String)> = ticks(y_range, 8, y.unit)
            .into_iter()
            .map(|(value, label)| (self.at((x_range.start, value)).1, label))
            .collect();
        let (right, bottom) = (self.width() - RIGHT, HEIGHT - BOTTOM);
        let (middle, centre) = (Px((LEFT + right) / 2.0), Px((TOP + bottom) / 2.0));
        let drawing = html! {
            g stroke=(Ink::Faint) {
                @for (place, _) in &upwards { path d={ "M" (LEFT) " " (place) "H" (right) } {} }
            }
            path fill="none" stroke=(Ink::Muted) d={
                "M" (LEFT) " " (TOP) "V" (bottom) "H" (right)
                @for (place, _) in &across { "M" (place) " " (bottom) "v" (TICK) }
                @for (place, _) in &upwards { "M" (LEFT) " " (place) "h-" (TICK) }
            } {}
            g fill=(Ink::Muted) font-size="12" {
                g text-anchor="middle" {
                    @for (place, label) in &across { text x=(place) y=(bottom + 18.0) { (label) } }
                }
                g text-anchor="end" {
                    @for (Px(place), label) in &upwards { text x=(LEFT - 8.0) y=(Px(place + 4.0)) { (label) } }
                }
            }
            g fill=(Ink::Text) font-size="13" text-anchor="middle" {
                text x=(middle) y=(HEIGHT - 8.0) { (x.name) }
                text transform={ "translate(12 " (centre) ") rotate(-90)" } { (y.name) }
            }
            (content)
        };
        Figure::new(title, (self.width(), HEIGHT), drawing)
    }
}

/// The lowest and highest value within the error.
pub(crate) fn spread(value: f64, error: Option<f64>) -> [f64; 2] {
    let error = error.unwrap_or(0.0);
    [value - error, value + error]
}

/// The range of all finite `values`, extended on both sides by the share `room` of its width.
pub(crate) fn padded(values: impl IntoIterator<Item = f64>, room: f64) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.into_iter().filter(|value| value.is_finite()) {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        return 0.0..1.0;
    }
    let margin = match high - low {
        // A single value is in the middle.
        width if width <= low.abs() * 1e-12 => (low.abs() * 0.1).max(1e-3),
        width => width * room,
    };
    low - margin..high + margin
}

#[cfg(test)]
mod tests {
    use maud::Render;

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
    fn values_stand_between_the_axes() {
        let (x, y) = (
            Axis::new("steps <n>", Unit::Count),
            Axis::new("accuracy", Unit::Share),
        );
        let frame = Frame {
            size: ChartSize::Half,
            x: (&x, 0.0..1000.0),
            y: (&y, 0.5..0.9),
        };
        assert_eq!(frame.at((0.0, 0.5)), (Px(LEFT), Px(HEIGHT - BOTTOM)));
        assert_eq!(frame.at((1000.0, 0.9)), (Px(500.0 - RIGHT), Px(TOP)));
        assert_eq!(frame.at((f64::NAN, 0.9)), (Px(LEFT), Px(TOP)));
        let page = frame.figure("Chart", &html! {}).render().into_string();
        for part in [
            "steps &lt;n&gt;",
            "accuracy",
            ">80 %<",
            ">400<",
            "<title>Chart</title>",
        ] {
            assert!(page.contains(part), "no {part} in {page}");
        }
    }

    #[test]
    fn numbers_that_are_too_large_for_a_range_are_drawn_all_the_same() {
        let axis = Axis::new("", Unit::Number);
        let range = padded([f64::MIN, f64::MAX], 0.04);
        let frame = Frame {
            size: ChartSize::Wide,
            x: (&axis, range.clone()),
            y: (&axis, range),
        };
        let page = frame.figure("", &html! {}).render().into_string();
        let corners = frame.corners(&[(f64::MAX, f64::MIN)]);
        for text in [page, corners] {
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
