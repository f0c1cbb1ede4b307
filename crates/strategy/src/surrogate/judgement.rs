//! The proxy's view of a space and of placements, in the model's terms.

use std::sync::Arc;

use adaplace_search_space::{Placement, SearchSpace};
use rand::Rng;

use super::hyperparameters::Hyperparameters;
use super::kernel::{ConnectionTable, SetKernel, Standard};
use super::model::Point;
use crate::proxy::connection_scores;
use crate::softmax::softmax_of_standardised;
use crate::{ConnectionProxy, StrategyError};

/// Judges placements of one space.
pub(crate) struct Judgement<'proxy> {
    proxy: Arc<dyn ConnectionProxy + 'proxy>,
    pub(crate) table: ConnectionTable,
    /// The weights by which the space's connections are drawn, at each of [`Judgement::TEMPERATURES`].
    pub(crate) weights: [Vec<f64>; 3],
    /// The similarity of placements before anything has been learnt.
    pub(crate) kernel: SetKernel,
    /// The scale of joint scores over random placements, or `None` if all are the same.
    scale: Option<Standard>,
    /// The scale of the mean distance between two connections.
    distance: Option<Standard>,
    statistics: Vec<Option<Standard>>,
}

impl<'proxy> Judgement<'proxy> {
    /// The number of random placements by which judgements are standardised.
    const REFERENCES: usize = 128;
    /// The divisors of the standardised scores before the softmax by which connections are drawn: from almost only the
    /// best ones to almost any.
    const TEMPERATURES: [f64; 3] = [0.25, 0.5, 1.0];

    /// Asks the proxy for what it knows of the connections. `random` draws the placements by which judgements are
    /// standardised.
    ///
    /// # Errors
    /// [`StrategyError::Proxy`], [`StrategyError::ProxyLength`] or [`StrategyError::ProxyNotFinite`].
    pub(crate) fn new<R: Rng + ?Sized>(
        proxy: Arc<dyn ConnectionProxy + 'proxy>,
        space: &SearchSpace,
        random: &mut R,
    ) -> Result<Self, StrategyError> {
        let connections = space.connections();
        let connection_scores = connection_scores(&*proxy, &Placement::new(), connections)?;
        let features = proxy.features(connections).map_err(StrategyError::Proxy)?;
        let columns = features.first().map_or(0, Vec::len);
        if features.len() != connections.len() || features.iter().any(|row| row.len() != columns) {
            let (rows, connections) = (features.len(), connections.len());
            let reason = format!(
                "{rows} rows of features, not all of one length, for {connections} connections"
            );
            return Err(StrategyError::Proxy(reason.into()));
        }
        if features.iter().flatten().any(|value| !value.is_finite()) {
            return Err(StrategyError::Proxy(
                "a feature of a connection is not finite".into(),
            ));
        }
        let table = ConnectionTable::new(space, &features);
        let references: Vec<Placement> = (0..Self::REFERENCES)
            .map(|_| space.sample(random))
            .collect();
        let statistics: Vec<Vec<f64>> = references
            .iter()
            .map(|placement| table.sums_and_maxima(&table.members(placement)))
            .collect();
        let columns = statistics.first().map_or(0, Vec::len);
        let standard = |column: usize| {
            let values: Vec<f64> = statistics.iter().map(|row| row[column]).collect();
            Standard::of(&values)
        };
        let mut judgement = Judgement {
            weights: Self::TEMPERATURES
                .map(|temperature| softmax_of_standardised(&connection_scores, temperature)),
            kernel: SetKernel::new(&table, Hyperparameters::START.set),
            table,
            scale: None,
            distance: Standard::of(&references.iter().map(distance).collect::<Vec<_>>()),
            statistics: (0..columns).map(standard).collect(),
            proxy,
        };
        judgement.scale = Standard::of(&judgement.joint_scores(&references)?);
        Ok(judgement)
    }

    /// The `placements` in the model's terms.
    ///
    /// # Errors
    /// [`StrategyError::Proxy`].
    pub(crate) fn points(&self, placements: &[Placement]) -> Result<Vec<Point>, StrategyError> {
        let scores = self.joint_scores(placements)?;
        let standardised =
            |standard: Option<Standard>, value| standard.map_or(0.0, |s| s.apply(value));
        let point = |(placement, score): (&Placement, f64)| {
            let members = self.table.members(placement);
            let statistics = self.table.sums_and_maxima(&members);
            let statistics = self.statistics.iter().zip(statistics);
            Point {
                judged: standardised(self.scale, score),
                distance: standardised(self.distance, distance(placement)),
                statistics: statistics
                    .map(|(&of, value)| standardised(of, value))
                    .collect(),
                members,
            }
        };
        Ok(placements.iter().zip(scores).map(point).collect())
    }

    fn joint_scores(&self, placements: &[Placement]) -> Result<Vec<f64>, StrategyError> {
        if placements.is_empty() {
            return Ok(Vec::new());
        }
        let scores = self
            .proxy
            .joint_scores(placements)
            .map_err(StrategyError::Proxy)?;
        let (values, expected) = (scores.len(), placements.len());
        if values != expected {
            let reason = format!("{values} joint scores for {expected} placements");
            return Err(StrategyError::Proxy(reason.into()));
        }
        match scores
            .iter()
            .zip(placements)
            .find(|(score, _)| !score.is_finite())
        {
            Some((score, placement)) => {
                let reason =
                    format!("the joint score of {placement} is {score}, not a finite number");
                Err(StrategyError::Proxy(reason.into()))
            }
            None => Ok(scores),
        }
    }
}

/// The mean distance between two connections of a placement, 0 if it has fewer than two.
fn distance(placement: &Placement) -> f64 {
    placement.mean_distance().unwrap_or(0.0)
}
