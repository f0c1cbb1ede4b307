//! Scatter plots.

use maud::html;

use crate::axes::{Axis, ChartSize, Frame, padded, spread};
use crate::figure::Figure;
use crate::ink::Ink;
use crate::legend::{Key, LegendEntry, Mark};
use crate::numbers::grouped;
use crate::svg::Px;
use crate::thinning::{MOST_POINTS, evenly};

/// The largest number of points with tooltips: among more, a single point is hard to find.
const MOST_TOOLTIPS: usize = 600;

/// Points in groups of one colour, over half the width of the page.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scatter<'a> {
    /// Title of the figure.
    pub(crate) title: &'a str,
    /// The horizontal axis.
    pub(crate) x: Axis,
    /// The vertical axis.
    pub(crate) y: Axis,
    /// Name and colour of each group.
    pub(crate) groups: Vec<Key>,
    /// The points. If there are many, only some are drawn.
    pub(crate) points: Vec<Point>,
    /// The name of a line and the indices of the points that it joins, in order. All of these are drawn.
    pub(crate) front: Option<(String, Vec<usize>)>,
    /// Points for comparison.
    pub(crate) landmarks: Vec<Landmark>,
}

/// One point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    /// The horizontal position.
    pub(crate) x: f64,
    /// The vertical position.
    pub(crate) y: f64,
    /// Index of its group.
    pub(crate) group: usize,
    /// Its tooltip.
    pub(crate) label: String,
}

/// A point for comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Landmark {
    /// Name and colour.
    pub(crate) key: Key,
    /// The horizontal position.
    pub(crate) x: f64,
    /// The vertical position.
    pub(crate) y: f64,
    /// Half the length of its error bar.
    pub(crate) error: Option<f64>,
}

/// Draws the points, with the front and the landmarks on top.
///
/// Points that are not finite are omitted. Of more than [`MOST_POINTS`] points, an even choice and the front are drawn,
/// and the caption says so. Above [`MOST_TOOLTIPS`] only the front has tooltips.
pub(crate) fn scatter(chart: &Scatter<'_>) -> Figure {
    let front = chart.front.as_ref().map_or(&[][..], |(_, front)| front);
    let drawn: Vec<&Point> = evenly(chart.points.len(), front)
        .into_iter()
        .map(|index| &chart.points[index])
        .filter(|point| point.x.is_finite() && point.y.is_finite())
        .collect();
    let marks = || chart.landmarks.iter();
    let x_values = drawn.iter().map(|point| point.x);
    let y_values = drawn.iter().map(|point| point.y);
    let frame = Frame {
        size: ChartSize::Half,
        x: (
            &chart.x,
            padded(x_values.chain(marks().map(|mark| mark.x)), 0.04),
        ),
        y: (
            &chart.y,
            padded(
                y_values.chain(marks().flat_map(|mark| spread(mark.y, mark.error))),
                0.06,
            ),
        ),
    };
    let on_front: Vec<&Point> = front.iter().map(|&index| &chart.points[index]).collect();
    let (radius, opacity) = match drawn.len() {
        0..=200 => (4.0, 0.75),
        201..=800 => (3.0, 0.6),
        _ => (2.5, 0.45),
    };
    let ink = |point: &Point| {
        let group = chart.groups.get(point.group);
        group.map_or(Ink::Muted, |group| group.ink)
    };
    let drawing = html! {
        g fill-opacity=(opacity) {
            @for point in &drawn {
                @let (x, y) = frame.at((point.x, point.y));
                circle cx=(x) cy=(y) r=(radius) fill=(ink(point)) {
                    @if drawn.len() <= MOST_TOOLTIPS { title { (point.label) } }
                }
            }
        }
        @if !on_front.is_empty() {
            g fill="none" stroke=(Ink::Text) {
                polyline points=(frame.corners(&front_line(&on_front, frame.x.1.end))) stroke-width="1.5" {}
                @for point in &on_front {
                    @let (x, y) = frame.at((point.x, point.y));
                    circle cx=(x) cy=(y) r=(Px(radius + 1.0)) stroke-width="2" pointer-events="all" {
                        title { (point.label) }
                    }
                }
            }
        }
        @for mark in &chart.landmarks {
            @let tooltip = format!("{}: {}", mark.key.name, chart.y.unit.show(mark.y));
            (frame.estimate((mark.x, mark.y), mark.error, mark.key.ink, &tooltip))
        }
    };
    let figure = frame
        .figure(chart.title, &drawing)
        .with_legend(legend(chart));
    if chart.points.len() <= MOST_POINTS {
        return figure;
    }
    figure.with_caption(&format!(
        "Of {} points, {} are drawn, chosen evenly in the order of the trials{}.",
        grouped(chart.points.len() as u64),
        grouped(drawn.len() as u64),
        if front.is_empty() {
            ""
        } else {
            ", including the whole front"
        }
    ))
}

/// The front as steps: the best value at each cost. The last value holds for every higher cost.
fn front_line(front: &[&Point], end: f64) -> Vec<(f64, f64)> {
    let mut line: Vec<(f64, f64)> = Vec::new();
    for point in front {
        if let Some(&(_, before)) = line.last() {
            line.push((point.x, before));
        }
        line.push((point.x, point.y));
    }
    if let Some(&(_, last)) = line.last() {
        line.push((end, last));
    }
    line
}

fn legend(chart: &Scatter<'_>) -> Vec<LegendEntry> {
    let mut entries: Vec<LegendEntry> = Vec::new();
    for (index, group) in chart.groups.iter().enumerate() {
        if chart.points.iter().any(|point| point.group == index) {
            entries.push(group.entry(Mark::Point));
        }
    }
    for (name, _) in chart.front.iter().filter(|(_, front)| !front.is_empty()) {
        entries.push(Key::new(name, Ink::Text).entry(Mark::Ring));
    }
    for landmark in &chart.landmarks {
        let has_bar = landmark.error.is_some();
        let mark = if has_bar { Mark::ErrorBar } else { Mark::Point };
        entries.push(landmark.key.entry(mark));
    }
    entries
}

#[cfg(test)]
mod tests {
    use maud::Render;

    use super::*;
    use crate::numbers::Unit;

    fn chart(points: usize, front: Option<Vec<usize>>) -> Scatter<'static> {
        let point = |index: usize| Point {
            x: index as f64,
            y: (index % 7) as f64,
            group: index % 2,
            label: format!("point {index}"),
        };
        Scatter {
            title: "Points",
            x: Axis::new("x", Unit::Count),
            y: Axis::new("y", Unit::Number),
            groups: vec![Key::new("even", Ink::Blue), Key::new("odd", Ink::Orange)],
            points: (0..points).map(point).collect(),
            front: front.map(|front| ("front".to_owned(), front)),
            landmarks: vec![Landmark {
                key: Key::new("baseline", Ink::Green),
                x: 3.0,
                y: 1.0,
                error: Some(0.5),
            }],
        }
    }

    fn page(chart: &Scatter<'_>) -> String {
        scatter(chart).render().into_string()
    }

    #[test]
    fn every_point_of_a_few_is_there_with_its_tooltip() {
        let text = page(&chart(5, Some(vec![0, 1])));
        for index in 0..5 {
            assert!(text.contains(&format!("<title>point {index}</title>")));
        }
        assert!(text.contains("<title>baseline: 1</title>"));
        assert!(!text.contains("chosen evenly"));
    }

    #[test]
    fn of_many_the_front_is_always_among_the_chosen() {
        let text = page(&chart(50_000, Some(vec![1, 49_999])));
        assert_eq!(text.matches("<title>point ").count(), 2);
        assert!(text.contains("<title>point 49999</title>"));
        assert!(
            text.contains("Of 50,000 points, 1,502 are drawn"),
            "no caption"
        );
        assert!(text.len() < 120_000, "{}", text.len());
    }

    #[test]
    fn the_front_goes_on_to_the_end() {
        let scatter = chart(3, None);
        let front: Vec<&Point> = scatter.points.iter().collect();
        assert_eq!(
            front_line(&front[..2], 9.0),
            [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (9.0, 1.0)]
        );
        assert!(front_line(&[], 9.0).is_empty());
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut scatter = chart(3, None);
        scatter.points[1].y = f64::NAN;
        let text = page(&scatter);
        assert!(!text.contains("point 1<") && text.contains("point 2<"));
    }
}
