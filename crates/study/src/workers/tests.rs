use super::*;

/// Numbers in groups of `group`. Each group follows once all numbers of the one before are told.
struct Groups {
    group: usize,
    all: usize,
    told: Vec<Option<u64>>,
    /// The order in which they were told.
    order: Vec<usize>,
    fails_at: Option<usize>,
}

impl Groups {
    fn new(group: usize, all: usize) -> Self {
        Self {
            group,
            all,
            told: vec![None; all],
            order: Vec::new(),
            fails_at: None,
        }
    }
}

impl Asks for Groups {
    type Training = u64;
    type Outcome = u64;

    fn ask(&mut self, _workers: usize) -> Result<Vec<(usize, u64)>, StudyError> {
        let group = self.order.len() / self.group * self.group;
        let group = group..(group + self.group).min(self.all);
        let untold = group.filter(|&number| self.told[number].is_none());
        Ok(untold.map(|number| (number, number as u64)).collect())
    }

    fn tell(&mut self, number: usize, outcome: u64, seconds: f64) -> Result<(), StudyError> {
        assert!(self.told[number].is_none(), "{number} is told twice");
        assert!(seconds >= 0.0);
        self.told[number] = Some(outcome);
        self.order.push(number);
        match self.fails_at {
            Some(fails) if fails == number => Err(StudyError::NotAsked { trial: number }),
            _ => Ok(()),
        }
    }
}

#[test]
fn everything_is_done_once_however_many_work() {
    for count in [1, 2, 5] {
        for group in [1, 3, 40] {
            let mut groups = Groups::new(group, 40);
            let square = |&number: &u64| number * number;
            let workers = Workers::new(count).unwrap();
            let done = workers.run(&mut groups, &AtomicBool::new(false), square);
            assert!(done.unwrap());
            let squares: Vec<_> = (0..40).map(|number| Some(number * number)).collect();
            assert_eq!(groups.told, squares);
        }
    }
}

/// Even numbers are done together, at most three at a time.
struct EvenTogether;

impl Work<u64> for EvenTogether {
    type Outcome = u64;

    fn most(&self) -> usize {
        3
    }

    fn fits(&self, first: &u64, other: &u64) -> bool {
        first.is_multiple_of(2) && other.is_multiple_of(2)
    }

    fn work(&self, trainings: &[&u64]) -> Vec<u64> {
        assert!(trainings.len() == 1 || trainings.iter().all(|number| number.is_multiple_of(2)));
        assert!(trainings.len() <= 3);
        let together = trainings.len() as u64;
        trainings
            .iter()
            .map(|&number| 10 * number + together)
            .collect()
    }
}

#[test]
fn what_fits_is_done_together() {
    for count in [1, 4] {
        let mut groups = Groups::new(8, 16);
        let workers = Workers::new(count).unwrap();
        let stop = AtomicBool::new(false);
        assert!(workers.run(&mut groups, &stop, EvenTogether).unwrap());
        for (number, told) in groups.told.iter().enumerate() {
            let (own, together) = (told.unwrap() / 10, told.unwrap() % 10);
            assert_eq!(own, number as u64);
            assert!(if number % 2 == 1 {
                together == 1
            } else {
                together <= 3
            });
        }
        if count == 1 {
            // Of each group of eight, 0, 2 and 4 are done together, and 6 alone.
            let found: Vec<u64> = groups.told.iter().map(|told| told.unwrap()).collect();
            assert_eq!(found[..8], [3, 11, 23, 31, 43, 51, 61, 71]);
        }
    }
}

/// Work after the one that stops waits for it: otherwise a worker could do many before it is scheduled.
#[test]
fn a_stop_leaves_a_beginning_without_gaps() {
    for count in [1, 3] {
        let stop = AtomicBool::new(false);
        let work = |&number: &u64| {
            stop.fetch_or(number == 10, Ordering::Relaxed);
            while number > 10 && !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            number
        };
        let mut groups = Groups::new(100, 100);
        let workers = Workers::new(count).unwrap();
        assert!(!workers.run(&mut groups, &stop, work).unwrap());
        let told = groups.told.iter().take_while(|told| told.is_some()).count();
        assert!(told >= 11 && told < 11 + count, "{told} by {count}");
        assert_eq!(groups.order.len(), told);
    }
}

#[test]
fn a_stop_at_the_very_end_is_the_end() {
    for count in [1, 2] {
        let stop = AtomicBool::new(false);
        let work = |&number: &u64| {
            stop.fetch_or(number == 5, Ordering::Relaxed);
            number
        };
        let workers = Workers::new(count).unwrap();
        assert!(workers.run(&mut Groups::new(1, 6), &stop, work).unwrap());
    }
}

#[test]
fn the_first_error_ends_it() {
    for count in [1, 2] {
        let mut groups = Groups {
            fails_at: Some(7),
            ..Groups::new(50, 50)
        };
        let workers = Workers::new(count).unwrap();
        let result = workers.run(&mut groups, &AtomicBool::new(false), |&number: &u64| number);
        assert!(matches!(result, Err(StudyError::NotAsked { trial: 7 })));
        assert_eq!(groups.order.last(), Some(&7));
    }
}

#[test]
fn a_panic_of_one_worker_ends_all() {
    let result = std::panic::catch_unwind(|| {
        let work = |&number: &u64| {
            assert!(number != 3, "a bug in the work");
            number
        };
        let workers = Workers::new(2).unwrap();
        workers.run(&mut Groups::new(4, 40), &AtomicBool::new(false), work)
    });
    assert!(result.is_err());
}

#[test]
fn each_of_several_workers_has_one_thread() {
    let threads = |_: &u64| rayon::current_num_threads() as u64;
    let mut groups = Groups::new(6, 6);
    let workers = Workers::new(3).unwrap();
    let done = workers.run(&mut groups, &AtomicBool::new(false), threads);
    assert!(done.unwrap());
    assert_eq!(groups.told, [Some(1); 6]);
}
