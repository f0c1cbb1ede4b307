//! Pruning: what is trained together, what is kept, and what follows.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};

use adaplace_search_space::{Connection, Placement};
use adaplace_strategy::{
    ConnectionProxy, Outcome, ProxyError, Prune, PruneSettings, StrategyError,
};
use common::{extended, placements, run, space, steps};

/// Connections with a large source are important, and more so if there are fewer of them. Connections with a large
/// target are promising.
#[derive(Default)]
struct Trained(Mutex<Vec<usize>>);

impl ConnectionProxy for Trained {
    fn connection_scores(
        &self,
        _: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        Ok(connections.iter().map(|c| f64::from(c.target)).collect())
    }

    fn importance(&self, together: &Placement) -> Result<Vec<f64>, ProxyError> {
        self.0.lock().unwrap().push(together.len());
        let importance =
            |c: Connection| f64::from(c.source * 100 + c.target) / together.len() as f64;
        Ok(together.connections().map(importance).collect())
    }
}

fn settings(rounds: usize, start: Option<usize>) -> PruneSettings {
    PruneSettings { rounds, start }
}

fn names(placement: &Placement) -> Vec<(u16, u16)> {
    placement
        .connections()
        .map(|c| (c.source, c.target))
        .collect()
}

#[test]
fn the_important_are_kept_and_then_exchanged() {
    let space = extended(8, 4);
    let trained = Arc::new(Trained::default());
    let mut prune = Prune::new(trained.clone(), steps(64), settings(2, None)).unwrap();
    let all = placements(&run(&mut prune, &space, 3, 9, &|_| Outcome::Failed));
    assert_eq!(*trained.0.lock().unwrap(), [64, 16]);
    assert_eq!(names(&all[0]), [(7, 4), (7, 5), (7, 6), (7, 7)]);
    // First the weakest kept is exchanged for the strongest dropped; then the latter for the next one, or the second
    // weakest kept for the strongest dropped.
    assert_eq!(names(&all[1]), [(7, 3), (7, 5), (7, 6), (7, 7)]);
    let mut two = [names(&all[2]), names(&all[3])];
    two.sort();
    assert_eq!(two[0], [(7, 2), (7, 5), (7, 6), (7, 7)]);
    assert_eq!(two[1], [(7, 3), (7, 4), (7, 6), (7, 7)]);
}

#[test]
fn only_the_most_promising_are_trained_if_asked_for() {
    let space = extended(4, 2);
    let trained = Arc::new(Trained::default());
    let mut prune = Prune::new(trained.clone(), steps(64), settings(1, Some(4))).unwrap();
    let all = placements(&run(&mut prune, &space, 1, 1, &|_| Outcome::Failed));
    assert_eq!(*trained.0.lock().unwrap(), [4]);
    assert_eq!(names(&all[0]), [(2, 3), (3, 3)]);
}

#[test]
fn every_set_comes_once_within_the_budget() {
    let space = space(
        4,
        "[connections]\nkinds = [\"parallel\", \"recurrent\"]\n[adapter]\nranks = [2]\n\
         [budget]\nadapters = 2\nextra_flops = 0.8\n",
    );
    let mut prune = Prune::new(Arc::new(Trained::default()), steps(64), settings(2, None)).unwrap();
    let mut all = placements(&run(&mut prune, &space, 4, 1000, &|_| Outcome::Failed));
    all.sort();
    assert_eq!(all, space.placements().collect::<Vec<_>>());
}

#[test]
fn settings_out_of_range_are_refused() {
    for (settings, name) in [
        (settings(0, None), "rounds"),
        (settings(2, Some(0)), "start"),
    ] {
        let refused = Prune::new(Arc::new(Trained::default()), steps(64), settings);
        assert!(matches!(
            refused.err().unwrap(),
            StrategyError::OutOfRange { setting, .. } if setting == name
        ));
    }
}
