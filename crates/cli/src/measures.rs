//! The measures of an evaluation, in words.

use adaplace_scorer::{Evaluation, Measures};
use adaplace_study::Metric;
use adaplace_task::ProblemKind;

use crate::table::percent;

/// The names of all measures of a kind of problem, with those of [`measured`].
pub(crate) fn names(problem: ProblemKind) -> Vec<&'static str> {
    let mut names: Vec<&str> = metrics(problem).map(Metric::words).collect();
    if problem == ProblemKind::Regression {
        names.push("root mean squared error");
    }
    names
}

/// All measures of an evaluation, headline and loss first. One that was not measured is empty.
pub(crate) fn measured(evaluation: &Evaluation) -> Vec<String> {
    let problem = evaluation.measures.problem();
    let show = |metric: Metric| {
        let value = metric.of_evaluation(evaluation);
        match metric {
            _ if value.is_nan() && metric != Metric::Loss => String::new(),
            Metric::Loss => format!("{value:.4}"),
            _ => shown(metric, value),
        }
    };
    let mut values: Vec<String> = metrics(problem).map(show).collect();
    if let Measures::Numbers(of) = evaluation.measures {
        values.push(format!("{:.4}", of.root_mean_squared_error));
    }
    values
}

/// A value of a metric: a share in percent, others with three digits.
pub(crate) fn shown(metric: Metric, value: f64) -> String {
    match metric.is_share() {
        true => percent(value),
        false => format!("{value:.3}"),
    }
}

/// The headline measure with its unit.
pub(crate) fn headline(measures: &Measures) -> String {
    shown(Metric::headline(measures.problem()), measures.headline())
}

fn metrics(problem: ProblemKind) -> impl Iterator<Item = Metric> {
    let all = Metric::of_problem(problem).iter().copied();
    all.filter(|&metric| metric != Metric::Combined)
}

#[cfg(test)]
mod tests {
    use adaplace_scorer::OfNumbers;

    use super::*;

    #[test]
    fn every_measure_has_a_name() {
        let numbers = Evaluation {
            loss: 0.5,
            measures: Measures::Numbers(OfNumbers {
                pearson: 0.75,
                spearman: 0.7,
                r2: 0.5,
                root_mean_squared_error: 1.25,
            }),
            examples: 4,
        };
        let values = measured(&numbers);
        assert_eq!(values, ["0.750", "0.5000", "0.700", "0.500", "1.2500"]);
        assert_eq!(names(ProblemKind::Regression).len(), values.len());
        let old = Evaluation {
            measures: Measures::of_accuracy(0.5),
            ..numbers
        };
        assert_eq!(measured(&old), ["50.00 %", "0.5000", "", "", ""]);
        assert_eq!(headline(&old.measures), "50.00 %");
    }
}
