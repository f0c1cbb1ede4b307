//! A placement as arcs over the chain of hidden states.

use adaplace_search_space::{AdapterSpec, Connection, ConnectionKind, Placement};

use crate::axes::ChartSize;
use crate::document::{Figure, LegendEntry, Mark};
use crate::ink::Ink;
use crate::svg::{Anchor, Svg};

const MARGIN: f64 = 24.0;
/// The tallest arc; longer ones are flatter.
const TALLEST: f64 = 170.0;
/// Of a node with its number inside.
const RADIUS: f64 = 12.0;
/// Length of an arrow's head.
const HEAD: f64 = 9.0;

/// Draws the adapters of `placement` over `hidden_states` states: forward connections above the chain, recurrent ones
/// below, sequential ones as loops.
#[must_use]
pub fn arcs(placement: &Placement, hidden_states: u16, size: ChartSize, title: &str) -> Figure {
    let chain = Chain::new(placement, hidden_states, size);
    let mut drawing = Svg::new(chain.width as u32, chain.height.ceil() as u32, title);
    chain.draw(&mut drawing, placement);
    for (connection, adapter) in placement.iter() {
        chain.arc(&mut drawing, connection, adapter);
    }
    Figure::new(title, drawing)
}

/// What the colours of arcs mean, for the kinds that any of these placements has.
#[must_use]
pub fn kinds_legend<'a>(placements: impl IntoIterator<Item = &'a Placement>) -> Vec<LegendEntry> {
    let mut kinds: Vec<ConnectionKind> = placements
        .into_iter()
        .flat_map(Placement::connections)
        .map(Connection::kind)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let entry =
        |kind: ConnectionKind| LegendEntry::new(kind.name(), Ink::of_kind(kind), Mark::Line);
    kinds.into_iter().map(entry).collect()
}

/// Where the states stand.
struct Chain {
    states: u16,
    width: f64,
    step: f64,
    radius: f64,
    /// Of the chain.
    y: f64,
    /// Where arcs below it begin.
    below: f64,
    height: f64,
}

impl Chain {
    fn new(placement: &Placement, hidden_states: u16, size: ChartSize) -> Self {
        let width = match size {
            ChartSize::Wide => 1000.0,
            ChartSize::Half => 480.0,
        };
        let last = placement
            .connections()
            .map(|connection| connection.source.max(connection.target));
        // A chain of one state has no sublayer and no model has it.
        let states = hidden_states
            .max(last.max().unwrap_or(0).saturating_add(1))
            .max(2);
        let step = (width - 2.0 * MARGIN) / f64::from(states - 1);
        let radius = RADIUS.min(step * 0.32);
        let numbers_inside = radius >= 9.0;
        let tallest = |recurrent: bool| {
            placement
                .connections()
                .filter(|connection| connection.is_recurrent() == recurrent)
                .map(|connection| height(connection, step))
                .fold(0.0, f64::max)
        };
        let y = 14.0 + radius + tallest(false).max(20.0);
        let below = y + radius + if numbers_inside { 0.0 } else { 18.0 };
        Self {
            states,
            width,
            step,
            radius,
            y,
            below,
            height: below + tallest(true).max(14.0) + 10.0,
        }
    }

    fn x(&self, state: u16) -> f64 {
        MARGIN + f64::from(state) * self.step
    }

    fn draw(&self, drawing: &mut Svg, placement: &Placement) {
        let (muted, text) = (Ink::Muted.hex(), Ink::Text.hex());
        let (y, radius) = (self.y, self.radius);
        for state in 1..self.states {
            let (from, to) = (self.x(state - 1) + radius, self.x(state) - radius);
            drawing.add(format_args!(
                "<path d=\"M{from:.1} {y:.1}H{to:.1}\" stroke=\"{muted}\" stroke-width=\"1.5\"/>"
            ));
            if self.step >= 45.0 {
                let sublayer = if state % 2 == 1 { "A" } else { "M" };
                let place = ((from + to) / 2.0, y - 5.0);
                drawing.text(place, 10, Anchor::Middle, Ink::Muted, sublayer);
            }
        }
        let step = [1, 2, 5, 10, 20, 50]
            .into_iter()
            .find(|&step| f64::from(step) * self.step >= 20.0);
        for state in 0..self.states {
            let used = placement
                .connections()
                .any(|connection| connection.source == state || connection.target == state);
            let (stroke, width) = if used { (&text, 2.0) } else { (&muted, 1.3) };
            let x = self.x(state);
            drawing.add(format_args!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"none\" stroke=\"{stroke}\" \
                 stroke-width=\"{width}\"/>"
            ));
            let ink = if used { Ink::Text } else { Ink::Muted };
            if radius >= 9.0 {
                drawing.text((x, y + 4.0), 11, Anchor::Middle, ink, &state.to_string());
            } else if state % step.unwrap_or(100) == 0 {
                drawing.text(
                    (x, y + radius + 14.0),
                    11,
                    Anchor::Middle,
                    ink,
                    &state.to_string(),
                );
            }
        }
    }

    fn arc(&self, drawing: &mut Svg, connection: Connection, adapter: AdapterSpec) {
        let kind = connection.kind();
        let colour = Ink::of_kind(kind).hex();
        let (from, to) = (self.x(connection.source), self.x(connection.target));
        // Arcs leave a state on one side and arrive on the other, so that those of neighbours do not touch.
        let shift = self.radius * 0.42;
        let side = (self.radius * self.radius - shift * shift).sqrt();
        let tall = height(connection, self.step);
        let (path, head_x, head_y, direction) = match kind {
            ConnectionKind::Sequential => {
                let (y, width) = (self.y - side, (self.step * 0.45).min(24.0));
                let (left, right) = (from - shift, from + shift);
                let path = format!(
                    "M{left:.1} {y:.1}C{:.1} {:.1} {:.1} {:.1} {right:.1} {:.1}",
                    left - width,
                    y - 1.3 * tall,
                    right + width,
                    y - 1.3 * tall,
                    y - HEAD + 1.0
                );
                (path, right, y, 1.0)
            }
            ConnectionKind::Recurrent => {
                let inside = if self.below > self.y + self.radius {
                    self.below
                } else {
                    self.y + side
                };
                let (start, end) = (from - shift, to + shift);
                let path = elliptic((start, inside), (end, inside + HEAD - 1.0), tall);
                (path, end, inside, -1.0)
            }
            ConnectionKind::Parallel | ConnectionKind::LongRange => {
                let y = self.y - side;
                let (start, end) = (from + shift, to - shift);
                (
                    elliptic((start, y), (end, y - HEAD + 1.0), tall),
                    end,
                    y,
                    1.0,
                )
            }
        };
        let base = head_y - direction * HEAD;
        let (left, right) = (head_x - 4.5, head_x + 4.5);
        let rank = adapter.rank;
        drawing.add(format_args!(
            "<g><title>{}-&gt;{}: {kind}, rank {rank}</title>\
             <path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>\
             <path d=\"M{left:.1} {base:.1}H{right:.1}L{head_x:.1} {head_y:.1}z\" fill=\"{colour}\"/></g>\n",
            connection.source, connection.target
        ));
    }
}

/// Half an ellipse, from left to right above the chain, from right to left below it; it ends within the arrow's head.
fn elliptic(from: (f64, f64), to: (f64, f64), tall: f64) -> String {
    let radius = (to.0 - from.0).abs() / 2.0;
    let end = (from.1 + to.1) / 2.0;
    format!(
        "M{:.1} {:.1}A{radius:.1} {tall:.1} 0 0 1 {:.1} {end:.1}",
        from.0, from.1, to.0
    )
}

/// How high an arc rises: less than in proportion to its span, so that long ones leave room for short ones.
fn height(connection: Connection, step: f64) -> f64 {
    match connection.span() {
        0 => 34.0,
        span => (0.62 * step.min(70.0) * f64::from(span).powf(0.62)).clamp(20.0, TALLEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(connections: &[(u16, u16)]) -> Placement {
        let adapter = AdapterSpec::new(8, 1.0).unwrap();
        connections
            .iter()
            .map(|&(source, target)| (Connection::new(source, target), adapter))
            .collect()
    }

    fn markup(placement: &Placement, states: u16) -> String {
        let mut section = crate::Section::new("");
        section.figure(&arcs(placement, states, ChartSize::Half, ""));
        let mut document = crate::Document::new("", "", "");
        document.section(section);
        document.finish()
    }

    #[test]
    fn every_connection_is_an_arc_in_the_colour_of_its_kind() {
        let text = markup(&placement(&[(3, 3), (0, 1), (2, 9), (9, 2)]), 13);
        for &kind in ConnectionKind::ALL {
            assert!(text.contains(&format!("stroke=\"{}\"", Ink::of_kind(kind).hex())));
        }
        assert!(text.contains("<title>9-&gt;2: recurrent, rank 8</title>"));
        assert_eq!(text.matches("<circle").count(), 13);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }

    #[test]
    fn any_number_of_states_can_be_drawn() {
        for states in [0, 1, 2, 25, 49, 257] {
            let text = markup(&placement(&[(0, 1), (1, 0), (1, 1)]), states);
            assert_eq!(text.matches("<circle").count(), usize::from(states.max(2)));
            assert!(!text.contains("NaN"), "{text}");
        }
        // A placement that says more than the number of states.
        assert_eq!(
            markup(&placement(&[(0, 6)]), 3).matches("<circle").count(),
            7
        );
    }

    #[test]
    fn the_legend_names_the_kinds_that_are_there() {
        let placements = [placement(&[(5, 1), (0, 1)]), placement(&[(4, 1)])];
        let names: Vec<String> = kinds_legend(&placements)
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(names, ["parallel", "recurrent"]);
    }
}
