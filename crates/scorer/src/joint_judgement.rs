//! What adapters on several connections gain together, without training them.

use adaplace_search_space::{Connection, Placement};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};

use crate::ScoreError;
use crate::singular_values::eigen;

/// A second-order model of the loss in the leading singular directions of every connection's gradient.
///
/// A connection has M leading singular pairs u_m, v_m of its gradient matrix; adding w_m u_m v_m^T to it lowers the loss of
/// example x by f_x,m w_m to first order. With g the mean of f over the training examples, g' that over the validation
/// examples, H = 1/n sum over training examples of f f^T (the empirical Fisher matrix, which approximates the Hessian of the
/// cross-entropy) and H_SS = Q diag(h) Q^T its part for all directions of a set S of connections,
///
/// gain(S) = sum over k of (h_k + l)^-p max(0, (q_k . g_S) (q_k . g'_S))
///
/// is the decrease of the validation loss along a preconditioned step on the training loss, without the directions in which the
/// two parts disagree. p = 1 is Newton's step, which selects connections by matching pursuit with a Schur complement; p = 1/2 is
/// the step of an adaptive optimiser. Connections that do the same share their directions of H, so that the second of them
/// adds little.
#[derive(Debug, Clone, PartialEq)]
pub struct JointJudgement {
    hidden_states: usize,
    /// M
    directions: usize,
    /// f of the training examples, (examples, connections x directions)
    examples: Mat<f32>,
    /// g, by connection, then direction
    train: Vec<f64>,
    /// g'
    validation: Vec<f64>,
    /// l
    damping: f64,
}

impl JointJudgement {
    /// M. A search among 4, 8, 12 and 16 is in `results/README.md`, as that of the other two numbers.
    pub const DIRECTIONS: usize = 12;
    /// l as a share of the mean of the diagonal of H over all connections.
    pub const DAMPING: f64 = 0.01;
    /// p
    pub const POWER: f64 = 0.75;

    /// From f of the training examples, (examples, connections x directions), and g' of the validation examples.
    ///
    /// # Panics
    /// If the lengths do not belong together.
    pub(crate) fn new(hidden_states: usize, examples: Mat<f32>, validation: Vec<f64>) -> Self {
        let (count, columns) = (examples.nrows(), examples.ncols());
        assert_eq!(columns, validation.len());
        let mean = |column: usize| -> f64 {
            let values = examples.col(column).iter();
            values.map(|&value| f64::from(value)).sum::<f64>() / count as f64
        };
        let squares: f64 = (0..columns)
            .map(|column| f64::from(examples.col(column).squared_norm_l2()))
            .sum();
        Self {
            train: (0..columns).map(mean).collect(),
            damping: Self::DAMPING * squares / (count * columns) as f64,
            directions: columns / hidden_states.pow(2),
            hidden_states,
            examples,
            validation,
        }
    }

    /// Number of hidden states: every connection between two of them can be judged.
    #[must_use]
    pub fn hidden_states(&self) -> usize {
        self.hidden_states
    }

    /// gain(S) of the connections of a placement, 0 or more; 0 of an empty one.
    ///
    /// # Errors
    /// If a connection is out of range, or a gradient is not finite.
    pub fn gain(&self, placement: &Placement) -> Result<f64, ScoreError> {
        let connections: Vec<Connection> = placement.connections().collect();
        let Some(&first) = connections.first() else {
            return Ok(0.0);
        };
        let columns = self.columns(&connections)?;
        let decomposed = self.decompose(&columns);
        let directions = decomposed.map_err(|reason| singular_values(first, reason))?;
        let gains = directions.iter().map(|one| {
            let agreement =
                one.along(&self.train, &columns) * one.along(&self.validation, &columns);
            one.scale * agreement.max(0.0)
        });
        Ok(gains.sum())
    }

    /// The cosine between what two connections, each by itself, would change in the losses of the training examples: 1 where
    /// they do the same, 0 where they have nothing in common.
    ///
    /// # Errors
    /// As [`Self::gain`].
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

    /// The columns of all directions of some connections.
    fn columns(&self, connections: &[Connection]) -> Result<Vec<usize>, ScoreError> {
        let states = self.hidden_states;
        let mut columns = Vec::with_capacity(connections.len() * self.directions);
        for &connection in connections {
            let (source, target) = (
                usize::from(connection.source),
                usize::from(connection.target),
            );
            if source >= states || target >= states {
                return Err(ScoreError::OutOfRange {
                    connection,
                    last: states - 1,
                });
            }
            let first = (source * states + target) * self.directions;
            columns.extend(first..first + self.directions);
        }
        Ok(columns)
    }

    /// The eigenvectors of H on some columns, in f64 and on the calling thread alone.
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
                scale: (value.max(0.0) + self.damping).powf(-Self::POWER),
                vector: vector.iter().copied().collect(),
            })
            .filter(|one| one.scale.is_finite())
            .collect())
    }
}

/// A direction of H on some columns.
struct Eigenvector {
    /// (h + l)^-p
    scale: f64,
    /// q
    vector: Vec<f64>,
}

impl Eigenvector {
    /// q . values, of which only some columns count.
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

    /// Two states, one direction: connections 0->0, 0->1, 1->0, 1->1.
    fn judgement(examples: &[[f32; 4]], validation: [f64; 4]) -> JointJudgement {
        let matrix = Mat::from_fn(examples.len(), 4, |row, column| examples[row][column]);
        JointJudgement::new(2, matrix, validation.to_vec())
    }

    fn placement(connections: &[(u16, u16)]) -> Placement {
        let adapter = AdapterSpec::new(1, 1.0).unwrap();
        connections
            .iter()
            .map(|&(source, target)| (Connection::new(source, target), adapter))
            .collect()
    }

    /// Of one direction H is the mean square, so the gain is (mean square + l)^-p g g'.
    #[test]
    fn a_single_connection_by_hand() {
        let found = judgement(
            &[[3.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]],
            [0.5, 0.0, 0.0, 0.0],
        );
        let damping = 0.01 * 10.0 / 8.0;
        let expected = (5.0_f64 + damping).powf(-0.75) * 2.0 * 0.5;
        let gain = |connections| found.gain(&placement(connections)).unwrap();
        assert!((gain(&[(0, 0)]) - expected).abs() < 1e-12);
        assert_eq!(gain(&[]), 0.0);
        assert_eq!(gain(&[(1, 1)]), 0.0);
    }

    /// Two connections with the same f have one direction with twice the square: 2 (2h + l)^-p g g' instead of twice
    /// (h + l)^-p g g', and those of different examples add up.
    #[test]
    fn what_does_the_same_gains_less_than_what_does_other_things() {
        let examples = [[2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]];
        let found = judgement(&examples, [1.0, 1.0, 1.0, 0.0]);
        let gain = |connections| found.gain(&placement(connections)).unwrap();
        let (alone, same, other) = (
            gain(&[(0, 0)]),
            gain(&[(0, 0), (0, 1)]),
            gain(&[(0, 0), (1, 0)]),
        );
        let damping = 0.01 * 12.0 / 8.0;
        assert!((alone - (2.0_f64 + damping).powf(-0.75)).abs() < 1e-12);
        assert!((same - 2.0 * (4.0_f64 + damping).powf(-0.75)).abs() < 1e-12);
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
        let found = judgement(&[[1.0, 0.0, 0.0, 0.0]], [-1.0, 0.0, 0.0, 0.0]);
        assert_eq!(found.gain(&placement(&[(0, 0)])).unwrap(), 0.0);
    }

    #[test]
    fn connections_out_of_range_and_gradients_that_are_not_finite_are_errors() {
        let found = judgement(&[[1.0, f32::NAN, 0.0, 0.0]], [1.0; 4]);
        assert!(found.gain(&placement(&[(0, 2)])).is_err());
        assert!(found.gain(&placement(&[(0, 1)])).is_err());
    }
}
