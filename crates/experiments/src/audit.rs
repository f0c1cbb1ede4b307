//! How well cheap predictors predict the trainings of single connections.

use std::fmt;
use std::path::Path;

use adaplace_analysis::{Measured, bootstrap, kendall, spearman, top_recall};
use adaplace_files::{Document, Layout, read_json, write_json};
use adaplace_scorer::{GradientMap, Score, Statistic, Statistics};
use adaplace_search_space::{Connection, Fidelity};
use adaplace_study::{RankedTrial, StudyError, if_there};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ExperimentError;

/// The share of the connections that count as the best for the recall.
const TOP: f64 = 0.1;

/// The fewest trained connections or placements that an audit needs.
pub(crate) const FEWEST: usize = 10;

/// The content of `audit.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// `adaplace.audit/1`
    pub format: String,
    /// Name of the task.
    pub task: String,
    /// Number of connections that were trained, each alone.
    pub connections: usize,
    /// Number of connections of the backbone.
    pub of_connections: usize,
    /// Optimiser steps of each training.
    pub steps: Fidelity,
    /// Each predictor against each result.
    pub predictors: Vec<Audited>,
}

impl Audit {
    /// Name of its file in the folder of the study.
    pub const FILE: &str = "audit.json";

    /// The audit of the study in `folder`, if it has one.
    ///
    /// # Errors
    /// If it cannot be read or is damaged; the message names it.
    pub fn read_in(folder: &Path) -> Result<Option<Self>, StudyError> {
        if_there(&folder.join(Self::FILE), |path| Ok(read_json(path)?))
    }

    /// Writes the file atomically. On failure an earlier file is unchanged.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_in(&self, folder: &Path) -> Result<(), StudyError> {
        Ok(write_json(&folder.join(Self::FILE), self, Layout::Pretty)?)
    }
}

impl Document for Audit {
    const FORMAT: &'static str = "adaplace.audit/1";
}

/// The agreement of one predictor with the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audited {
    /// The predictor.
    pub predictor: Predictor,
    /// The rank correlation with the headline measure on the validation part: the accuracy of a classification.
    #[serde(rename = "validation_accuracy")]
    pub validation_headline: RankCorrelation,
    /// The rank correlation with negated validation loss.
    pub validation_loss: RankCorrelation,
    /// The rank correlation with negated training loss.
    pub train_loss: RankCorrelation,
}

/// A predictor of a connection's result that needs no training of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predictor {
    /// A gradient statistic, or the mean rank by several.
    Gradient(Statistics),
    /// -source: connections that read earlier states are better.
    EarlySource,
    /// -target: connections that add to earlier states are better.
    EarlyTarget,
    /// -|target - source|: shorter connections are better.
    ShortSpan,
}

/// How well the order of a predictor agrees with that of a result; larger is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankCorrelation {
    /// Spearman's rho.
    pub spearman: Option<Measured>,
    /// Kendall's tau-b.
    pub kendall: Option<Measured>,
    /// The share of the best tenth that is in the predictor's best tenth.
    pub top_recall: Option<Measured>,
}

impl Predictor {
    /// All single statistics, `also` if it is a combination, and the trivial rules.
    #[must_use]
    pub fn all(also: &Statistics) -> Vec<Self> {
        let mut all: Vec<Self> = Statistic::ALL
            .iter()
            .map(|&statistic| Self::Gradient(statistic.into()))
            .collect();
        if also.as_slice().len() > 1 {
            all.push(Self::Gradient(also.clone()));
        }
        all.extend([Self::EarlyTarget, Self::EarlySource, Self::ShortSpan]);
        all
    }

    /// Its prediction for each connection; `None` if `map` does not hold the statistic, or one of the connections.
    pub(crate) fn of(&self, map: &GradientMap, connections: &[Connection]) -> Option<Vec<f64>> {
        let each = |value: &dyn Fn(&Connection) -> f64| connections.iter().map(value).collect();
        Some(match self {
            Self::Gradient(statistics) => {
                // A single statistic keeps its values: negative ones are ordered too.
                let table = match statistics.as_slice() {
                    [one] => map.table(*one)?,
                    _ => map.connection_scores(statistics)?,
                };
                let values = connections.iter().map(|&connection| table.get(connection));
                values.collect::<Option<Vec<f64>>>()?
            }
            Self::EarlySource => each(&|connection| -f64::from(connection.source)),
            Self::EarlyTarget => each(&|connection| -f64::from(connection.target)),
            Self::ShortSpan => each(&|connection| -f64::from(connection.span())),
        })
    }
}

impl fmt::Display for Predictor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gradient(statistics) => write!(formatter, "{statistics}"),
            Self::EarlySource => formatter.write_str("-source"),
            Self::EarlyTarget => formatter.write_str("-target"),
            Self::ShortSpan => formatter.write_str("-|target - source|"),
        }
    }
}

impl Audit {
    /// Audits the single connections among `trials` that were trained with all steps, against all statistics of `map`,
    /// `also`, and the trivial rules. `seed` determines the bootstrap intervals.
    ///
    /// # Errors
    /// [`ExperimentError::TooFewConnections`] with fewer than ten.
    pub fn new(
        map: &GradientMap,
        trials: &[RankedTrial],
        task: &str,
        also: &Statistics,
        steps: Fidelity,
        seed: u64,
    ) -> Result<Self, ExperimentError> {
        let mut trained: Vec<(Connection, Score)> = trials
            .iter()
            .filter(|trial| trial.steps == steps && trial.placement.len() == 1)
            .filter_map(|trial| {
                let connection = trial.placement.connections().next()?;
                Some((connection, *trial.result.score()?))
            })
            .collect();
        trained.sort_by_key(|(connection, _)| *connection);
        if trained.len() < FEWEST {
            return Err(ExperimentError::TooFewConnections {
                trained: trained.len(),
                fewest: FEWEST,
            });
        }
        let connections: Vec<Connection> =
            trained.iter().map(|(connection, _)| *connection).collect();
        let column = |value: fn(&Score) -> f64| -> Vec<f64> {
            trained.iter().map(|(_, score)| value(score)).collect()
        };
        let headline = column(|score| score.measures.headline());
        let loss = column(|score| -score.validation_loss);
        let train_loss = column(|score| -score.train_loss);
        let predictors = Predictor::all(also)
            .into_par_iter()
            .filter_map(|predictor| {
                let predicted = predictor.of(map, &connections)?;
                Some(Audited {
                    predictor,
                    validation_headline: RankCorrelation::of(&predicted, &headline, seed),
                    validation_loss: RankCorrelation::of(&predicted, &loss, seed),
                    train_loss: RankCorrelation::of(&predicted, &train_loss, seed),
                })
            })
            .collect();
        Ok(Self {
            format: Self::FORMAT.to_owned(),
            task: task.to_owned(),
            connections: trained.len(),
            of_connections: map.hidden_states().pow(2),
            steps,
            predictors,
        })
    }
}

/// A measure of agreement between two orders.
type OfOrders<'a> = dyn Fn(&[f64], &[f64]) -> Option<f64> + 'a;

impl RankCorrelation {
    pub(crate) fn of(predicted: &[f64], result: &[f64], seed: u64) -> Self {
        let measure = |value: &OfOrders<'_>| {
            let whole = value(predicted, result)?;
            let interval = bootstrap(result.len(), seed, |drawn| {
                let pick = |values: &[f64]| -> Vec<f64> {
                    drawn.iter().map(|&index| values[index]).collect()
                };
                value(&pick(predicted), &pick(result))
            });
            Some(Measured::new(whole, interval))
        };
        Self {
            spearman: measure(&spearman),
            kendall: measure(&kendall),
            top_recall: measure(&|predicted, result| top_recall(predicted, result, TOP)),
        }
    }
}
