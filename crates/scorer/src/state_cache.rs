use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adaplace_arithmetic::{Arithmetic, Cpu};
use adaplace_backbone::{Backbone, SublayerScratch};
use adaplace_task::{Examples, Part, Task};
use rayon::prelude::*;

use crate::engine::pieces;
use crate::inputs::inputs;
use crate::{Dataset, ScoreError};

/// The hidden states of the frozen backbone for some examples, without padding, within a memory budget.
///
/// The backbone never changes, so the states below the earliest target of a placement are the same in every epoch of
/// every trial. They are computed once and looked up from then on. A state is cached for all examples or for none. If
/// not all states fit, the least recently used one makes room. A cached state equals a computed one to the bit on the
/// processor, so the budget changes no result there.
#[derive(Debug)]
pub struct StateCache<A: Arithmetic = Cpu> {
    backbone: Arc<Backbone<A>>,
    task: Arc<Task>,
    part: Part,
    offsets: Arc<[usize]>,
    cached: Mutex<CachedStates<A>>,
}

/// The cached states by their index.
struct CachedStates<A: Arithmetic> {
    /// The number of states that fit.
    capacity: usize,
    states: Vec<Option<Arc<CachedState<A>>>>,
    /// The indices of the cached states, the least recently used first.
    by_use: Vec<usize>,
}

/// The threads that compute a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    /// All threads of the current rayon pool.
    All,
    /// Only the calling thread, which may be one of several that process a batch.
    This,
}

/// The state h_n of all examples.
pub(crate) struct CachedState<A: Arithmetic> {
    /// The offset of each example's tokens, followed by the number of tokens.
    offsets: Arc<[usize]>,
    /// The values, (tokens of all examples, width).
    values: A::Buffer,
}

impl<A: Arithmetic> StateCache<A> {
    /// A cache of at most `budget` bytes for the examples of a part of the task. If all states fit, they are computed
    /// at once, on all threads of the current rayon pool. Otherwise each is computed when it is first asked for.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    ///
    /// # Panics
    /// If the task does not have the part.
    pub fn new(
        backbone: Arc<Backbone<A>>,
        task: Arc<Task>,
        part: Part,
        budget: usize,
    ) -> Result<Self, ScoreError> {
        let examples = task.part(part).expect("the task has the part");
        let states = backbone.description().hidden_states;
        let size = Self::size(&backbone, examples);
        let capacity = match size {
            0 => states,
            _ => (budget / (size / states)).min(states),
        };
        let cache = Self {
            offsets: offsets(&backbone, examples).into(),
            backbone,
            task,
            part,
            cached: Mutex::new(CachedStates {
                capacity,
                states: vec![None; states],
                by_use: Vec::new(),
            }),
        };
        if capacity == states {
            cache
                .fill()
                .or_else(|error| cache.shrink(capacity, error))?;
        }
        Ok(cache)
    }

    /// The number of bytes that all states of these examples take.
    #[must_use]
    pub fn size(backbone: &Backbone<A>, examples: &Examples) -> usize {
        let description = backbone.description();
        let tokens = offsets(backbone, examples).last().copied();
        tokens.unwrap_or_default()
            * description.width
            * description.hidden_states
            * size_of::<f32>()
    }

    fn examples(&self) -> &Examples {
        let examples = self.task.part(self.part);
        examples.expect("the task had the part when the cache was created")
    }

    /// Computes all states from the embedding upwards.
    fn fill(&self) -> Result<(), ScoreError> {
        let mut below: Option<Arc<CachedState<A>>> = None;
        for n in 0..self.backbone.description().hidden_states {
            let before = below.as_deref().map(|state| &state.values);
            let state = Arc::new(self.to_cache(self.next(n, before, Threads::All)?));
            self.lock().insert(n, Arc::clone(&state));
            below = Some(state);
        }
        Ok(())
    }

    /// The state h_n, which is cached from now on. `None` if not even one state fits.
    ///
    /// Nothing is locked while a state is computed, since a thread that waits may process another part of
    /// its batch and ask again. Threads that miss the same state at the same time each compute it, and one of the
    /// results is cached.
    pub(crate) fn state(&self, n: usize) -> Result<Option<Arc<CachedState<A>>>, ScoreError> {
        loop {
            let (capacity, below) = {
                let mut cached = self.lock();
                if cached.capacity == 0 {
                    return Ok(None);
                }
                if let Some(state) = cached.get(n) {
                    return Ok(Some(state));
                }
                (cached.capacity, cached.below(n))
            };
            match self.compute(n, below) {
                Ok(values) => {
                    let state = Arc::new(self.to_cache(values));
                    return Ok(Some(self.lock().insert(n, state)));
                }
                Err(error) => self.shrink(capacity, error)?,
            }
        }
    }

    /// Halves the number of states that fit, unless another thread did, if the error is that of a device without memory
    /// for a state.
    fn shrink(&self, capacity: usize, error: ScoreError) -> Result<(), ScoreError> {
        let ScoreError::Arithmetic(reason) = error else {
            return Err(error);
        };
        let mut cached = self.lock();
        if cached.capacity == capacity {
            cached.capacity = capacity / 2;
            let kept = cached.capacity;
            cached.make_room(kept);
            let states = cached.states.len();
            tracing::warn!("{kept} of {states} frozen states are kept from now on: {reason}");
        }
        Ok(())
    }

    /// Computes h_n of all examples from a state below it, or from the embedding.
    fn compute(
        &self,
        n: usize,
        below: Option<(usize, Arc<CachedState<A>>)>,
    ) -> Result<A::Buffer, ScoreError> {
        let first = below.as_ref().map_or(0, |(below, _)| below + 1);
        let below = below.as_ref().map(|(_, state)| &state.values);
        let mut values = self.next(first, below, Threads::This)?;
        for m in first + 1..=n {
            values = self.next(m, Some(&values), Threads::This)?;
        }
        Ok(values)
    }

    /// Computes h_n of all examples from h_{n-1}, or the embedding.
    fn next(
        &self,
        n: usize,
        before: Option<&A::Buffer>,
        threads: Threads,
    ) -> Result<A::Buffer, ScoreError> {
        let all: Vec<usize> = (0..self.examples().len()).collect();
        let pieces = pieces(&self.backbone, Dataset::from(self.examples()), &all);
        let compute = |rows: &[usize]| self.compute_piece(n, rows, before);
        let computed: Vec<A::Buffer> = match threads {
            Threads::All => pieces
                .into_par_iter()
                .map(compute)
                .collect::<Result<_, _>>()?,
            Threads::This => pieces.into_iter().map(compute).collect::<Result<_, _>>()?,
        };
        let mut all = A::Buffer::default();
        self.backbone.arithmetic().stack(computed, &mut all)?;
        Ok(all)
    }

    /// Computes h_n of some consecutive examples.
    fn compute_piece(
        &self,
        n: usize,
        examples: &[usize],
        before: Option<&A::Buffer>,
    ) -> Result<A::Buffer, ScoreError> {
        let arithmetic = self.backbone.arithmetic();
        let width = self.backbone.description().width;
        let first = examples.first().copied().unwrap_or_default();
        let ends = &self.offsets[first..=first + examples.len()];
        let (begin, end) = (ends[0], ends[ends.len() - 1]);
        let mut result = A::Buffer::default();
        let Some(before) = before else {
            let embedded = self.backbone.embed(&inputs(self.examples(), examples))?;
            let fill = |to: &mut [f32]| to.copy_from_slice(&embedded);
            arithmetic.write((end - begin, width), fill, &mut result)?;
            return Ok(result);
        };
        let mut piece = A::Buffer::default();
        arithmetic.gather(before, width, std::iter::once(begin..end), &mut piece)?;
        let offsets = arithmetic.rows(ends.iter().map(|end| end - begin).collect())?;
        let sublayer = &self.backbone.chain()?.sublayers()[n - 1];
        let scratch = &mut SublayerScratch::default();
        sublayer.forward(&piece, &offsets, &mut result, None, scratch)?;
        Ok(result)
    }

    fn to_cache(&self, values: A::Buffer) -> CachedState<A> {
        CachedState {
            offsets: Arc::clone(&self.offsets),
            values,
        }
    }

    /// A thread that panicked left only states that were finished.
    fn lock(&self) -> MutexGuard<'_, CachedStates<A>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Arithmetic> CachedStates<A> {
    /// The state h_n, which becomes the most recently used one.
    fn get(&mut self, n: usize) -> Option<Arc<CachedState<A>>> {
        let state = self.states[n].clone()?;
        self.by_use.retain(|&other| other != n);
        self.by_use.push(n);
        Some(state)
    }

    /// The highest state below h_n, and its index.
    fn below(&self, n: usize) -> Option<(usize, Arc<CachedState<A>>)> {
        let states = self.states[..n].iter().enumerate().rev();
        states
            .filter_map(|(index, state)| Some((index, state.clone()?)))
            .next()
    }

    /// Caches h_n in place of the least recently used states. If another thread was faster, the result is its state.
    fn insert(&mut self, n: usize, state: Arc<CachedState<A>>) -> Arc<CachedState<A>> {
        if let Some(state) = self.get(n) {
            return state;
        }
        if self.capacity > 0 {
            self.make_room(self.capacity - 1);
            self.states[n] = Some(Arc::clone(&state));
            self.by_use.push(n);
        }
        state
    }

    /// Forgets the least recently used states until at most `count` are left.
    fn make_room(&mut self, count: usize) {
        while self.by_use.len() > count {
            let oldest = self.by_use.remove(0);
            self.states[oldest] = None;
        }
    }
}

impl<A: Arithmetic> std::fmt::Debug for CachedStates<A> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("CachedStates");
        shown.field("by_use", &self.by_use).finish_non_exhaustive()
    }
}

impl<A: Arithmetic> CachedState<A> {
    /// Makes `to` the rows of some examples, one example after the other.
    pub(crate) fn gather(
        &self,
        backbone: &Backbone<A>,
        examples: &[usize],
        to: &mut A::Buffer,
    ) -> Result<(), ScoreError> {
        let ranges = examples
            .iter()
            .map(|&example| self.offsets[example]..self.offsets[example + 1]);
        let width = backbone.description().width;
        Ok(backbone
            .arithmetic()
            .gather(&self.values, width, ranges, to)?)
    }
}

/// The offset of each example's tokens, followed by the number of tokens.
fn offsets<A: Arithmetic>(backbone: &Backbone<A>, examples: &Examples) -> Vec<usize> {
    let fixed = backbone.description().input.fixed_tokens();
    let mut offsets = vec![0];
    for row in 0..examples.len() {
        let length = fixed.unwrap_or_else(|| examples.length(row));
        offsets.push(offsets[row] + length);
    }
    offsets
}

#[cfg(test)]
mod tests {
    use adaplace_arithmetic::ArithmeticError;
    use adaplace_testkit::TextTask;

    use super::*;
    use crate::support::{tiny_bert, tiny_task};

    fn cache(backbone: &Arc<Backbone>, task: &Arc<Task>, budget: usize) -> StateCache {
        let (backbone, task) = (Arc::clone(backbone), Arc::clone(task));
        StateCache::new(backbone, task, Part::Train, budget).unwrap()
    }

    /// The state h_n of the examples at `rows`, computed sublayer by sublayer.
    fn computed(backbone: &Backbone, examples: &Examples, n: usize, rows: &[usize]) -> Vec<f32> {
        let mut ends = vec![0];
        for &row in rows {
            ends.push(ends[ends.len() - 1] + examples.length(row));
        }
        let mut state = backbone.embed(&inputs(examples, rows)).unwrap();
        for sublayer in &backbone.chain().unwrap().sublayers()[..n] {
            let mut next = Vec::new();
            let scratch = &mut SublayerScratch::default();
            let result = sublayer.forward(&state, &ends, &mut next, None, scratch);
            result.unwrap();
            state = next;
        }
        state
    }

    /// With room for all states, for some or for one, a cached state equals a computed one to the bit.
    #[test]
    fn states_are_those_of_the_backbone() {
        let backbone = Arc::new(tiny_bert());
        let task = Arc::new(tiny_task(&TextTask::default()));
        let examples = &task.train;
        let rows = [41, 3, 17, 8, 3];
        let one = StateCache::size(&backbone, examples) / 5;
        for budget in [usize::MAX, 5 * one, 4 * one, 2 * one, one] {
            let cache = cache(&backbone, &task, budget);
            for n in [3, 1, 4, 0, 2, 2, 4, 1] {
                let expected = computed(&backbone, examples, n, &rows);
                let mut found = Vec::new();
                let state = cache.state(n).unwrap().unwrap();
                state.gather(&backbone, &rows, &mut found).unwrap();
                assert_eq!(found, expected, "state {n} within {budget}");
            }
        }
        let cache = cache(&backbone, &task, one - 1);
        assert!(cache.state(2).unwrap().is_none());
    }

    #[test]
    fn size_counts_every_value_and_the_budget_holds() {
        let backbone = Arc::new(tiny_bert());
        let task = Arc::new(tiny_task(&TextTask::default()));
        let examples = &task.train;
        let tokens: usize = examples.lengths().iter().sum();
        let size = StateCache::size(&backbone, examples);
        assert_eq!(size, 4 * tokens * 32 * 5);
        let cached = |cache: &StateCache| {
            let cached = cache.lock();
            let states = cached.states.iter().flatten();
            let bytes: usize = states.map(|state| 4 * state.values.len()).sum();
            (bytes, cached.by_use.clone())
        };
        let all = cache(&backbone, &task, size);
        assert_eq!(cached(&all).0, size);
        let some = cache(&backbone, &task, size - 1);
        for n in [0, 1, 2, 3, 1, 4, 0] {
            some.state(n).unwrap();
            assert!(cached(&some).0 < size);
        }
        // When 4 was added, 0 was the least recently used one; when 0 came back, it was 2.
        assert_eq!(cached(&some).1, [3, 1, 4, 0]);
    }

    /// A device without memory for a state halves the number of those that are kept, and the others are computed.
    #[test]
    fn what_has_no_room_is_computed_again() {
        let backbone = Arc::new(tiny_bert());
        let task = Arc::new(tiny_task(&TextTask::default()));
        let cache = cache(&backbone, &task, usize::MAX);
        let full = || ScoreError::from(ArithmeticError("no memory".to_owned()));
        for (capacity, kept) in [(5, 2), (5, 2), (2, 1), (1, 0)] {
            cache.shrink(capacity, full()).unwrap();
            assert_eq!(cache.lock().by_use.len(), kept);
            for n in [3, 0, 4] {
                let found = cache.state(n).unwrap();
                assert_eq!(found.is_some(), kept > 0);
                if let Some(state) = found {
                    let mut values = Vec::new();
                    state.gather(&backbone, &[7, 2], &mut values).unwrap();
                    assert_eq!(values, computed(&backbone, &task.train, n, &[7, 2]));
                }
            }
            assert_eq!(cache.lock().by_use.len(), kept);
        }
        assert!(cache.shrink(0, ScoreError::NoExamples).is_err());
    }

    /// Threads that ask at the same time get the same states.
    #[test]
    fn many_threads_share_a_small_cache() {
        let backbone = Arc::new(tiny_bert());
        let task = Arc::new(tiny_task(&TextTask::default()));
        let examples = &task.train;
        let one = StateCache::size(&backbone, examples) / 5;
        let cache = cache(&backbone, &task, 2 * one);
        let expected: Vec<Vec<f32>> = (0..5)
            .map(|n| computed(&backbone, examples, n, &[5]))
            .collect();
        (0..200_usize).into_par_iter().for_each(|task| {
            let n = task * 7 % 5;
            let mut found = Vec::new();
            let state = cache.state(n).unwrap().unwrap();
            state.gather(&backbone, &[5], &mut found).unwrap();
            assert_eq!(found, expected[n]);
        });
    }
}
