//! A number for every pair of source and target as a grid of colours.

use std::ops::Range;

use adaplace_search_space::Connection;
use maud::{Markup, html};

use crate::figure::Figure;
use crate::ink::{Ink, hex};
use crate::legend::{Key, Mark};
use crate::numbers::Unit;
use crate::svg::Px;
use crate::viridis::{colour, is_light, position};

/// Side and origin of the grid, in pixels.
const SIDE: f64 = 420.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 46.0;
const SIZE: (f64, f64) = (490.0, 530.0);

/// The number of states above which several connections share a square, and the number above which a square is too
/// small for its value.
const MOST_SQUARES: usize = 49;
const MOST_NUMBERS: usize = 16;

/// The options of a heatmap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HeatmapOptions<'a> {
    /// Title of the figure.
    pub(crate) title: &'a str,
    /// The format of its numbers.
    pub(crate) unit: Unit,
    /// Connections to outline, with their name in the legend.
    pub(crate) outlined: Option<(&'a str, &'a [Connection])>,
}

/// Draws the value of every source and target among the hidden states. Squares without a finite value stay empty.
pub(crate) fn heatmap(
    states: usize,
    value: &dyn Fn(usize, usize) -> Option<f64>,
    options: &HeatmapOptions<'_>,
) -> Figure {
    let grid = Grid::new(states, value);
    let values = || grid.squares.iter().map(|square| square.value);
    let lowest = values().fold(f64::INFINITY, f64::min);
    let highest = values().fold(f64::NEG_INFINITY, f64::max);
    let outlined = options.outlined.filter(|(_, some)| !some.is_empty());
    let inside = outlined
        .iter()
        .flat_map(|(_, some)| some.iter())
        .filter(|connection| usize::from(connection.source.max(connection.target)) < grid.states);
    let drawing = html! {
        (axes(grid.states, grid.cell()))
        rect x=(LEFT) y=(TOP) width=(SIDE) height=(SIDE) fill=(Ink::Faint) opacity="0.55" {}
        @for square in &grid.squares {
            @let colour = hex(colour(position(square.value, lowest, highest)));
            (square_of(square, grid.side, &colour, options.unit))
        }
        g text-anchor="middle" pointer-events="none" {
            @for square in grid.squares.iter().filter(|_| grid.across <= MOST_NUMBERS) {
                @let light = is_light(colour(position(square.value, lowest, highest)));
                (number(square, grid.side, light, &options.unit.short(square.value)))
            }
        }
        @if grid.states > 1 {
            path d=(staircase(grid.states, grid.cell())) fill="none" stroke=(Ink::Text) stroke-width="2"
                pointer-events="none" {}
        }
        @if lowest <= highest { (colour_bar(lowest, highest, options.unit)) }
        @for connection in inside { (outline(*connection, &grid)) }
    };
    let entry = |(name, _)| Key::new(name, Ink::Text).entry(Mark::Square);
    let figure = Figure::new(options.title, SIZE, drawing).with_legend(outlined.map(entry));
    match grid.block {
        1 => figure,
        block => figure.with_caption(&format!(
            "Each square is the mean of {block} x {block} connections."
        )),
    }
}

/// The table as it is drawn.
struct Grid {
    states: usize,
    /// Number of states in a square.
    block: usize,
    /// Squares in a row.
    across: usize,
    /// Length of a square, in pixels.
    side: f64,
    /// The squares that have a number.
    squares: Vec<Square>,
}

struct Square {
    x: f64,
    y: f64,
    name: String,
    value: f64,
}

impl Grid {
    fn new(states: usize, value: &dyn Fn(usize, usize) -> Option<f64>) -> Self {
        let block = states.div_ceil(MOST_SQUARES).max(1);
        let across = states.div_ceil(block);
        let side = SIDE / across.max(1) as f64;
        let within = |square: usize| square * block..((square + 1) * block).min(states);
        let places = (0..across).flat_map(|row| (0..across).map(move |column| (row, column)));
        let squares = places.filter_map(|(row, column)| {
            Some(Square {
                x: LEFT + column as f64 * side,
                y: TOP + row as f64 * side,
                name: name(within(row), within(column)),
                value: mean(value, within(row), within(column))?,
            })
        });
        Self {
            states,
            block,
            across,
            side,
            squares: squares.collect(),
        }
    }

    /// Length of one state's part of a square, in pixels.
    fn cell(&self) -> f64 {
        self.side / self.block as f64
    }
}

fn mean(
    value: &dyn Fn(usize, usize) -> Option<f64>,
    sources: Range<usize>,
    targets: Range<usize>,
) -> Option<f64> {
    let values = sources.flat_map(|source| {
        targets
            .clone()
            .filter_map(move |target| value(source, target))
    });
    let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64)
}

fn name(sources: Range<usize>, targets: Range<usize>) -> String {
    let states = |range: Range<usize>| match range.len() {
        0 | 1 => range.start.to_string(),
        _ => format!("{}..{}", range.start, range.end - 1),
    };
    format!("{}->{}", states(sources), states(targets))
}

fn square_of(square: &Square, side: f64, colour: &str, unit: Unit) -> Markup {
    // A gap between large squares; small ones would lose too much to it.
    let side = Px(if side >= 12.0 { side - 1.0 } else { side });
    html! {
        path fill=(colour) d={ "M" (Px(square.x)) " " (Px(square.y)) "h" (side) "v" (side) "h-" (side) "z" } {
            title { (square.name) ": " (unit.show(square.value)) }
        }
    }
}

fn number(square: &Square, side: f64, on_light: bool, text: &str) -> Markup {
    let size = (side * 1.3 / text.len().max(3) as f64).min(12.0);
    let (x, y) = (square.x + side / 2.0, square.y + side / 2.0 + size * 0.35);
    let fill = if on_light { "black" } else { "white" };
    html! { text x=(Px(x)) y=(Px(y)) font-size=(Px(size)) fill=(fill) { (text) } }
}

/// Labels every state if there is room, else every second, fifth, tenth and so on.
fn axes(states: usize, cell: f64) -> Markup {
    let steps = [1, 2, 5, 10, 20, 50, 100];
    let step = steps.into_iter().find(|&step| step as f64 * cell >= 22.0);
    let numbers = || (0..states).step_by(step.unwrap_or(100));
    let place = |state: usize| (state as f64 + 0.5) * cell;
    let middle = TOP + SIDE / 2.0;
    html! {
        g font-size="12" fill=(Ink::Muted) {
            g text-anchor="end" {
                @for state in numbers() { text x=(LEFT - 7.0) y=(Px(TOP + place(state) + 4.0)) { (state) } }
            }
            g text-anchor="middle" {
                @for state in numbers() { text x=(Px(LEFT + place(state))) y=(TOP - 7.0) { (state) } }
            }
        }
        g font-size="13" text-anchor="middle" fill=(Ink::Text) {
            text x=(LEFT + SIDE / 2.0) y=(TOP - 28.0) { "target: adds to" }
            text transform={ "translate(18 " (middle) ") rotate(-90)" } { "source: reads from" }
        }
    }
}

/// The line between the recurrent connections, whose target comes before their source, and the others.
fn staircase(states: usize, cell: f64) -> String {
    let start = format!("M{LEFT} {}", Px(TOP + cell - 0.5));
    let steps = (1..states).map(|state| {
        let x = LEFT + state as f64 * cell - 0.5;
        let y = TOP + (state + 1) as f64 * cell - 0.5;
        format!("H{}V{}", Px(x), Px(y))
    });
    std::iter::once(start).chain(steps).collect()
}

fn outline(connection: Connection, grid: &Grid) -> Markup {
    let start = |state: u16| (usize::from(state) / grid.block) as f64 * grid.side;
    let (x, y) = (
        LEFT + start(connection.target),
        TOP + start(connection.source),
    );
    let side = Px(grid.side - 1.0);
    html! {
        @for (stroke, width) in [("white", 5.0), ("black", 2.5)] {
            rect x=(Px(x)) y=(Px(y)) width=(side) height=(side) rx="1.5" fill="none" stroke=(stroke)
                stroke-width=(width) pointer-events="none" {}
        }
    }
}

fn colour_bar(lowest: f64, highest: f64, unit: Unit) -> Markup {
    const STEPS: u32 = 42;
    let y = TOP + SIDE + 16.0;
    let width = SIDE / f64::from(STEPS);
    let ends = [
        (LEFT, "start", lowest),
        (LEFT + SIDE / 2.0, "middle", (lowest + highest) / 2.0),
        (LEFT + SIDE, "end", highest),
    ];
    html! {
        @for step in 0..STEPS {
            @let fill = hex(colour(f64::from(step) / f64::from(STEPS - 1)));
            // Slightly wider, so that no seam is visible.
            @let width = if step + 1 < STEPS { width + 0.5 } else { width };
            rect x=(Px(LEFT + f64::from(step) * SIDE / f64::from(STEPS))) y=(y) width=(Px(width)) height="10" fill=(fill) {}
        }
        g font-size="12" fill=(Ink::Muted) {
            @for (x, anchor, value) in ends { text x=(x) y=(y + 27.0) text-anchor=(anchor) { (unit.show(value)) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use maud::Render;

    use super::*;

    fn options<'a>() -> HeatmapOptions<'a> {
        HeatmapOptions {
            title: "Map",
            unit: Unit::Number,
            outlined: None,
        }
    }

    fn markup(figure: &Figure) -> String {
        figure.render().into_string()
    }

    #[test]
    fn every_number_has_a_square_and_gaps_have_none() {
        let table = [[Some(1.0), None], [Some(f64::NAN), Some(3.0)]];
        let text = markup(&heatmap(
            2,
            &|source, target| table[source][target],
            &options(),
        ));
        assert!(text.contains("<title>0-&gt;0: 1</title>"));
        assert!(text.contains("<title>1-&gt;1: 3</title>"));
        assert_eq!(text.matches("-&gt;").count(), 2);
        assert!(text.contains("fill=\"#440154\"") && text.contains("fill=\"#FDE725\""));
    }

    #[test]
    fn large_maps_share_squares() {
        let text = markup(&heatmap(257, &|_, _| Some(0.5), &options()));
        // Six states in a square give 43 squares, the last with five states.
        assert_eq!(text.matches("-&gt;").count(), 43 * 43);
        assert!(text.contains("mean of 6 x 6 connections"));
        assert!(text.contains("<title>0..5-&gt;252..256: 0.500</title>"));
        assert!(text.len() < 400_000, "{}", text.len());
    }

    #[test]
    fn nothing_at_all_can_be_drawn() {
        for states in [0, 1, 3] {
            let text = markup(&heatmap(states, &|_, _| None, &options()));
            assert!(text.contains("<svg"));
        }
    }

    #[test]
    fn outlines_outside_the_map_are_left_out() {
        let connections = [Connection::new(0, 1), Connection::new(7, 1)];
        let outlined = HeatmapOptions {
            outlined: Some(("the best", &connections)),
            ..options()
        };
        let text = markup(&heatmap(2, &|_, _| Some(1.0), &outlined));
        assert_eq!(text.matches("stroke=\"black\"").count(), 1);
        assert!(text.contains("the best"));
    }
}
