//! Redundant connections of a placement.

use adaplace_scorer::JointJudgement;
use adaplace_search_space::{Connection, Placement};

use crate::finalists::Finalist;

/// Two connections with a larger coupling are nearly redundant.
const ALIKE: f64 = 0.9;

/// Two nearly redundant connections of a placement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alike {
    /// The first one.
    pub one: Connection,
    /// The second one.
    pub other: Connection,
    /// Their coupling, above 0.9.
    pub coupling: f64,
}

impl Alike {
    /// A sentence that explains the finding.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self {
            one,
            other,
            coupling,
        } = self;
        format!(
            "{one} and {other} are nearly redundant ({coupling:.2}): a placement without one of them may be as good."
        )
    }

    /// The two with the largest coupling, if they are nearly redundant. The first pair wins a tie.
    fn most(connections: &[Connection], coupling: &[Vec<f64>]) -> Option<Self> {
        let rows = connections.iter().zip(coupling).enumerate();
        let pairs = rows.flat_map(|(index, (&one, row))| {
            let later = connections.iter().zip(row).skip(index + 1);
            later.map(move |(&other, &coupling)| Self {
                one,
                other,
                coupling,
            })
        });
        let alike = pairs.filter(|pair| pair.coupling > ALIKE);
        alike.reduce(|best, pair| match pair.coupling > best.coupling {
            true => pair,
            false => best,
        })
    }
}

impl Finalist {
    /// The two of its connections with the largest coupling, if they are nearly redundant.
    #[must_use]
    pub fn alike(&self) -> Option<Alike> {
        let connections: Vec<Connection> = self.repeated.placement.connections().collect();
        Alike::most(&connections, self.coupling.as_ref()?)
    }
}

/// The coupling of every two connections of a placement. `None` if a gradient is not finite, as the study is valid
/// without it.
pub(crate) fn coupling(joint: &JointJudgement, placement: &Placement) -> Option<Vec<Vec<f64>>> {
    let connections: Vec<Connection> = placement.connections().collect();
    let row = |&one: &Connection| {
        let row = connections
            .iter()
            .map(|&other| joint.coupling(one, other).ok());
        row.collect()
    };
    connections.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_are_named() {
        let connections: Vec<Connection> = (0..3).map(|n| Connection::new(0, n)).collect();
        let most = |ab: f64, ac: f64, bc: f64| {
            let coupling = [vec![1.0, ab, ac], vec![ab, 1.0, bc], vec![ac, bc, 1.0]];
            Alike::most(&connections, &coupling)
        };
        assert_eq!(most(0.9, -1.0, 0.0), None);
        let found = most(0.91, 0.2, 0.954).unwrap();
        assert_eq!((found.one, found.other), (connections[1], connections[2]));
        assert_eq!(
            found.describe(),
            "0->1 and 0->2 are nearly redundant (0.95): a placement without one of them may be as good."
        );
        assert_eq!(most(0.95, 0.95, 0.1).unwrap().other, connections[1]);
    }
}
