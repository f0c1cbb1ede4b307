//! The trainings of a bench that can be compared.

use adaplace_search_space::Placement;

use crate::{BenchRow, ExperimentError, PlacementBench};

/// The placements of a bench that have all of its first R repetitions, so that all share the orders of the examples. R
/// maximises the degrees of freedom, (placements - 1)(R - 1).
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    pub(crate) placements: Vec<Placement>,
    /// Validation accuracy, a row for each placement and a column for each repetition.
    pub(crate) accuracy: Vec<Vec<f64>>,
    /// Negated validation loss, a row for each placement and a column for each repetition.
    pub(crate) loss: Vec<Vec<f64>>,
    /// The number R of repetitions.
    pub(crate) repetitions: usize,
}

impl Trained {
    pub(crate) fn of(bench: &PlacementBench) -> Result<Self, ExperimentError> {
        let placements = bench.placements()?;
        let all = bench.configuration.search.repetitions.get() as usize;
        Ok(Self::among(&bench.rows, &placements, all))
    }

    fn among(rows: &[BenchRow], placements: &[Placement], all: usize) -> Self {
        let whole = |row: &BenchRow, repetitions: usize| {
            let known = |values: &[Option<f64>]| values[..repetitions].iter().all(Option::is_some);
            known(&row.accuracy) && known(&row.loss)
        };
        let degrees = |repetitions: usize| {
            let count = rows.iter().filter(|row| whole(row, repetitions)).count();
            count.saturating_sub(1) * (repetitions - 1)
        };
        // On a tie take the fewest repetitions, which leave the most placements.
        let best = (1..=all)
            .rev()
            .max_by_key(|&repetitions| degrees(repetitions));
        let repetitions = best.unwrap_or(1);
        let kept: Vec<usize> = (0..rows.len())
            .filter(|&row| whole(&rows[row], repetitions))
            .collect();
        let table = |values: fn(&BenchRow) -> &[Option<f64>], sign: f64| {
            let row = |&row: &usize| {
                let known = values(&rows[row]).iter().take(repetitions);
                known.flatten().map(|value| sign * value).collect()
            };
            kept.iter().map(row).collect()
        };
        Self {
            accuracy: table(|row| &row.accuracy, 1.0),
            loss: table(|row| &row.loss, -1.0),
            placements: kept.iter().map(|&row| placements[row].clone()).collect(),
            repetitions,
        }
    }
}

/// The mean of each row.
pub(crate) fn means(table: &[Vec<f64>]) -> Vec<f64> {
    let mean = |row: &Vec<f64>| row.iter().sum::<f64>() / row.len() as f64;
    table.iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of placements with these numbers of leading repetitions.
    fn trained(counts: &[usize]) -> Trained {
        let rows: Vec<BenchRow> = counts
            .iter()
            .enumerate()
            .map(|(index, &count)| {
                let value = |repetition: usize| (repetition < count).then_some(index as f64);
                let values: Vec<Option<f64>> = (0..3).map(value).collect();
                BenchRow {
                    placement: Vec::new(),
                    accuracy: values.clone(),
                    loss: values,
                }
            })
            .collect();
        Trained::among(&rows, &vec![Placement::new(); counts.len()], 3)
    }

    /// Degrees of freedom (n - 1)(R - 1), worked out by hand; a tie leaves the most placements.
    #[test]
    fn as_many_repetitions_count_as_tell_the_most() {
        let found = trained(&[3, 3, 2, 2, 1, 0]);
        assert_eq!((found.repetitions, found.placements.len()), (2, 4));
        assert_eq!(found.accuracy[3], [3.0, 3.0]);
        assert_eq!(means(&found.loss), [0.0, -1.0, -2.0, -3.0]);
        assert_eq!(trained(&[3, 3, 3, 2]).repetitions, 3);
        assert_eq!(trained(&[3, 3, 2]).repetitions, 2);
        let single = trained(&[1, 0, 1, 1]);
        assert_eq!((single.repetitions, single.placements.len()), (1, 3));
    }
}
