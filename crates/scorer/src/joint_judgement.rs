//! The joint gain of adapters on several connections, estimated without training them.

use adaplace_search_space::{Connection, Placement};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use crate::ScoreError;
use crate::directions::MAPS;
use crate::singular_values::eigen;

/// A second-order model of the loss in a few directions of every connection.
///
/// The gradient matrix of a connection on the training examples, G = U S V^T, defines three linear maps to step along:
/// its leading pairs u_1 v_1^T and u_2 v_2^T, and all others together, the rest of the polar factor U V^T. To first
/// order, stepping w along a map M lowers the loss of example x by f_x w, where f_x = - sum over tokens of dL_x/dh_j M
/// norm(h_i). With
///
/// - g' the mean of f over the validation examples, or 0 if its sign differs from that on the training examples,
/// - H = 1/n sum over training examples of f f^T, the empirical Fisher matrix,
/// - H_SS = Q diag(h) Q^T its part for the maps of a set S of connections,
///
/// gain(S) = sum over k of (h_k + l)^(-1/2) (q_k . g'_S)^2
///
/// is the decrease of the validation loss in a step preconditioned by H^(-1/2), as taken by adaptive optimisers.
/// Redundant connections share their directions of H, so the second of them adds little. With the power -1 it would be
/// the decrease by Newton's step, and its greedy maximisation would be matching pursuit with the Schur complement, but
/// that agrees less with trainings.
#[derive(Debug, Clone, PartialEq)]
pub struct JointJudgement {
    /// The connections that can be judged, in order.
    connections: Vec<Connection>,
    /// The values f of the training examples, (examples, connections x maps).
    examples: Mat<f32>,
    /// The mean of f over the training examples, by connection, then map.
    train: Vec<f64>,
    /// The means g' over the validation examples.
    validation: Vec<f64>,
    /// The damping l.
    damping: f64,
}

impl JointJudgement {
    /// The number of pairs by which f of the rest is approximated. Its g' is that of all pairs.
    pub(crate) const PAIRS: usize = 16;
    /// The damping l as a share of the mean of the diagonal of H over all connections.
    const DAMPING: f64 = 0.1;

    /// The judgement for f of the training examples, (examples, connections x maps), and g'. The connections are in
    /// order.
    ///
    /// # Panics
    /// If the lengths do not match.
    pub(crate) fn new(
        connections: Vec<Connection>,
        examples: Mat<f32>,
        validation: Vec<f64>,
    ) -> Self {
        let (count, columns) = (examples.nrows(), examples.ncols());
        assert_eq!(columns, validation.len());
        assert_eq!(columns, connections.len() * MAPS);
        let squares: f64 = (0..columns)
            .map(|column| f64::from(examples.col(column).squared_norm_l2()))
            .sum();
        let mean = |column: usize| -> f64 {
            let values = examples.col(column).iter();
            values.map(|&value| f64::from(value)).sum::<f64>() / count as f64
        };
        Self {
            train: (0..columns).map(mean).collect(),
            damping: Self::DAMPING * squares / (count * columns) as f64,
            connections,
            examples,
            // On the training examples every map is along the gradient, so a step along it raises their loss.
            validation: validation.into_iter().map(|g| g.min(0.0)).collect(),
        }
    }

    /// The gain of the connections of a placement, at least 0. It is 0 for an empty placement.
    ///
    /// # Errors
    /// If a connection is not in the map, or if a gradient is not finite.
    pub fn gain(&self, placement: &Placement) -> Result<f64, ScoreError> {
        let connections: Vec<Connection> = placement.connections().collect();
        let Some(&first) = connections.first() else {
            return Ok(0.0);
        };
        let columns = self.columns(&connections)?;
        let decomposed = self.decompose(&columns);
        let directions = decomposed.map_err(|reason| singular_values(first, reason))?;
        let gains = directions.iter();
        let gains = gains.map(|one| one.scale * one.along(&self.validation, &columns).powi(2));
        Ok(gains.sum())
    }

    /// The cosine between the changes in the losses of the training examples that steps on two connections, each by
    /// itself, would cause. It is 1 if they have the same effect, and 0 if they have nothing in common or one of them
    /// has no gradient.
    ///
    /// # Errors
    /// If a connection is not in the map, or if a gradient is not finite.
    pub fn coupling(&self, a: Connection, b: Connection) -> Result<f64, ScoreError> {
        let (a, b) = (self.effect(a)?, self.effect(b)?);
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let norms = (product(&a, &a) * product(&b, &b)).sqrt();
        Ok(match norms > 0.0 {
            true => product(&a, &b) / norms,
            false => 0.0,
        })
    }

    /// The change of each training example's loss by the step on one connection alone.
    fn effect(&self, connection: Connection) -> Result<Vec<f64>, ScoreError> {
        let columns = self.columns(&[connection])?;
        let decomposed = self.decompose(&columns);
        let directions = decomposed.map_err(|reason| singular_values(connection, reason))?;
        let mut step = vec![0.0; columns.len()];
        for one in &directions {
            let length = one.scale * one.along(&self.train, &columns);
            step.iter_mut()
                .zip(&one.vector)
                .for_each(|(step, q)| *step += length * q);
        }
        let mut effect = vec![0.0; self.examples.nrows()];
        for (&column, step) in columns.iter().zip(&step) {
            for (effect, &value) in effect.iter_mut().zip(self.examples.col(column).iter()) {
                *effect += f64::from(value) * step;
            }
        }
        Ok(effect)
    }

    /// The columns of all maps of some connections.
    fn columns(&self, connections: &[Connection]) -> Result<Vec<usize>, ScoreError> {
        let mut columns = Vec::with_capacity(connections.len() * MAPS);
        for &connection in connections {
            let place = self.connections.binary_search(&connection);
            let place = place.map_err(|_| ScoreError::NotInMap { connection })?;
            columns.extend(place * MAPS..(place + 1) * MAPS);
        }
        Ok(columns)
    }

    /// The eigenvectors of H on some columns, computed in f64 on the calling thread alone.
    fn decompose(&self, columns: &[usize]) -> Result<Vec<Eigenvector>, String> {
        let (count, size) = (self.examples.nrows(), columns.len());
        let mut chosen = Mat::<f64>::zeros(count, size);
        for (index, &column) in columns.iter().enumerate() {
            let values = self.examples.col(column).iter();
            let places = chosen.col_mut(index).iter_mut();
            places
                .zip(values)
                .for_each(|(to, &from)| *to = f64::from(from));
        }
        let mut fisher = Mat::zeros(size, size);
        let share = 1.0 / count as f64;
        let product = (chosen.transpose(), chosen.as_ref());
        matmul(
            fisher.as_mut(),
            Accum::Replace,
            product.0,
            product.1,
            share,
            Par::Seq,
        );
        let (values, vectors) = eigen(&fisher, true)?;
        let pairs = values.into_iter().zip(vectors.col_iter());
        Ok(pairs
            .map(|(value, vector)| Eigenvector {
                scale: (value.max(0.0) + self.damping).sqrt().recip(),
                vector: vector.iter().copied().collect(),
            })
            .filter(|one| one.scale.is_finite())
            .collect())
    }
}

/// A direction of H on some columns.
struct Eigenvector {
    /// The factor (h + l)^(-1/2).
    scale: f64,
    /// The eigenvector q.
    vector: Vec<f64>,
}

impl Eigenvector {
    /// The dot product of q and `values`, of which only the given columns count.
    fn along(&self, values: &[f64], columns: &[usize]) -> f64 {
        let pairs = self.vector.iter().zip(columns);
        pairs.map(|(q, &column)| q * values[column]).sum()
    }
}

fn singular_values(connection: Connection, reason: String) -> ScoreError {
    ScoreError::SingularValues { connection, reason }
}

#[cfg(test)]
mod tests {
    use adaplace_search_space::AdapterSpec;

    use super::*;

    /// A judgement with two states and the connections 0->0, 0->1, 1->0 and 1->1. Only their first maps have an effect.
    fn judgement(examples: &[[f32; 4]], validation: [f64; 4]) -> JointJudgement {
        let spread = |column: usize| column.is_multiple_of(MAPS).then_some(column / MAPS);
        let matrix = Mat::from_fn(examples.len(), 4 * MAPS, |row, column| {
            spread(column).map_or(0.0, |connection| examples[row][connection])
        });
        let validation = (0..4 * MAPS)
            .map(|column| spread(column).map_or(0.0, |connection| validation[connection]));
        JointJudgement::new(Connection::all(2), matrix, validation.collect())
    }

    fn placement(connections: &[(u16, u16)]) -> Placement {
        let adapter = AdapterSpec::new(1, 1.0).unwrap();
        connections
            .iter()
            .map(|&(source, target)| (Connection::new(source, target), adapter))
            .collect()
    }

    /// With one map H is the mean square, so the gain is g'^2 (mean square + l)^(-1/2).
    #[test]
    fn a_single_connection_by_hand() {
        let examples = [[3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]];
        let found = judgement(&examples, [-2.0, 0.0, 0.0, 0.0]);
        let damping = 0.1 * 10.0 / 24.0;
        let gain = |connections| found.gain(&placement(connections)).unwrap();
        assert!((gain(&[(0, 0)]) - 4.0 / (5.0_f64 + damping).sqrt()).abs() < 1e-12);
        assert_eq!(gain(&[]), 0.0);
        assert_eq!(gain(&[(1, 1)]), 0.0);
    }

    /// Two connections with the same f have one direction with twice the square. A g' of sqrt(2) along it has a gain of
    /// 2 (2h + l)^(-1/2), compared with twice (h + l)^(-1/2) for connections that affect different examples.
    #[test]
    fn what_does_the_same_gains_less_than_what_does_other_things() {
        let examples = [[2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]];
        let found = judgement(&examples, [-1.0, -1.0, -1.0, 0.0]);
        let gain = |connections| found.gain(&placement(connections)).unwrap();
        let (alone, same, other) = (
            gain(&[(0, 0)]),
            gain(&[(0, 0), (0, 1)]),
            gain(&[(0, 0), (1, 0)]),
        );
        let damping = 0.1 * 12.0 / 24.0;
        assert!((alone - (2.0_f64 + damping).sqrt().recip()).abs() < 1e-12);
        assert!((same - 2.0 * (4.0_f64 + damping).sqrt().recip()).abs() < 1e-12);
        assert!((other - 2.0 * alone).abs() < 1e-12);
        let coupling = |a, b| {
            found
                .coupling(Connection::new(0, 0), Connection::new(a, b))
                .unwrap()
        };
        assert!((coupling(0, 1) - 1.0).abs() < 1e-12);
        assert!(coupling(1, 0).abs() < 1e-12);
    }

    #[test]
    fn what_validation_contradicts_counts_for_nothing() {
        let found = judgement(&[[-1.0, 0.0, 0.0, 0.0]], [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(found.gain(&placement(&[(0, 0)])).unwrap(), 0.0);
    }

    #[test]
    fn connections_out_of_range_and_gradients_that_are_not_finite_are_errors() {
        let found = judgement(&[[1.0, f32::NAN, 0.0, 0.0]], [1.0; 4]);
        assert!(found.gain(&placement(&[(0, 2)])).is_err());
        assert!(found.gain(&placement(&[(0, 1)])).is_err());
    }
}
