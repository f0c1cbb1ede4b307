//! A placement as arcs over the chain of hidden states.

use std::collections::BTreeSet;

use adaplace_search_space::{AdapterSpec, Connection, ConnectionKind, Placement};
use maud::{Markup, html};

use crate::axes::ChartSize;
use crate::figure::Figure;
use crate::ink::Ink;
use crate::legend::{Key, LegendEntry};
use crate::svg::Px;

/// Margin on both sides. All lengths here are in pixels.
const MARGIN: f64 = 24.0;
/// Height of the tallest arc.
const TALLEST: f64 = 170.0;
/// Radius of a node with its number inside.
const RADIUS: f64 = 12.0;
/// Length of an arrowhead.
const HEAD: f64 = 9.0;

/// Draws the adapters of `placement` over `hidden_states` states: forward connections above the chain, recurrent ones
/// below, sequential ones as loops.
pub(crate) fn arcs(
    placement: &Placement,
    hidden_states: u16,
    size: ChartSize,
    title: &str,
) -> Figure {
    let chain = Chain::new(placement, hidden_states, size);
    let drawing = html! {
        (chain.states(placement))
        @for (connection, adapter) in placement.iter() { (chain.arc(connection, adapter)) }
    };
    Figure::new(title, (chain.width, chain.height.ceil()), drawing)
        .with_legend(kinds_legend([placement]))
}

/// The legend for the colours of arcs, with the kinds that occur in these placements.
pub(crate) fn kinds_legend<'a>(
    placements: impl IntoIterator<Item = &'a Placement>,
) -> Vec<LegendEntry> {
    let mut kinds: Vec<ConnectionKind> = placements
        .into_iter()
        .flat_map(Placement::connections)
        .map(Connection::kind)
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let entry = |kind: ConnectionKind| Key::new(kind.name(), Ink::of_kind(kind)).line(false);
    kinds.into_iter().map(entry).collect()
}

/// The positions of the states.
struct Chain {
    count: u16,
    width: f64,
    step: f64,
    radius: f64,
    /// Distance of the chain from the top.
    y: f64,
    /// Distance from the top at which arcs below the chain start.
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
        // A chain has at least two states.
        let count = hidden_states
            .max(last.max().unwrap_or(0).saturating_add(1))
            .max(2);
        let step = (width - 2.0 * MARGIN) / f64::from(count - 1);
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
            count,
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

    /// Draws the chain and highlights states that an arc touches.
    fn states(&self, placement: &Placement) -> Markup {
        let (y, radius) = (self.y, self.radius);
        let used: BTreeSet<u16> = placement
            .connections()
            .flat_map(|connection| [connection.source, connection.target])
            .collect();
        let step = [1, 2, 5, 10, 20, 50]
            .into_iter()
            .find(|&step| f64::from(step) * self.step >= 20.0);
        let (below, numbered) = match radius >= 9.0 {
            true => (4.0, 1),
            false => (radius + 14.0, step.unwrap_or(100)),
        };
        html! {
            g stroke=(Ink::Muted) stroke-width="1.5" {
                @for state in 1..self.count {
                    path d={ "M" (Px(self.x(state - 1) + radius)) " " (Px(y)) "H" (Px(self.x(state) - radius)) } {}
                }
            }
            g font-size="10" text-anchor="middle" fill=(Ink::Muted) {
                @for state in (1..self.count).filter(|_| self.step >= 45.0) {
                    text x=(Px(self.x(state) - self.step / 2.0)) y=(Px(y - 5.0)) { @if state % 2 == 1 { "A" } @else { "M" } }
                }
            }
            g font-size="11" text-anchor="middle" {
                @for state in 0..self.count {
                    @let (ink, width) = if used.contains(&state) { (Ink::Text, 2.0) } else { (Ink::Muted, 1.3) };
                    @let x = Px(self.x(state));
                    circle cx=(x) cy=(Px(y)) r=(Px(radius)) fill="none" stroke=(ink) stroke-width=(width) {}
                    @if state % numbered == 0 { text x=(x) y=(Px(y + below)) fill=(ink) { (state) } }
                }
            }
        }
    }

    fn arc(&self, connection: Connection, adapter: AdapterSpec) -> Markup {
        let kind = connection.kind();
        let (from, to) = (self.x(connection.source), self.x(connection.target));
        // Arcs leave a state on one side and arrive on the other, so that those of neighbouring states do not touch.
        let shift = self.radius * 0.42;
        let side = (self.radius * self.radius - shift * shift).sqrt();
        let tall = height(connection, self.step);
        let above = self.y - side;
        let (path, x, y, direction) = match kind {
            ConnectionKind::Sequential => {
                let width = (self.step * 0.45).min(24.0);
                let (left, right, top) = (from - shift, from + shift, above - 1.3 * tall);
                let path = format!(
                    "M{} {}C{} {} {} {} {} {}",
                    Px(left),
                    Px(above),
                    Px(left - width),
                    Px(top),
                    Px(right + width),
                    Px(top),
                    Px(right),
                    Px(above - HEAD + 1.0)
                );
                (path, right, above, 1.0)
            }
            ConnectionKind::Recurrent => {
                let inside = match self.below > self.y + self.radius {
                    true => self.below,
                    false => self.y + side,
                };
                let (start, end) = (from - shift, to + shift);
                let path = elliptic((start, inside), (end, inside + HEAD - 1.0), tall);
                (path, end, inside, -1.0)
            }
            ConnectionKind::Parallel | ConnectionKind::LongRange => {
                let (start, end) = (from + shift, to - shift);
                let path = elliptic((start, above), (end, above - HEAD + 1.0), tall);
                (path, end, above, 1.0)
            }
        };
        let (ink, base) = (Ink::of_kind(kind), Px(y - direction * HEAD));
        html! {
            g {
                title { (connection) ": " (kind) ", rank " (adapter.rank) }
                path d=(path) fill="none" stroke=(ink) stroke-width="2.5" {}
                path d={ "M" (Px(x - 4.5)) " " (base) "H" (Px(x + 4.5)) "L" (Px(x)) " " (Px(y)) "z" } fill=(ink) {}
            }
        }
    }
}

/// Half an ellipse, from left to right above the chain and from right to left below it. It ends within the arrowhead.
fn elliptic(from: (f64, f64), to: (f64, f64), tall: f64) -> String {
    let (radius, tall) = (Px((to.0 - from.0).abs() / 2.0), Px(tall));
    let (start, end) = (
        (Px(from.0), Px(from.1)),
        (Px(to.0), Px((from.1 + to.1) / 2.0)),
    );
    format!(
        "M{} {}A{radius} {tall} 0 0 1 {} {}",
        start.0, start.1, end.0, end.1
    )
}

/// The height of an arc, which grows less than in proportion to its span, so that long arcs leave room for short ones.
fn height(connection: Connection, step: f64) -> f64 {
    match connection.span() {
        0 => 34.0,
        span => (0.62 * step.min(70.0) * f64::from(span).powf(0.62)).clamp(20.0, TALLEST),
    }
}

#[cfg(test)]
mod tests {
    use maud::Render;

    use super::*;

    fn placement(connections: &[(u16, u16)]) -> Placement {
        let adapter = AdapterSpec::new(8, 1.0).unwrap();
        connections
            .iter()
            .map(|&(source, target)| (Connection::new(source, target), adapter))
            .collect()
    }

    fn markup(placement: &Placement, states: u16) -> String {
        let figure = arcs(placement, states, ChartSize::Half, "");
        figure.render().into_string()
    }

    #[test]
    fn every_connection_is_an_arc_in_the_colour_of_its_kind() {
        let text = markup(&placement(&[(3, 3), (0, 1), (2, 9), (9, 2)]), 13);
        for &kind in ConnectionKind::ALL {
            assert!(text.contains(&format!("stroke=\"{}\"", Ink::of_kind(kind))));
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
        // A placement that implies more states than are given.
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
            .map(|entry| entry.key.name)
            .collect();
        assert_eq!(names, ["parallel", "recurrent"]);
    }
}
