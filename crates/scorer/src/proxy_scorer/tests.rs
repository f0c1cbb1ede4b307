use std::sync::Mutex;

use adaplace_arithmetic::ArithmeticError;
use adaplace_search_space::{AdapterSpec, Connection};
use adaplace_testkit::TextTask;

use super::*;
use crate::support::{tiny_bert, tiny_task};

/// A device with room for some models, which counts how many it was given at a time.
#[derive(Debug)]
struct Small {
    room: usize,
    given: Arc<Mutex<Vec<usize>>>,
}

impl Learner for Small {
    fn width(&self) -> usize {
        32
    }

    fn fit_probe(&self, _: usize) -> Result<LinearProbe, ScoreError> {
        unreachable!()
    }

    /// The loss of a model is its number of adapters. Without adapters it diverges.
    fn train(
        &self,
        initial: Vec<Parameters>,
        _: &TrainingSettings,
        _: u32,
        _: u64,
        _: u32,
    ) -> Result<Vec<Result<Trained, ScoreError>>, ScoreError> {
        self.given.lock().unwrap().push(initial.len());
        if initial.len() > self.room {
            return Err(ArithmeticError("out of memory".to_owned()).into());
        }
        let outcome = |parameters: Parameters| match parameters.connections().count() {
            0 => Err(ScoreError::Failed {
                reason: "no adapters".to_owned(),
            }),
            adapters => Ok(Trained {
                parameters,
                train_loss: adapters as f64,
            }),
        };
        Ok(initial.into_iter().map(outcome).collect())
    }

    fn validate(
        &self,
        parameters: Vec<Parameters>,
        _: usize,
    ) -> Result<Vec<Evaluation>, ScoreError> {
        let evaluation = |parameters: &Parameters| Evaluation {
            loss: 10.0 * parameters.connections().count() as f64,
            measures: Measures::of_accuracy(0.5),
            examples: 1,
        };
        Ok(parameters.iter().map(evaluation).collect())
    }

    fn trainings_at_once(&self, _: usize) -> usize {
        unreachable!()
    }

    fn evaluate(&self, _: Parameters, _: &Examples, _: usize) -> Result<Evaluation, ScoreError> {
        unreachable!()
    }

    fn importances(&self, _: Parameters, _: usize) -> Result<Vec<f64>, ScoreError> {
        unreachable!()
    }

    fn gradient_map(
        &self,
        _: Parameters,
        _: &Examples,
        _: &[Connection],
        _: Option<(&Examples, &Statistics)>,
        _: &GradientMapSettings,
    ) -> Result<GradientMap, ScoreError> {
        unreachable!()
    }
}

/// Without memory for eight models, half as many are trained at a time from then on. Each gets its own score, and one
/// that fails takes no score from the others.
#[test]
fn what_does_not_fit_is_halved() {
    let backbone = Arc::new(tiny_bert());
    let task = Arc::new(tiny_task(&TextTask::default()));
    let mut scorer = ProxyScorer::new(backbone, task, TrainingSettings::default(), 0).unwrap();
    let given = Arc::default();
    scorer.learner = Box::new(Small {
        room: 3,
        given: Arc::clone(&given),
    });
    scorer.side_by_side = 8.into();
    let spec = AdapterSpec::new(1, 1.0).unwrap();
    let placements: Vec<Placement> = [3, 1, 0, 2, 1, 4, 2]
        .map(|count| {
            let connections = (0..count).map(|source| (Connection::new(source, 4), spec));
            connections.collect()
        })
        .into_iter()
        .collect();
    let asked: Vec<&Placement> = placements.iter().collect();
    for sizes in [&[7, 3, 3, 1][..], &[3, 3, 1]] {
        let scores = scorer.score_together(&asked, Fidelity::of(1), 0);
        for (placement, score) in placements.iter().zip(scores) {
            match (placement.len(), score) {
                (0, Err(ScoreError::Failed { .. })) => {}
                (adapters, Ok(score)) => {
                    assert_eq!(score.train_loss, adapters as f64);
                    assert_eq!(score.validation_loss, 10.0 * adapters as f64);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(std::mem::take(&mut *given.lock().unwrap()), sizes);
        assert_eq!(scorer.side_by_side(), 3);
    }
}
