//! Strategies on the table of a placement bench, without training.

use std::collections::BTreeMap;

use adaplace_scorer::{Evaluation, Measures, Score, ScoreError, Scorer};
use adaplace_search_space::{Fidelity, Placement, PlacementHash, SearchSpace};

use crate::bench::only_adapter;
use crate::compare::{Final, FinalTraining, Finisher, column};
use crate::{BenchRow, ExperimentError, PlacementBench};

/// Scores placements by looking them up.
#[derive(Debug)]
pub struct Replay<'a> {
    bench: &'a PlacementBench,
    rows: BTreeMap<PlacementHash, usize>,
}

impl<'a> Replay<'a> {
    /// A replay on the table of `bench`, for placements of `space`.
    ///
    /// # Errors
    /// [`ExperimentError::SeveralAdapters`] if the space has more than one rank.
    pub fn new(bench: &'a PlacementBench, space: &SearchSpace) -> Result<Self, ExperimentError> {
        let adapter = only_adapter(space)?;
        let rows = bench.rows.iter().enumerate();
        Ok(Self {
            rows: rows
                .map(|(index, row)| (row.placement(adapter).hash(), index))
                .collect(),
            bench,
        })
    }

    /// Whether the table has the placement.
    #[must_use]
    pub fn holds(&self, placement: &Placement) -> bool {
        self.rows.contains_key(&placement.hash())
    }

    fn row(&self, placement: &Placement) -> Result<&BenchRow, ScoreError> {
        let index = self.rows.get(&placement.hash());
        index.map(|&index| &self.bench.rows[index]).ok_or_else(|| {
            let placement = placement.to_string();
            ScoreError::Other(Box::new(ExperimentError::NotInBench { placement }))
        })
    }
}

fn failed_there() -> ScoreError {
    ScoreError::Failed {
        reason: "the training in the bench failed".to_owned(),
    }
}

impl Scorer for Replay<'_> {
    /// Looks up a repetition; those beyond the bench start again with the first. A race skips the repetition of its
    /// seed's trials if there is another. The bench has no training loss, so the validation loss replaces it.
    fn score(
        &self,
        placement: &Placement,
        _fidelity: Fidelity,
        repetition: u32,
    ) -> Result<Score, ScoreError> {
        let row = self.row(placement)?;
        let column = column(repetition, row.accuracy.len());
        match (row.accuracy[column], row.loss[column]) {
            (Some(accuracy), Some(loss)) => Ok(Score {
                train_loss: loss,
                validation_loss: loss,
                measures: Measures::of_accuracy(accuracy),
            }),
            _ => Err(failed_there()),
        }
    }
}

impl Finisher for Replay<'_> {
    /// The mean of the repetitions replaces the evaluation on the test part.
    fn finish(&self, FinalTraining { placement, .. }: &FinalTraining) -> Result<Final, ScoreError> {
        let probe = self.bench.probe.validation;
        let (accuracy, loss) = if placement.is_empty() {
            (probe.measures.headline(), probe.loss)
        } else {
            let row = self.row(placement)?;
            let mean = |values: &[Option<f64>]| -> Option<f64> {
                let known: Vec<f64> = values.iter().copied().collect::<Option<_>>()?;
                Some(known.iter().sum::<f64>() / known.len() as f64)
            };
            let means = mean(&row.accuracy).zip(mean(&row.loss));
            means.ok_or_else(failed_there)?
        };
        Ok(Final {
            candidates: Vec::new(),
            learning_rate: None,
            test: Evaluation {
                loss,
                measures: Measures::of_accuracy(accuracy),
                examples: probe.examples,
            },
        })
    }
}
