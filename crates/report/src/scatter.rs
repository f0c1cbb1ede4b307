//! One value against another.

use plotters::prelude::*;

use crate::axes::{Axis, ChartSize, Frame, SCALE, padded};
use crate::document::{Figure, LegendEntry, Mark};
use crate::error::ReportError;
use crate::ink::Ink;
use crate::numbers::grouped;
use crate::thinning::evenly;

/// More points than these cannot be told apart and would make the file large.
const MOST_POINTS: usize = 1500;

/// Among more points than these nobody finds the one whose tooltip is wanted.
const MOST_TOOLTIPS: usize = 600;

/// Points in groups of one colour.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter<'a> {
    /// Title of the figure.
    pub title: &'a str,
    /// How much room it takes.
    pub size: ChartSize,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// Name and colour of each group.
    pub groups: Vec<(String, Ink)>,
    /// The points; of many, a part is drawn.
    pub points: Vec<Point>,
    /// Indices of points to be joined by a line, in its order, and the line's name; all of them are drawn.
    pub front: Option<(String, Vec<usize>)>,
    /// What stands there for comparison.
    pub landmarks: Vec<Landmark>,
}

/// One point.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
    /// Index of its group.
    pub group: usize,
    /// Its tooltip.
    pub label: String,
}

/// A point for comparison, drawn as a ring.
#[derive(Debug, Clone, PartialEq)]
pub struct Landmark {
    /// Its name in the legend.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
    /// Half the length of its bar upwards and downwards.
    pub error: Option<f64>,
}

/// Draws points, over them the front and landmarks.
///
/// Points that are not finite are left out. Of more than 1,500, evenly chosen ones and the front are drawn, and the
/// caption says so; above 600 only the front has tooltips.
///
/// # Errors
/// If the plotting library refuses.
pub fn scatter(chart: &Scatter<'_>) -> Result<Figure, ReportError> {
    let front = chart.front.as_ref().map_or(&[][..], |(_, front)| front);
    let drawn: Vec<&Point> = evenly(chart.points.len(), MOST_POINTS, front)
        .into_iter()
        .map(|index| &chart.points[index])
        .filter(|point| point.x.is_finite() && point.y.is_finite())
        .collect();
    let x_values = drawn.iter().map(|point| point.x);
    let x_values = x_values.chain(chart.landmarks.iter().map(|mark| mark.x));
    let y_values = drawn.iter().map(|point| point.y);
    let y_values = y_values.chain(chart.landmarks.iter().flat_map(|mark| {
        let error = mark.error.unwrap_or(0.0);
        [mark.y - error, mark.y + error]
    }));
    let frame = Frame {
        title: chart.title,
        size: chart.size,
        x: (&chart.x, padded(x_values, 0.04)),
        y: (&chart.y, padded(y_values, 0.06)),
    };
    let end = frame.x.1.end;
    let on_front: Vec<&Point> = front.iter().map(|&index| &chart.points[index]).collect();
    let (radius, opacity) = match drawn.len() {
        0..=200 => (4 * SCALE, 0.75),
        201..=800 => (3 * SCALE, 0.6),
        _ => (5 * SCALE / 2, 0.45),
    };
    let mut drawing = frame.draw(|area| {
        let points = drawn.iter().map(|point| {
            let ink = chart
                .groups
                .get(point.group)
                .map_or(Ink::Muted, |(_, ink)| *ink);
            Circle::new(
                (point.x, point.y),
                radius,
                ink.colour().mix(opacity).filled(),
            )
        });
        area.draw_series(points)?;
        if !on_front.is_empty() {
            let line = front_line(&on_front, end);
            let style = Ink::Text.colour().stroke_width(3 * SCALE / 2);
            area.draw_series([PathElement::new(line, style)])?;
            let rings = on_front.iter().map(|point| {
                let style = Ink::Text.colour().stroke_width(2 * SCALE);
                Circle::new((point.x, point.y), radius + SCALE, style)
            });
            area.draw_series(rings)?;
        }
        for mark in &chart.landmarks {
            let colour = mark.ink.colour();
            if let Some(error) = mark.error {
                let bar = vec![(mark.x, mark.y - error), (mark.x, mark.y + error)];
                area.draw_series([PathElement::new(bar, colour.stroke_width(2 * SCALE))])?;
            }
            area.draw_series([Circle::new((mark.x, mark.y), 4 * SCALE, colour.filled())])?;
        }
        Ok(())
    })?;
    let labels = drawn
        .iter()
        .map(|point| match drawn.len() <= MOST_TOOLTIPS {
            true => point.label.clone(),
            false => String::new(),
        });
    let labels = labels.chain(on_front.iter().map(|point| point.label.clone()));
    let labels = labels.chain(
        chart
            .landmarks
            .iter()
            .map(|mark| format!("{}: {}", mark.name, chart.y.unit.show(mark.y))),
    );
    drawing.label_circles(&labels.collect::<Vec<_>>());
    let figure = Figure::new(chart.title, drawing).with_legend(legend(chart));
    Ok(match chart.points.len() > MOST_POINTS {
        false => figure,
        true => figure.with_caption(&format!(
            "Of {} points {} are drawn, evenly chosen in the order of the trials{}.",
            grouped(chart.points.len() as u64),
            grouped(drawn.len() as u64),
            if front.is_empty() {
                ""
            } else {
                ", all of the front among them"
            }
        )),
    })
}

/// Up and to the right in steps: what a given cost buys at most; the last value holds for every higher cost.
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
    let used = |index: &usize| chart.points.iter().any(|point| point.group == *index);
    let groups = chart
        .groups
        .iter()
        .enumerate()
        .filter(|(index, _)| used(index))
        .map(|(_, (name, ink))| LegendEntry::new(name, *ink, Mark::Point));
    let front = chart
        .front
        .iter()
        .filter(|(_, front)| !front.is_empty())
        .map(|(name, _)| LegendEntry::new(name, Ink::Text, Mark::Ring));
    let landmarks = chart.landmarks.iter().map(|landmark| {
        let mark = match landmark.error {
            Some(_) => Mark::ErrorBar,
            None => Mark::Point,
        };
        LegendEntry::new(&landmark.name, landmark.ink, mark)
    });
    groups.chain(front).chain(landmarks).collect()
}

#[cfg(test)]
mod tests {
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
            size: ChartSize::Half,
            x: Axis::new("x", Unit::Count),
            y: Axis::new("y", Unit::Number),
            groups: vec![
                ("even".to_owned(), Ink::Blue),
                ("odd".to_owned(), Ink::Orange),
            ],
            points: (0..points).map(point).collect(),
            front: front.map(|front| ("front".to_owned(), front)),
            landmarks: vec![Landmark {
                name: "baseline".to_owned(),
                ink: Ink::Green,
                x: 3.0,
                y: 1.0,
                error: Some(0.5),
            }],
        }
    }

    fn page(chart: &Scatter<'_>) -> String {
        let mut section = crate::Section::new("");
        section.figure(&scatter(chart).unwrap());
        let mut document = crate::Document::new("", "", "");
        document.section(section);
        document.finish()
    }

    #[test]
    fn every_point_of_a_few_is_there_with_its_tooltip() {
        let text = page(&chart(5, Some(vec![0, 1])));
        for index in 0..5 {
            assert!(text.contains(&format!("<title>point {index}</title>")));
        }
        assert!(text.contains("<title>baseline: 1</title>"));
        assert!(!text.contains("evenly chosen"));
    }

    #[test]
    fn of_many_the_front_is_always_among_the_chosen() {
        let text = page(&chart(50_000, Some(vec![1, 49_999])));
        assert_eq!(text.matches("<title>point ").count(), 2);
        assert!(text.contains("<title>point 49999</title>"));
        assert!(
            text.contains("Of 50,000 points 1,502 are drawn"),
            "no caption"
        );
        assert!(text.len() < 250_000, "{}", text.len());
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
