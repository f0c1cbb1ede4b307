//! How far cheap predictors foretell what a training of single connections gives.

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

/// The share of the connections that recall asks for.
const TOP: f64 = 0.1;

/// Fewer trained connections or placements say nothing about an order.
pub(crate) const FEWEST: usize = 10;

/// The content of `audit.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// `adaplace.audit/1`
    pub format: String,
    /// Name of the task.
    pub task: String,
    /// Connections that were trained, each alone.
    pub connections: usize,
    /// Of how many that the backbone has.
    pub of_connections: usize,
    /// How long, in optimiser steps.
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

    /// Writes the file, or leaves an earlier one as it was.
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

/// One predictor against the results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audited {
    /// What predicts.
    pub predictor: Predictor,
    /// Against validation accuracy.
    pub validation_accuracy: Agreement,
    /// Against negated validation loss.
    pub validation_loss: Agreement,
    /// Against negated training loss.
    pub train_loss: Agreement,
}

/// What is known of a connection before it is trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predictor {
    /// A gradient statistic, or the mean rank by several.
    Gradient(Statistics),
    /// -source: the earlier it reads, the better.
    EarlySource,
    /// -target: the earlier it adds, the better.
    EarlyTarget,
    /// -|target - source|: the shorter, the better.
    ShortSpan,
}

/// How well a predictor's order agrees with a result's, larger is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Spearman's rho.
    pub spearman: Option<Measured>,
    /// Kendall's tau-b.
    pub kendall: Option<Measured>,
    /// The share of the best tenth that the predictor's best tenth holds.
    pub top_recall: Option<Measured>,
}

impl Predictor {
    /// All single statistics, `also` if it is none of them, and the trivial rules.
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

    /// What it says of each connection; `None` if it is a statistic that `map` does not hold.
    pub(crate) fn of(&self, map: &GradientMap, connections: &[Connection]) -> Option<Vec<f64>> {
        let each = |value: &dyn Fn(&Connection) -> f64| connections.iter().map(value).collect();
        Some(match self {
            Self::Gradient(statistics) => {
                // A single one as it is: negative ones have an order, too.
                let table = match statistics.as_slice() {
                    [one] => map.table(*one)?,
                    _ => map.promise(statistics)?,
                };
                each(&|connection| {
                    table[usize::from(connection.source)][usize::from(connection.target)]
                })
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
    /// Of the single connections among `trials` that were trained at full length, against everything that `map` holds, `also`, and
    /// the trivial rules. The intervals follow from `seed`.
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
        let accuracy = column(|score| score.validation_accuracy);
        let loss = column(|score| -score.validation_loss);
        let train_loss = column(|score| -score.train_loss);
        let predictors = Predictor::all(also)
            .into_par_iter()
            .filter_map(|predictor| {
                let predicted = predictor.of(map, &connections)?;
                Some(Audited {
                    predictor,
                    validation_accuracy: Agreement::of(&predicted, &accuracy, seed),
                    validation_loss: Agreement::of(&predicted, &loss, seed),
                    train_loss: Agreement::of(&predicted, &train_loss, seed),
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

/// A number that says how two orders agree.
type OfOrders<'a> = dyn Fn(&[f64], &[f64]) -> Option<f64> + 'a;

impl Agreement {
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
