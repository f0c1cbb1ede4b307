//! Predictors of the results of sets of connections.

use std::fmt;

use adaplace_scorer::{GradientMap, Statistics};
use adaplace_search_space::{Connection, Placement};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ExperimentError;
use crate::Predictor;

/// A predictor of the result of a placement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetPredictor {
    /// The joint gain of its connections, [`adaplace_scorer::JointJudgement::gain`].
    JointGain,
    /// The sum of a predictor over its connections.
    Sum(Predictor),
    /// The mean of a predictor over its connections.
    Mean(Predictor),
    /// The maximum of a predictor over its connections.
    Largest(Predictor),
    /// The mean distance between two of its connections, in states.
    Spread,
    /// The surrogate's model, fitted to the first trainings of this many random other placements. Values and interval
    /// bounds are means over several draws, so that the interval is that of a single draw.
    Surrogate(usize),
    /// Its own first training, against the mean of its other ones. That mean is noisier than the mean used for the
    /// other predictors, so an equally good predictor may score higher.
    FirstTraining,
}

impl SetPredictor {
    /// The predictors that need no training, with `also` among the statistics. If every placement is a `single`
    /// connection, sum and maximum are equal and the spread is undefined.
    pub(crate) fn untrained(also: &Statistics, single: bool) -> Vec<Self> {
        let gradients: Vec<Predictor> = Predictor::all(also)
            .into_iter()
            .filter(|predictor| matches!(predictor, Predictor::Gradient(_)))
            .collect();
        let mut all = vec![Self::JointGain];
        all.extend(gradients.iter().cloned().map(Self::Sum));
        all.push(Self::Mean(Predictor::EarlyTarget));
        if !single {
            all.extend(gradients.into_iter().map(Self::Largest));
            all.extend([Self::Largest(Predictor::EarlyTarget), Self::Spread]);
        }
        all
    }

    /// Its prediction for each placement; `None` if it needs trainings or a statistic that `map` does not hold.
    ///
    /// # Errors
    /// If a gradient is not finite.
    pub(crate) fn of(
        &self,
        map: &GradientMap,
        placements: &[Placement],
    ) -> Result<Option<Vec<f64>>, ExperimentError> {
        let pooled = |predictor: &Predictor, pool: fn(&[f64]) -> f64| {
            let connections: Vec<Connection> =
                placements.iter().flat_map(Placement::connections).collect();
            let values = predictor.of(map, &connections)?;
            let mut left = &values[..];
            let of = |placement: &Placement| {
                let (own, others) = left.split_at(placement.len());
                left = others;
                pool(own)
            };
            Some(placements.iter().map(of).collect())
        };
        Ok(match self {
            Self::JointGain => match map.joint() {
                None => None,
                Some(joint) => {
                    let gains = placements.par_iter().map(|placement| joint.gain(placement));
                    Some(gains.collect::<Result<_, _>>()?)
                }
            },
            Self::Sum(predictor) => pooled(predictor, |values| values.iter().sum()),
            Self::Mean(predictor) => pooled(predictor, |values| {
                values.iter().sum::<f64>() / values.len() as f64
            }),
            Self::Largest(predictor) => pooled(predictor, |values| {
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
            }),
            Self::Spread => placements.iter().map(Placement::mean_distance).collect(),
            Self::Surrogate(_) | Self::FirstTraining => None,
        })
    }
}

impl fmt::Display for SetPredictor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JointGain => formatter.write_str("joint gain"),
            Self::Sum(predictor) => write!(formatter, "sum of {predictor}"),
            Self::Mean(predictor) => write!(formatter, "mean of {predictor}"),
            Self::Largest(predictor) => write!(formatter, "largest {predictor}"),
            Self::Spread => formatter.write_str("distance between connections"),
            Self::Surrogate(told) => write!(formatter, "surrogate told {told} others"),
            Self::FirstTraining => formatter.write_str("its own first training"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_connections_have_no_largest_one() {
        let also: Statistics = adaplace_scorer::Statistic::Rank.into();
        let count = |single| SetPredictor::untrained(&also, single).len();
        assert_eq!((count(true), count(false)), (1 + 10 + 1, 1 + 20 + 3));
    }
}
