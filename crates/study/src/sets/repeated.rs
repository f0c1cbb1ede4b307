//! The trainings of a bench that can be compared.

use adaplace_search_space::Placement;

use crate::{PlacementBench, StudyError};

/// The placements of a bench that have all of its first R repetitions, so that an order of the examples is common to all. R is
/// where these trainings have the most degrees of freedom, (placements - 1)(R - 1).
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    pub(crate) placements: Vec<Placement>,
    /// Validation accuracy, a row for each placement and a column for each repetition.
    pub(crate) accuracy: Vec<Vec<f64>>,
    /// Negated validation loss, likewise.
    pub(crate) loss: Vec<Vec<f64>>,
    /// R
    pub(crate) repetitions: usize,
}

impl Trained {
    pub(crate) fn of(bench: &PlacementBench) -> Result<Self, StudyError> {
        let rows = bench.placements()?;
        let whole = |row: usize, repetitions: usize| {
            let row = &bench.rows[row];
            let known = |values: &[Option<f64>]| values[..repetitions].iter().all(Option::is_some);
            known(&row.accuracy) && known(&row.loss)
        };
        let all = bench.configuration.search.repetitions as usize;
        let count = |repetitions: usize| {
            (0..rows.len())
                .filter(|&row| whole(row, repetitions))
                .count()
        };
        // Of as many degrees the fewest repetitions, which leave the most placements.
        let degrees = |repetitions: usize| count(repetitions).saturating_sub(1) * (repetitions - 1);
        let best = (1..=all)
            .rev()
            .max_by_key(|&repetitions| degrees(repetitions));
        let repetitions = best.unwrap_or(1);
        let kept: Vec<usize> = (0..rows.len())
            .filter(|&row| whole(row, repetitions))
            .collect();
        let table = |values: fn(&crate::BenchRow) -> &[Option<f64>], sign: f64| {
            let row = |&row: &usize| {
                let known = values(&bench.rows[row]).iter().take(repetitions);
                known.flatten().map(|value| sign * value).collect()
            };
            kept.iter().map(row).collect()
        };
        Ok(Self {
            accuracy: table(|row| &row.accuracy, 1.0),
            loss: table(|row| &row.loss, -1.0),
            placements: kept.iter().map(|&row| rows[row].clone()).collect(),
            repetitions,
        })
    }
}

/// The mean of each row.
pub(crate) fn means(table: &[Vec<f64>]) -> Vec<f64> {
    let mean = |row: &Vec<f64>| row.iter().sum::<f64>() / row.len() as f64;
    table.iter().map(mean).collect()
}
