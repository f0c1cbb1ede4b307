//! The outcome of a proposal.

use std::cmp::Ordering;

use adaplace_search_space::Fidelity;

/// The merit of a placement, where larger is better. The fidelity counts first (a longer training is more informative),
/// then the objective, then the tie-break. None of them is ever NaN.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Merit {
    /// The fidelity at which the placement was scored.
    pub fidelity: Fidelity,
    /// The objective of the search, where larger is better: for instance the validation accuracy, or the negated loss.
    pub objective: f64,
    /// The value that decides between equal objectives, where larger is better.
    pub tie_break: f64,
}

impl Merit {
    /// A merit, or `None` if either number is NaN. Such a trial has failed.
    pub fn new(fidelity: Fidelity, objective: f64, tie_break: f64) -> Option<Self> {
        let numbers = !objective.is_nan() && !tie_break.is_nan();
        numbers.then_some(Merit {
            fidelity,
            objective,
            tie_break,
        })
    }
}

impl PartialEq for Merit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Merit {}

impl PartialOrd for Merit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Merit {
    fn cmp(&self, other: &Self) -> Ordering {
        self.fidelity
            .cmp(&other.fidelity)
            .then_with(|| self.objective.total_cmp(&other.objective))
            .then_with(|| self.tie_break.total_cmp(&other.tie_break))
    }
}

/// The outcome of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The proposal was trained and scored.
    Scored(Merit),
    /// The training diverged. Such a proposal never wins and never becomes a parent.
    Failed,
}

impl Outcome {
    /// The merit of a scored proposal, `None` for a failed one.
    pub fn merit(&self) -> Option<Merit> {
        match self {
            Outcome::Scored(merit) => Some(*merit),
            Outcome::Failed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merit(steps: u32, objective: f64, tie_break: f64) -> Merit {
        Merit::new(Fidelity::of(steps), objective, tie_break).unwrap()
    }

    #[test]
    fn fidelity_comes_before_objective_before_tie_break() {
        let ascending = [
            merit(1, 9.0, 9.0),
            merit(2, 0.1, 9.0),
            merit(2, 0.2, -1.0),
            merit(2, 0.2, 0.0),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn not_a_number_is_no_merit() {
        let fidelity = Fidelity::of(1);
        assert!(Merit::new(fidelity, f64::NAN, 0.0).is_none());
        assert!(Merit::new(fidelity, 0.0, f64::NAN).is_none());
    }
}
