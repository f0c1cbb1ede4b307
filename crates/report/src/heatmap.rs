//! A number for every pair of source and target as a grid of colours.

use std::ops::Range;

use adaplace_search_space::Connection;

use crate::document::{Figure, LegendEntry, Mark};
use crate::ink::{Ink, hex};
use crate::markup::escaped;
use crate::numbers::Unit;
use crate::svg::{Anchor, Svg};

/// Dark blue over green to yellow: even steps in lightness, also without colour vision (nine points of viridis).
const COLOURS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// Of the grid on the page, in pixels.
const SIDE: f64 = 420.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 46.0;
const WIDTH: u32 = 490;
const HEIGHT: u32 = 530;

/// Above so many states several connections share a square, and above so many a square is too small for its number.
const MOST_SQUARES: usize = 49;
const MOST_NUMBERS: usize = 16;

/// What a heatmap shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeatmapOptions<'a> {
    /// Title of the figure.
    pub title: &'a str,
    /// How they are written.
    pub unit: Unit,
    /// Connections to be outlined, and what they are.
    pub outlined: Option<(&'a str, &'a [Connection])>,
}

/// Draws the square `table[source][target]`; what is `None` or no finite number stays empty.
#[must_use]
pub fn heatmap(table: &[Vec<Option<f64>>], options: &HeatmapOptions<'_>) -> Figure {
    let states = table.len();
    let block = states.div_ceil(MOST_SQUARES).max(1);
    let squares = states.div_ceil(block);
    let grid: Vec<Vec<Option<f64>>> = (0..squares)
        .map(|row| {
            let rows = within(row, block, states);
            let mean_of = |column| mean(table, rows.clone(), within(column, block, states));
            (0..squares).map(mean_of).collect()
        })
        .collect();
    let all = || grid.iter().flatten().copied().flatten();
    let lowest = all().fold(f64::INFINITY, f64::min);
    let highest = all().fold(f64::NEG_INFINITY, f64::max);

    let mut drawing = Svg::new(WIDTH, HEIGHT, options.title);
    let cell = SIDE / squares.max(1) as f64;
    axes(&mut drawing, states, cell / block as f64);
    let fill = Ink::Faint.hex();
    drawing.add(format_args!(
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"{fill}\" opacity=\"0.55\"/>\n"
    ));
    for (row, values) in grid.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            let Some(value) = *value else { continue };
            let square = Square {
                x: LEFT + column as f64 * cell,
                y: TOP + row as f64 * cell,
                side: cell,
            };
            let colour = colour(position(value, lowest, highest));
            let name = name(within(row, block, states), within(column, block, states));
            let text = format!("{name}: {}", options.unit.show(value));
            square.draw(&mut drawing, colour, &text);
            if squares <= MOST_NUMBERS {
                square.number(&mut drawing, colour, &options.unit.short(value));
            }
        }
    }
    staircase(&mut drawing, states, cell / block as f64);
    if lowest <= highest {
        colour_bar(&mut drawing, lowest, highest, options.unit);
    }
    let mut figure_legend = Vec::new();
    if let Some((name, connections)) = options.outlined.filter(|(_, some)| !some.is_empty()) {
        let inside = connections.iter().filter(|connection| {
            usize::from(connection.source) < states && usize::from(connection.target) < states
        });
        for connection in inside {
            outline(&mut drawing, *connection, cell / block as f64, block);
        }
        figure_legend.push(LegendEntry::new(name, Ink::Text, Mark::Square));
    }
    let figure = Figure::new(options.title, drawing).with_legend(figure_legend);
    match block {
        1 => figure,
        _ => figure.with_caption(&format!(
            "Each square is the mean of {block} x {block} connections."
        )),
    }
}

/// The states that one square of `block` states stands for.
fn within(square: usize, block: usize, states: usize) -> Range<usize> {
    square * block..((square + 1) * block).min(states)
}

fn mean(table: &[Vec<Option<f64>>], sources: Range<usize>, targets: Range<usize>) -> Option<f64> {
    let rows = table[sources].iter();
    let values = rows.flat_map(|row| row.get(targets.clone()).unwrap_or_default());
    let finite: Vec<f64> = values
        .copied()
        .flatten()
        .filter(|value| value.is_finite())
        .collect();
    (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64)
}

fn name(sources: Range<usize>, targets: Range<usize>) -> String {
    let states = |range: Range<usize>| match range.len() {
        0 | 1 => range.start.to_string(),
        _ => format!("{}..{}", range.start, range.end - 1),
    };
    format!("{}->{}", states(sources), states(targets))
}

fn position(value: f64, lowest: f64, highest: f64) -> f64 {
    match highest > lowest {
        true => (value - lowest) / (highest - lowest),
        false => 0.0,
    }
}

/// The colour at a position from 0 to 1.
fn colour(position: f64) -> [u8; 3] {
    let place = position.clamp(0.0, 1.0) * (COLOURS.len() - 1) as f64;
    let below = (place as usize).min(COLOURS.len() - 2);
    let part = place - below as f64;
    std::array::from_fn(|channel| {
        let from = f64::from(COLOURS[below][channel]);
        let to = f64::from(COLOURS[below + 1][channel]);
        (from + part * (to - from)).round() as u8
    })
}

struct Square {
    x: f64,
    y: f64,
    side: f64,
}

impl Square {
    fn draw(&self, drawing: &mut Svg, colour: [u8; 3], text: &str) {
        let Self { x, y, side } = self;
        // A gap between large squares; small ones would lose too much to it.
        let side = if *side >= 12.0 { side - 1.0 } else { *side };
        let (fill, title) = (hex(colour), escaped(text));
        drawing.add(format_args!(
            "<path d=\"M{x:.1} {y:.1}h{side:.1}v{side:.1}h-{side:.1}z\" fill=\"{fill}\"><title>{title}</title></path>\n"
        ));
    }

    fn number(&self, drawing: &mut Svg, colour: [u8; 3], text: &str) {
        let [red, green, blue] = colour.map(f64::from);
        let fill = match 0.299 * red + 0.587 * green + 0.114 * blue > 140.0 {
            true => "black",
            false => "white",
        };
        let (x, y) = (self.x + self.side / 2.0, self.y + self.side / 2.0);
        let size = (self.side * 1.3 / text.len().max(3) as f64).min(12.0);
        let y = y + size * 0.35;
        drawing.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size:.1}\" font-family=\"sans-serif\" \
             text-anchor=\"middle\" fill=\"{fill}\" pointer-events=\"none\">{}</text>\n",
            escaped(text)
        ));
    }
}

/// Every state has its number where there is room, else every second, fifth, tenth and so on.
fn axes(drawing: &mut Svg, states: usize, cell: f64) {
    let steps = [1, 2, 5, 10, 20, 50, 100];
    let step = steps.into_iter().find(|&step| step as f64 * cell >= 22.0);
    for state in (0..states).step_by(step.unwrap_or(100)) {
        let place = (state as f64 + 0.5) * cell;
        let label = state.to_string();
        drawing.text(
            (LEFT - 7.0, TOP + place + 4.0),
            12,
            Anchor::End,
            Ink::Muted,
            &label,
        );
        drawing.text(
            (LEFT + place, TOP - 7.0),
            12,
            Anchor::Middle,
            Ink::Muted,
            &label,
        );
    }
    let (middle, colour) = (TOP + SIDE / 2.0, Ink::Text.hex());
    drawing.text(
        (LEFT + SIDE / 2.0, TOP - 28.0),
        13,
        Anchor::Middle,
        Ink::Text,
        "target: adds to",
    );
    drawing.add(format_args!(
        "<text x=\"18\" y=\"{middle}\" font-size=\"13\" font-family=\"sans-serif\" text-anchor=\"middle\" \
         fill=\"{colour}\" transform=\"rotate(-90 18 {middle})\">source: reads from</text>\n"
    ));
}

/// Divides the recurrent connections, whose target comes before their source, from the others.
fn staircase(drawing: &mut Svg, states: usize, cell: f64) {
    if states < 2 {
        return;
    }
    let start = TOP + cell;
    let mut path = format!("M{LEFT} {:.2}", start - 0.5);
    for state in 1..states {
        let x = LEFT + state as f64 * cell - 0.5;
        let y = TOP + (state + 1) as f64 * cell - 0.5;
        path.push_str(&format!("H{x:.2}V{y:.2}"));
    }
    let stroke = Ink::Text.hex();
    drawing.add(format_args!(
        "<path d=\"{path}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"2\" pointer-events=\"none\"/>\n"
    ));
}

fn outline(drawing: &mut Svg, connection: Connection, cell: f64, block: usize) {
    let square = |state: u16| (usize::from(state) / block * block) as f64 * cell;
    let (x, y) = (
        LEFT + square(connection.target),
        TOP + square(connection.source),
    );
    let side = cell * block as f64 - 1.0;
    for (stroke, width) in [("white", 5.0), ("black", 2.5)] {
        drawing.add(format_args!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{side:.2}\" height=\"{side:.2}\" rx=\"1.5\" fill=\"none\" \
             stroke=\"{stroke}\" stroke-width=\"{width}\" pointer-events=\"none\"/>\n"
        ));
    }
}

fn colour_bar(drawing: &mut Svg, lowest: f64, highest: f64, unit: Unit) {
    const STEPS: usize = 42;
    let y = TOP + SIDE + 16.0;
    let width = SIDE / STEPS as f64;
    for step in 0..STEPS {
        let fill = hex(colour(step as f64 / (STEPS - 1) as f64));
        let x = LEFT + step as f64 * width;
        // Wider by a little, so that no seam shows.
        let width = if step + 1 < STEPS { width + 0.5 } else { width };
        drawing.add(format_args!(
            "<path d=\"M{x:.1} {y}h{width:.1}v10h-{width:.1}z\" fill=\"{fill}\"/>\n"
        ));
    }
    let ends = [
        (LEFT, Anchor::Start, lowest),
        (LEFT + SIDE / 2.0, Anchor::Middle, (lowest + highest) / 2.0),
        (LEFT + SIDE, Anchor::End, highest),
    ];
    for (x, anchor, value) in ends {
        drawing.text((x, y + 27.0), 12, anchor, Ink::Muted, &unit.show(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options<'a>() -> HeatmapOptions<'a> {
        HeatmapOptions {
            title: "Map",
            unit: Unit::Number,
            outlined: None,
        }
    }

    fn markup(figure: &Figure) -> String {
        let mut section = crate::Section::new("");
        section.figure(figure);
        let mut document = crate::Document::new("", "", "");
        document.section(section);
        document.finish()
    }

    #[test]
    fn every_number_has_a_square_and_gaps_have_none() {
        let table = vec![vec![Some(1.0), None], vec![Some(f64::NAN), Some(3.0)]];
        let text = markup(&heatmap(&table, &options()));
        assert!(text.contains("<title>0-&gt;0: 1</title>"));
        assert!(text.contains("<title>1-&gt;1: 3</title>"));
        assert_eq!(text.matches("-&gt;").count(), 2);
        assert!(text.contains("fill=\"#440154\"") && text.contains("fill=\"#FDE725\""));
    }

    #[test]
    fn large_maps_share_squares() {
        let table = vec![vec![Some(0.5); 257]; 257];
        let text = markup(&heatmap(&table, &options()));
        // Six states to a square: 43 squares, the last of five states.
        assert_eq!(text.matches("-&gt;").count(), 43 * 43);
        assert!(text.contains("mean of 6 x 6 connections"));
        assert!(text.contains("<title>0..5-&gt;252..256: 0.500</title>"));
        assert!(text.len() < 400_000, "{}", text.len());
    }

    #[test]
    fn nothing_at_all_can_be_drawn() {
        for states in [0, 1, 3] {
            let text = markup(&heatmap(&vec![vec![None; states]; states], &options()));
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
        let text = markup(&heatmap(&vec![vec![Some(1.0); 2]; 2], &outlined));
        assert_eq!(text.matches("stroke=\"black\"").count(), 1);
        assert!(text.contains("the best"));
    }
}
