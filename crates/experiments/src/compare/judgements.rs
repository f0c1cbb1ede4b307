//! Charges searches for judgements that were made earlier, by another search or before a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use adaplace_search_space::{Connection, Placement, PlacementHash};
use adaplace_strategy::{ConnectionProxy, ProxyError};

/// Work that a proxy does before its first answer. For a second search it is already done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Preparation {
    /// The gradient map of the frozen model.
    Map,
    /// The joint judgement of connections.
    Joint,
    /// The features of connections.
    Features,
    /// A training of several adapters together.
    Together(PlacementHash),
}

/// The durations of all preparations, in seconds.
#[derive(Debug)]
pub(super) struct Judgements(Mutex<BTreeMap<Preparation, f64>>);

impl Judgements {
    /// `map` is the duration of the gradient map of the frozen model; `together` holds the durations of known joint
    /// trainings, in seconds.
    pub(super) fn new(map: f64, together: BTreeMap<PlacementHash, f64>) -> Self {
        let together = together.into_iter();
        let together = together.map(|(hash, seconds)| (Preparation::Together(hash), seconds));
        let all = together.chain([(Preparation::Map, map)]);
        Self(Mutex::new(all.collect()))
    }

    /// The duration of the first time; `now` if this is the first time.
    fn first(&self, preparation: Preparation, now: f64) -> f64 {
        *lock(&self.0).entry(preparation).or_insert(now)
    }
}

/// The proxy of one search, which charges that search for work that others have done.
pub(super) struct Charged<'a> {
    proxy: Arc<dyn ConnectionProxy + 'a>,
    judgements: Arc<Judgements>,
    own: Mutex<Own>,
}

#[derive(Debug, Default)]
struct Own {
    asked: BTreeSet<Preparation>,
    saved: f64,
}

impl<'a> Charged<'a> {
    pub(super) fn new(
        proxy: Arc<dyn ConnectionProxy + 'a>,
        judgements: Arc<Judgements>,
    ) -> Arc<Self> {
        Arc::new(Self {
            proxy,
            judgements,
            own: Mutex::default(),
        })
    }

    /// Time in seconds that this search saved because the work was already done.
    pub(super) fn saved(&self) -> f64 {
        lock(&self.own).saved
    }

    fn answer<T>(
        &self,
        preparation: Preparation,
        judge: impl FnOnce() -> Result<T, ProxyError>,
    ) -> Result<T, ProxyError> {
        let start = Instant::now();
        let answer = judge()?;
        self.charge(preparation, start.elapsed().as_secs_f64());
        Ok(answer)
    }

    /// Charges a preparation once: its full duration minus the time that this search waited.
    fn charge(&self, preparation: Preparation, waited: f64) {
        let first = self.judgements.first(preparation, waited);
        let mut own = lock(&self.own);
        if own.asked.insert(preparation) {
            own.saved += (first - waited).max(0.0);
        }
    }
}

impl ConnectionProxy for Charged<'_> {
    fn connection_scores(
        &self,
        given: &Placement,
        connections: &[Connection],
    ) -> Result<Vec<f64>, ProxyError> {
        self.charge(Preparation::Map, 0.0);
        let preparation = match given.is_empty() {
            true => Preparation::Map,
            false => Preparation::Joint,
        };
        self.answer(preparation, || {
            self.proxy.connection_scores(given, connections)
        })
    }

    fn joint_scores(&self, placements: &[Placement]) -> Result<Vec<f64>, ProxyError> {
        self.charge(Preparation::Map, 0.0);
        self.answer(Preparation::Joint, || self.proxy.joint_scores(placements))
    }

    fn features(&self, connections: &[Connection]) -> Result<Vec<Vec<f64>>, ProxyError> {
        self.charge(Preparation::Map, 0.0);
        self.answer(Preparation::Features, || self.proxy.features(connections))
    }

    fn importance(&self, together: &Placement) -> Result<Vec<f64>, ProxyError> {
        let preparation = Preparation::Together(together.hash());
        self.answer(preparation, || self.proxy.importance(together))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use adaplace_search_space::AdapterSpec;
    use adaplace_strategy::FixedProxy;

    use super::*;

    /// Answers at once, except for the first joint training.
    #[derive(Default)]
    struct Slow(Mutex<bool>);

    const WAIT: Duration = Duration::from_millis(50);

    impl ConnectionProxy for Slow {
        fn connection_scores(
            &self,
            _given: &Placement,
            connections: &[Connection],
        ) -> Result<Vec<f64>, ProxyError> {
            Ok(vec![0.5; connections.len()])
        }

        fn importance(&self, together: &Placement) -> Result<Vec<f64>, ProxyError> {
            let mut trained = lock(&self.0);
            if !*trained {
                std::thread::sleep(WAIT);
                *trained = true;
            }
            Ok(vec![1.0; together.len()])
        }
    }

    fn given(target: u16) -> Placement {
        let adapter = AdapterSpec::new(2, 1.0).unwrap();
        Placement::new().with(Connection::new(0, target), adapter)
    }

    /// Earlier work is charged once to every search that needs it. An answer takes less than a millisecond.
    #[test]
    fn each_search_pays_for_what_it_asks_for() {
        let (map, at_hand) = (100.0, BTreeMap::from([(given(1).hash(), 20.0)]));
        let judgements = Arc::new(Judgements::new(map, at_hand));
        let known = [0, 1, 2].map(|target| (Connection::new(0, target), 1.0));
        let proxy = Arc::new(FixedProxy::from_iter(known));
        let search = || {
            Charged::new(
                Arc::clone(&proxy) as Arc<dyn ConnectionProxy>,
                judgements.clone(),
            )
        };
        let connections = [Connection::new(0, 0)];
        let close = |search: &Charged<'_>, expected: f64| {
            let saved = search.saved();
            assert!((saved - expected).abs() < 1e-3, "{saved} is not {expected}");
        };
        for _ in 0..2 {
            let search = search();
            close(&search, 0.0);
            for _ in 0..2 {
                assert_eq!(
                    search
                        .connection_scores(&Placement::new(), &connections)
                        .unwrap(),
                    [1.0]
                );
                close(&search, 100.0);
            }
            // Scores with given adapters come from the same map.
            search.connection_scores(&given(1), &connections).unwrap();
            close(&search, 100.0);
            for _ in 0..2 {
                search.importance(&given(1)).unwrap();
                close(&search, 120.0);
            }
            // These had not been trained together, and the training takes no time here.
            search.importance(&given(2)).unwrap();
            close(&search, 120.0);
        }
        // The features of connections come from the map.
        let of_features = search();
        of_features.features(&connections).unwrap();
        of_features.joint_scores(&[]).unwrap();
        close(&of_features, 100.0);
        let failing = search();
        assert!(
            failing
                .connection_scores(&given(1), &[Connection::new(0, 3)])
                .is_err()
        );
        close(&failing, 100.0);
    }

    /// The first search waits; the second is charged the same without waiting.
    #[test]
    fn what_one_search_waited_for_is_charged_to_the_next() {
        let judgements = Arc::new(Judgements::new(0.0, BTreeMap::new()));
        let proxy: Arc<dyn ConnectionProxy> = Arc::new(Slow::default());
        let charged = |search: &Charged<'_>| {
            let start = Instant::now();
            search.importance(&given(1)).unwrap();
            (start.elapsed().as_secs_f64(), search.saved())
        };
        let [first, second] =
            [0, 1].map(|_| charged(&Charged::new(Arc::clone(&proxy), Arc::clone(&judgements))));
        assert!(first.0 >= WAIT.as_secs_f64() && first.1 == 0.0, "{first:?}");
        assert!(second.0 + second.1 >= WAIT.as_secs_f64(), "{second:?}");
    }
}
