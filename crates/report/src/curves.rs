//! Curves: values over the course of a search.

use maud::html;

use crate::axes::{Axis, ChartSize, Frame, padded, spread};
use crate::dots::Dots;
use crate::figure::Figure;
use crate::ink::Ink;
use crate::legend::{Key, LegendEntry, Mark};

/// Several curves in one chart, over the width of the page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curves<'a> {
    /// Title of the figure.
    pub(crate) title: &'a str,
    /// The horizontal axis.
    pub(crate) x: Axis,
    /// The vertical axis.
    pub(crate) y: Axis,
    /// The curves, the first one on top.
    pub(crate) series: Vec<Series>,
    /// Values that are constant.
    pub(crate) references: Vec<Reference>,
    /// Final values, to the right of the curves.
    pub(crate) outcomes: Option<Outcomes>,
    /// Single values, behind the curves.
    pub(crate) dots: Option<Dots>,
}

/// One curve: a value holds until the next point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Name and colour.
    pub(crate) key: Key,
    /// Its points, x ascending.
    pub(crate) points: Vec<(f64, f64)>,
    /// Lowest and highest value at each of its points.
    pub(crate) band: Option<Vec<(f64, f64)>>,
}

/// A constant value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reference {
    /// Name and colour.
    pub(crate) key: Key,
    /// The value.
    pub(crate) value: f64,
    /// Half the width of its band.
    pub(crate) error: Option<f64>,
}

/// Values side by side after the end of the curves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcomes {
    /// Name and colour.
    pub(crate) key: Key,
    /// Tooltip, value and its error.
    pub(crate) values: Vec<(String, f64, Option<f64>)>,
}

impl Series {
    /// The outline of its band, along the lower side and back along the upper one; none for a single point.
    fn border(&self) -> Option<Vec<(f64, f64)>> {
        let bounds = self.band.as_deref()?;
        let points = || self.points.iter().zip(bounds);
        let low: Vec<(f64, f64)> = points().map(|(&(x, _), &(low, _))| (x, low)).collect();
        let high: Vec<(f64, f64)> = points().map(|(&(x, _), &(_, high))| (x, high)).collect();
        let mut border = steps(&low);
        border.extend(steps(&high).into_iter().rev());
        (low.len() > 1).then_some(border)
    }
}

/// Both ends of every step.
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
pub(crate) fn curves(chart: &Curves<'_>) -> Figure {
    let outcomes = chart
        .outcomes
        .as_ref()
        .map_or(&[][..], |outcomes| &outcomes.values);
    let chosen = chart.dots.as_ref().map(Dots::chosen);
    let (dots, outside) = chosen.unwrap_or_default();
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let mut x_range = padded(points().map(|&(x, _)| x), 0.0);
    let end = x_range.end;
    // The outcomes have their own margin.
    let gap = (x_range.end - x_range.start) * 0.025;
    if !outcomes.is_empty() {
        x_range.end += gap * (outcomes.len() + 1) as f64;
    }
    let mut values: Vec<f64> = points().chain(&dots).map(|&(_, y)| y).collect();
    let bands = chart
        .series
        .iter()
        .flat_map(|series| series.band.iter().flatten());
    values.extend(bands.flat_map(|&(low, high)| [low, high]));
    values.extend(
        chart
            .references
            .iter()
            .flat_map(|line| spread(line.value, line.error)),
    );
    values.extend(
        outcomes
            .iter()
            .flat_map(|&(_, value, error)| spread(value, error)),
    );
    let frame = Frame {
        size: ChartSize::Wide,
        x: (&chart.x, x_range.clone()),
        y: (&chart.y, padded(values, 0.06)),
    };
    let across = |y: f64| [(x_range.start, y), (x_range.end, y)];
    let drawing = html! {
        @if let Some(Dots { key, .. }) = &chart.dots {
            g fill=(key.ink) fill-opacity="0.55" {
                @for &dot in &dots {
                    @let (x, y) = frame.at(dot);
                    circle cx=(x) cy=(y) r="2" {}
                }
            }
        }
        @for series in &chart.series {
            @if let Some(border) = series.border() {
                polygon points=(frame.corners(&border)) fill=(series.key.ink) fill-opacity="0.15" {}
            }
        }
        @for &Reference { key: Key { ink, .. }, value, error } in &chart.references {
            @if let Some(error) = error {
                @let ([a, b], [c, d]) = (across(value - error), across(value + error));
                polygon points=(frame.corners(&[a, b, d, c])) fill=(ink) fill-opacity="0.12" {}
            }
            polyline points=(frame.corners(&across(value))) stroke=(ink) stroke-width="1.5" {}
        }
        @for series in chart.series.iter().rev() {
            polyline points=(frame.corners(&steps(&series.points))) fill="none" stroke=(series.key.ink) stroke-width="2" {}
        }
        @if let Some(Outcomes { key, values }) = &chart.outcomes {
            polyline points=(frame.corners(&[(end, frame.y.1.start), (end, frame.y.1.end)])) stroke=(Ink::Faint) {}
            @for (index, (tooltip, value, error)) in (1..).zip(values) {
                (frame.estimate((end + gap * f64::from(index), *value), *error, key.ink, tooltip))
            }
        }
    };
    let left_out = chart
        .dots
        .as_ref()
        .and_then(|all| all.left_out(dots.len(), outside));
    frame
        .figure(chart.title, &drawing)
        .with_legend(legend(chart))
        .with_caption(&left_out.unwrap_or_default())
}

fn legend(chart: &Curves<'_>) -> Vec<LegendEntry> {
    let mut entries: Vec<LegendEntry> = Vec::new();
    for series in &chart.series {
        entries.push(series.key.line(series.band.is_some()));
    }
    for dots in chart.dots.iter().filter(|dots| !dots.points.is_empty()) {
        entries.push(dots.key.entry(Mark::Dot));
    }
    for outcomes in chart.outcomes.iter().filter(|all| !all.values.is_empty()) {
        entries.push(outcomes.key.entry(Mark::ErrorBar));
    }
    for reference in &chart.references {
        entries.push(reference.key.line(reference.error.is_some()));
    }
    entries
}

#[cfg(test)]
mod tests {
    use maud::Render;

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
            key: Key::new(name, ink),
            points: vec![(0.0, 0.5), (10.0, 0.6), (20.0, 0.6)],
            band,
        };
        let band = vec![(0.4, 0.6), (0.5, 0.7), (0.5, 0.7)];
        let chart = Curves {
            title: "Progress",
            x: Axis::new("steps", Unit::Count),
            y: Axis::new("accuracy", Unit::Share),
            series: vec![
                series("best", Ink::Blue, Some(band)),
                series("other", Ink::Violet, None),
            ],
            references: vec![Reference {
                key: Key::new("probe", Ink::Muted),
                value: 0.3,
                error: Some(0.01),
            }],
            outcomes: Some(Outcomes {
                key: Key::new("again", Ink::Green),
                values: vec![
                    ("first".to_owned(), 0.55, Some(0.02)),
                    ("second".to_owned(), 0.5, None),
                ],
            }),
            dots: Some(Dots {
                key: Key::new("each", Ink::Muted),
                points: vec![(1.0, 0.5), (2.0, 0.4), (3.0, 0.5), (4.0, 0.4), (5.0, 100.0)],
            }),
        };
        let page = curves(&chart).render().into_string();
        for part in [
            "best",
            "other",
            "probe",
            "again",
            "<title>first</title>",
            "<title>second</title>",
            "Outliers not shown: 1.",
        ] {
            assert!(page.contains(part), "no {part}");
        }
        // The bands of a series and of a reference; four dots, two outcomes and their two marks in the legend.
        assert_eq!(page.matches("<polygon").count(), 2);
        assert_eq!(page.matches("<circle").count(), 4 + 2 + 2);
    }

    #[test]
    fn no_point_is_no_failure() {
        let chart = Curves {
            title: "Nothing",
            x: Axis::new("x", Unit::Count),
            y: Axis::new("y", Unit::Number),
            series: Vec::new(),
            references: Vec::new(),
            outcomes: None,
            dots: None,
        };
        assert!(curves(&chart).render().into_string().contains("Nothing"));
    }
}
