//! Values over a course: what was reached when.

use plotters::prelude::*;

use crate::axes::{Axis, Chart, ChartSize, DrawingError, Frame, SCALE, padded};
use crate::document::{Figure, LegendEntry, Mark};
use crate::dots::Dots;
use crate::error::ReportError;
use crate::ink::Ink;

/// Curves over one another.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves<'a> {
    /// Title of the figure.
    pub title: &'a str,
    /// How much room it takes.
    pub size: ChartSize,
    /// What they run over.
    pub x: Axis,
    /// What they show.
    pub y: Axis,
    /// The curves, the first one on top.
    pub series: Vec<Series>,
    /// Values that do not change along the way.
    pub references: Vec<Reference>,
    /// What came out at the end, to the right of the curves.
    pub outcomes: Option<Outcomes>,
    /// Single values, behind the curves.
    pub dots: Option<Dots>,
}

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// How its points are joined.
    pub shape: Shape,
    /// Its points, x ascending.
    pub points: Vec<(f64, f64)>,
    /// Lowest and highest value at each of its points.
    pub band: Option<Vec<(f64, f64)>>,
}

/// How the points of a curve are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A value holds until the next point.
    Steps,
    /// Straight lines.
    Lines,
}

/// A value that does not change along the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its name in the legend.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// The value.
    pub value: f64,
    /// Half the width of its band.
    pub error: Option<f64>,
}

/// Values that stand side by side after the end of the curves.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcomes {
    /// Their name in the legend.
    pub name: String,
    /// Their colour.
    pub ink: Ink,
    /// Tooltip, value and its error.
    pub values: Vec<(String, f64, Option<f64>)>,
}

impl Series {
    /// The points as they are drawn: with both ends of every step.
    fn outline(&self, values: &[(f64, f64)]) -> Vec<(f64, f64)> {
        match self.shape {
            Shape::Lines => values.to_vec(),
            Shape::Steps => steps(values),
        }
    }

    /// The outline of its band, along the lower side and back along the upper one.
    fn border(&self) -> Vec<(f64, f64)> {
        let bounds = self.band.as_deref().unwrap_or_default();
        let points = || self.points.iter().zip(bounds);
        let low: Vec<(f64, f64)> = points().map(|(&(x, _), &(low, _))| (x, low)).collect();
        let high: Vec<(f64, f64)> = points().map(|(&(x, _), &(_, high))| (x, high)).collect();
        let mut border = self.outline(&low);
        border.extend(self.outline(&high).into_iter().rev());
        border
    }
}

fn steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut outline: Vec<(f64, f64)> = Vec::with_capacity(2 * points.len());
    for &(x, y) in points {
        if let Some(&(_, before)) = outline.last()
            && before != y
        {
            outline.push((x, before));
        }
        outline.push((x, y));
    }
    outline
}

/// Draws curves, each with its band if it has one.
///
/// # Errors
/// If the plotting library refuses.
pub fn curves(chart: &Curves<'_>) -> Result<Figure, ReportError> {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let outcomes = chart
        .outcomes
        .as_ref()
        .map_or(&[][..], |outcomes| &outcomes.values);
    let spread = |value: f64, error: Option<f64>| {
        let error = error.unwrap_or(0.0);
        [value - error, value + error]
    };
    let mut x_range = padded(points().map(|&(x, _)| x), 0.0);
    let end = x_range.end;
    // The outcomes stand in a margin of their own.
    let gap = (x_range.end - x_range.start) * 0.025;
    if !outcomes.is_empty() {
        x_range.end += gap * (outcomes.len() + 1) as f64;
    }
    let (dots, outside) = chart
        .dots
        .as_ref()
        .map_or_else(Default::default, Dots::chosen);
    let y_values = points()
        .chain(&dots)
        .map(|&(_, y)| y)
        .chain(chart.series.iter().flat_map(|series| {
            let bounds = series.band.iter().flatten();
            bounds.flat_map(|&(low, high)| [low, high])
        }))
        .chain(
            chart
                .references
                .iter()
                .flat_map(|line| spread(line.value, line.error)),
        )
        .chain(
            outcomes
                .iter()
                .flat_map(|&(_, value, error)| spread(value, error)),
        );
    let frame = Frame {
        title: chart.title,
        size: chart.size,
        x: (&chart.x, x_range.clone()),
        y: (&chart.y, padded(y_values, 0.06)),
    };
    let mut drawing = frame.draw(|area| {
        if let Some(Dots { ink, .. }) = &chart.dots {
            let style = ink.colour().mix(0.55).filled();
            let circle = |&point: &(f64, f64)| Circle::new(point, 2 * SCALE, style);
            area.draw_series(dots.iter().map(circle))?;
        }
        for series in &chart.series {
            draw_band(area, series)?;
        }
        for reference in &chart.references {
            draw_reference(area, reference, (x_range.start, x_range.end))?;
        }
        for series in chart.series.iter().rev() {
            let style = series.ink.colour().stroke_width(2 * SCALE);
            area.draw_series([PathElement::new(series.outline(&series.points), style)])?;
        }
        if let Some(Outcomes { ink, values, .. }) = &chart.outcomes {
            let separator = Ink::Faint.colour().stroke_width(SCALE);
            let rule = vec![(end, frame.y.1.start), (end, frame.y.1.end)];
            area.draw_series([PathElement::new(rule, separator)])?;
            let colour = ink.colour();
            for (index, &(_, value, error)) in values.iter().enumerate() {
                let x = end + gap * (index + 1) as f64;
                if let Some(error) = error {
                    let bar = vec![(x, value - error), (x, value + error)];
                    area.draw_series([PathElement::new(bar, colour.stroke_width(2 * SCALE))])?;
                }
                area.draw_series([Circle::new((x, value), 4 * SCALE, colour.filled())])?;
            }
        }
        Ok(())
    })?;
    let labels = outcomes.iter().map(|(label, _, _)| label.clone());
    let without = dots.iter().map(|_| String::new());
    drawing.label_circles(&without.chain(labels).collect::<Vec<_>>());
    let figure = Figure::new(chart.title, drawing).with_legend(legend(chart));
    Ok(
        match chart
            .dots
            .as_ref()
            .and_then(|all| all.left_out(dots.len(), outside))
        {
            None => figure,
            Some(sentence) => figure.with_caption(&sentence),
        },
    )
}

fn draw_band(area: &mut Chart<'_, '_>, series: &Series) -> Result<(), DrawingError> {
    let border = series.border();
    // A single point has no width.
    if border.len() < 4 {
        return Ok(());
    }
    area.draw_series([Polygon::new(border, series.ink.colour().mix(0.15))])?;
    Ok(())
}

fn draw_reference(
    area: &mut Chart<'_, '_>,
    reference: &Reference,
    (start, end): (f64, f64),
) -> Result<(), DrawingError> {
    let &Reference {
        ink, value, error, ..
    } = reference;
    if let Some(error) = error {
        let corners = [(start, value - error), (end, value + error)];
        area.draw_series([Rectangle::new(corners, ink.colour().mix(0.12).filled())])?;
    }
    let line = vec![(start, value), (end, value)];
    let style = ink.colour().stroke_width(3 * SCALE / 2);
    area.draw_series([PathElement::new(line, style)])?;
    Ok(())
}

fn legend(chart: &Curves<'_>) -> Vec<LegendEntry> {
    let mark = |has_band: bool| if has_band { Mark::Band } else { Mark::Line };
    let series = chart
        .series
        .iter()
        .map(|series| LegendEntry::new(&series.name, series.ink, mark(series.band.is_some())));
    let references = chart
        .references
        .iter()
        .map(|line| LegendEntry::new(&line.name, line.ink, mark(line.error.is_some())));
    let outcomes = chart
        .outcomes
        .iter()
        .filter(|outcomes| !outcomes.values.is_empty())
        .map(|outcomes| LegendEntry::new(&outcomes.name, outcomes.ink, Mark::ErrorBar));
    let dots = chart
        .dots
        .iter()
        .filter(|dots| !dots.points.is_empty())
        .map(|dots| LegendEntry::new(&dots.name, dots.ink, Mark::Dot));
    series
        .chain(dots)
        .chain(outcomes)
        .chain(references)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Unit;

    #[test]
    fn steps_have_both_their_ends() {
        assert_eq!(
            steps(&[(1.0, 5.0), (3.0, 7.0), (9.0, 7.0)]),
            [(1.0, 5.0), (3.0, 5.0), (3.0, 7.0), (9.0, 7.0)]
        );
        assert!(steps(&[]).is_empty());
    }

    #[test]
    fn everything_is_drawn_and_named() {
        let series = |name: &str, ink, band| Series {
            name: name.to_owned(),
            ink,
            shape: Shape::Steps,
            points: vec![(0.0, 0.5), (10.0, 0.6), (20.0, 0.6)],
            band,
        };
        let chart = Curves {
            title: "Progress",
            size: ChartSize::Wide,
            x: Axis::new("steps", Unit::Count),
            y: Axis::new("accuracy", Unit::Share),
            series: vec![
                series(
                    "best",
                    Ink::Blue,
                    Some(vec![(0.4, 0.6), (0.5, 0.7), (0.5, 0.7)]),
                ),
                series("other", Ink::Violet, None),
            ],
            references: vec![Reference {
                name: "probe".to_owned(),
                ink: Ink::Muted,
                value: 0.3,
                error: Some(0.01),
            }],
            outcomes: Some(Outcomes {
                name: "again".to_owned(),
                ink: Ink::Green,
                values: vec![
                    ("first".to_owned(), 0.55, Some(0.02)),
                    ("second".to_owned(), 0.5, None),
                ],
            }),
            dots: Some(Dots {
                name: "each".to_owned(),
                ink: Ink::Muted,
                points: vec![(1.0, 0.5), (2.0, 0.4), (3.0, 0.5), (4.0, 0.4), (5.0, 100.0)],
            }),
        };
        let mut section = crate::Section::new("");
        section.figure(&curves(&chart).unwrap());
        let mut document = crate::Document::new("", "", "");
        document.section(section);
        let page = document.finish();
        for part in [
            "best",
            "other",
            "probe",
            "again",
            "<title>first</title>",
            "<title>second</title>",
            "Far outside and not shown: 1.",
        ] {
            assert!(page.contains(part), "no {part}");
        }
        assert_eq!(page.matches("<polygon").count(), 1);
    }

    #[test]
    fn no_point_is_no_failure() {
        let chart = Curves {
            title: "Nothing",
            size: ChartSize::Half,
            x: Axis::new("x", Unit::Count),
            y: Axis::new("y", Unit::Number),
            series: Vec::new(),
            references: Vec::new(),
            outcomes: None,
            dots: None,
        };
        assert!(curves(&chart).is_ok());
    }
}
