//! The importance of an adapter is the slope of the loss along its output.

use std::sync::Arc;

use adaplace_scorer::{Model, Parameters, ProxyScorer, TrainingSettings, evaluate, importances};
use adaplace_search_space::{AdapterSpec, Connection, Count, Fidelity, Placement};

use crate::support::{model, tiny};

#[test]
fn importances_are_slopes_of_the_loss() {
    let (backbone, task) = tiny();
    let model = model(&backbone, &[(3, 1), (0, 1), (1, 1), (0, 3), (4, 4)]);
    let examples = task.validation.len();
    let found = importances(&model, &task.validation, examples).unwrap();
    assert_eq!(found.len(), 5);
    let parameters = model.parameters();
    for (connection, found) in parameters.connections().zip(&found) {
        // With W_up and b_up times (1 + t), F(t) = F(0) + t sum(w dL/dw) + O(t^2), and the central difference leaves
        // O(h^2).
        let up = format!("{}-{}.up.", connection.source, connection.target);
        let loss = |t: f32| {
            let mut tensors = parameters.tensors().into_iter();
            let (width, classes) = (parameters.width(), parameters.classes());
            let moved =
                Parameters::from_tensors(parameters.placement(), width, classes, |name, _| {
                    let mut values = tensors.next().unwrap().values;
                    if name.starts_with(&up) {
                        values.iter_mut().for_each(|value| *value *= 1.0 + t);
                    }
                    Ok::<_, ()>(values)
                });
            let model = Model::new(&backbone, moved.unwrap()).unwrap();
            evaluate(&model, &task.validation, examples).unwrap().loss
        };
        let slope = (loss(0.01) - loss(-0.01)) / 0.02;
        assert!(
            (slope.abs() - found).abs() < 2e-3 * (1.0 + found),
            "{slope} {found}"
        );
    }
}

#[test]
fn batches_are_averaged_each_by_its_size_of_change() {
    let (backbone, task) = tiny();
    let model: Model<'_> = model(&backbone, &[(3, 1), (0, 4)]);
    let whole = importances(&model, &task.validation, task.validation.len()).unwrap();
    let parts = importances(&model, &task.validation, 4).unwrap();
    // |mean| <= mean of the absolute values, up to batches of unequal size.
    for (whole, parts) in whole.iter().zip(&parts) {
        assert!(*parts > 0.9 * whole, "{parts} {whole}");
    }
}

#[test]
fn all_connections_can_be_trained_together() {
    let (backbone, task) = tiny();
    let settings = TrainingSettings {
        batch_size: Count::of(16),
        ..TrainingSettings::default()
    };
    let scorer = ProxyScorer::new(Arc::clone(&backbone), Arc::clone(&task), settings, 7).unwrap();
    let spec = AdapterSpec::new(2, 1.0).unwrap();
    let all: Placement = (0..5)
        .flat_map(|source| (0..5).map(move |target| (Connection { source, target }, spec)))
        .collect();
    let importances = |steps| scorer.importances(&all, Fidelity::of(steps)).unwrap();
    let found = importances(3);
    assert_eq!(found.len(), all.len());
    assert!(
        found.iter().all(|&one| one.is_finite() && one > 0.0),
        "{found:?}"
    );
    assert_eq!(importances(3), found);
}
