//! Several objectives at once: the placements that no other one beats in all of them.

use adaplace_search_space::Cost;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::Merit;

/// A cost that is minimised in addition to the merit.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum CostObjective {
    /// The number of trainable parameters.
    Parameters,
    /// The extra floating-point operations.
    ExtraFlops,
}

impl CostObjective {
    /// The value of this objective, where smaller is better.
    pub fn of(self, cost: &Cost) -> f64 {
        match self {
            CostObjective::Parameters => cost.parameters as f64,
            CostObjective::ExtraFlops => cost.extra_flops,
        }
    }
}

/// A scored placement, represented by its objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct Objectives {
    /// The merit, where larger is better.
    pub merit: Merit,
    /// The costs, where smaller is better.
    pub costs: Vec<f64>,
}

impl Objectives {
    /// The objectives of a placement with this merit and cost.
    pub fn new(merit: Merit, cost: &Cost, costs: &[CostObjective]) -> Self {
        Objectives {
            merit,
            costs: costs.iter().map(|objective| objective.of(cost)).collect(),
        }
    }
}

/// Whether each of `points` is on the Pareto front: no other one is at least as good in all objectives and better in
/// one.
pub fn pareto_front(points: &[Objectives]) -> Vec<bool> {
    let mut merits: Vec<Merit> = points.iter().map(|point| point.merit).collect();
    merits.sort_by(|a, b| b.cmp(a));
    merits.dedup();
    // A merit is more than one number, but its place among all merits is one.
    let place = |merit: Merit| merits.partition_point(|other| *other > merit) as f64;
    let numbers: Vec<Vec<f64>> = points
        .iter()
        .map(|point| [&[place(point.merit)][..], &point.costs].concat())
        .collect();
    adaplace_analysis::pareto_front(&numbers)
}

/// The indices of `points`, the best first: by front, and within a front by the room around each point, with the ends
/// of the front first (NSGA-II: Deb, Pratap, Agarwal and Meyarivan, 2002). Equal points are ordered by merit.
pub fn nondominated_order(points: &[Objectives]) -> Vec<usize> {
    let mut rest: Vec<usize> = (0..points.len()).collect();
    let mut order = Vec::with_capacity(points.len());
    while !rest.is_empty() {
        let left: Vec<Objectives> = rest.iter().map(|&index| points[index].clone()).collect();
        let on_front = pareto_front(&left);
        let members = |wanted: bool| -> Vec<usize> {
            let pairs = rest.iter().zip(&on_front);
            pairs
                .filter(|(_, on_front)| **on_front == wanted)
                .map(|(&index, _)| index)
                .collect()
        };
        let (front, behind) = (members(true), members(false));
        let room = crowding_distances(points, &front);
        let mut ranked: Vec<(f64, usize)> = room.into_iter().zip(front).collect();
        ranked.sort_by(|(room_a, a), (room_b, b)| {
            room_b
                .total_cmp(room_a)
                .then(points[*b].merit.cmp(&points[*a].merit))
                .then(a.cmp(b))
        });
        order.extend(ranked.into_iter().map(|(_, index)| index));
        rest = behind;
    }
    order
}

/// For each member of a front, the sum over the objectives of the distance between its neighbours, as a share of the
/// front's range. It is infinite at the ends of the front.
fn crowding_distances(points: &[Objectives], front: &[usize]) -> Vec<f64> {
    let objectives = points.first().map_or(0, |point| 1 + point.costs.len());
    let value = |member: usize, objective: usize| {
        let point = &points[front[member]];
        match objective {
            0 => point.merit.objective,
            _ => point.costs[objective - 1],
        }
    };
    let mut room = vec![0.0; front.len()];
    for objective in 0..objectives {
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| value(a, objective).total_cmp(&value(b, objective)));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else {
            continue;
        };
        let range = value(last, objective) - value(first, objective);
        if range <= 0.0 {
            continue;
        }
        room[first] = f64::INFINITY;
        room[last] = f64::INFINITY;
        for around in order.windows(3) {
            room[around[1]] += (value(around[2], objective) - value(around[0], objective)) / range;
        }
    }
    room
}

#[cfg(test)]
mod tests {
    use adaplace_search_space::Fidelity;

    use super::*;

    fn point(objective: f64, costs: &[f64]) -> Objectives {
        Objectives {
            merit: Merit::new(Fidelity::of(1), objective, 0.0).unwrap(),
            costs: costs.to_vec(),
        }
    }

    /// (0.9, 5) and (0.8, 3) are a trade-off. (0.8, 4) and (0.7, 3) are beaten, and equal points are on the front
    /// together.
    #[test]
    fn fronts_by_hand() {
        let points = [
            point(0.8, &[4.0]),
            point(0.9, &[5.0]),
            point(0.7, &[3.0]),
            point(0.8, &[3.0]),
            point(0.9, &[5.0]),
        ];
        assert_eq!(pareto_front(&points), [false, true, false, true, true]);
        assert!(pareto_front(&[]).is_empty());
        // The three on the first front come first, then the two that they beat.
        let order = nondominated_order(&points);
        let mut first = order[..3].to_vec();
        first.sort_unstable();
        assert_eq!(first, [1, 3, 4]);
    }

    /// The ends come first, then the points by the room around them: of 0, 1, 3, 9, 10 the one at 3 has neighbours 8
    /// apart, the one at 9 neighbours 7 apart, and the one at 1 neighbours 3 apart.
    #[test]
    fn lonely_ones_come_first() {
        let points: Vec<Objectives> = [0.0, 1.0, 3.0, 9.0, 10.0]
            .into_iter()
            .map(|place| point(place, &[place]))
            .collect();
        let order = nondominated_order(&points);
        assert_eq!(order, [4, 0, 2, 3, 1]);
    }
}
