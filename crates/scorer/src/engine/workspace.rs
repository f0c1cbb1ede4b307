use std::any::Any;
use std::cell::Cell;

use adaplace_arithmetic::Arithmetic;
use adaplace_backbone::{SavedPooling, SavedSublayer, SublayerScratch};

/// The memory in which one shard is processed. It grows to the needs of the largest shard and is reused by the next
/// one. Its contents are meaningful only between a forward pass and its backward pass.
pub(crate) struct Workspace<A: Arithmetic> {
    /// The states of the frozen backbone that were needed.
    pub(super) frozen: Vec<State<A>>,
    pub(super) passes: Vec<Pass<A>>,
    /// The pooled features, (examples, width).
    pub(super) features: A::Buffer,
    /// The logits, (examples, classes), which the loss replaces by the gradient with respect to them.
    pub(super) logits: A::Buffer,
    pub(super) towards_features: A::Buffer,
    pub(super) pooling: SavedPooling<A>,
    pub(super) sublayer: SublayerScratch<A>,
    pub(super) adapter: A::Scratch,
    /// The first or last rows of the examples in a state or in a gradient.
    pub(super) end_rows: A::Buffer,
    /// The gradients with respect to what adapters read.
    pub(super) towards_read: A::Buffer,
    /// The gradients with respect to the trained values.
    pub(super) towards_values: A::Buffer,
}

/// The memory of one pass. All states are (rows, width).
pub(super) struct Pass<A: Arithmetic> {
    /// The states h_n.
    pub(super) states: Vec<State<A>>,
    /// The states h_n before their sequential adapters were added, if they have one.
    pub(super) before_sequential: Vec<A::Buffer>,
    /// What the backward pass of the sublayer from h_n to h_{n+1} needs.
    pub(super) sublayers: Vec<SavedSublayer<A>>,
    /// What the backward pass of the adapters of each stage needs.
    pub(super) adapters: Vec<A::SavedAdapters>,
    /// The gradients dL/dh_n.
    pub(super) gradients: Vec<State<A>>,
    /// The state from which the next pass started, and the gradient that comes back from there.
    pub(super) carried: Option<(usize, A::Buffer)>,
    /// The gradients with respect to h_n before its sequential adapter, of this pass alone, if all of them are needed.
    pub(super) recorded: Vec<A::Buffer>,
}

/// A buffer, and whether it contains anything yet.
pub(super) struct State<A: Arithmetic> {
    values: A::Buffer,
    known: bool,
}

impl<A: Arithmetic> Default for Workspace<A> {
    fn default() -> Self {
        Self {
            frozen: Vec::new(),
            passes: Vec::new(),
            features: A::Buffer::default(),
            logits: A::Buffer::default(),
            towards_features: A::Buffer::default(),
            pooling: SavedPooling::default(),
            sublayer: SublayerScratch::default(),
            adapter: A::Scratch::default(),
            end_rows: A::Buffer::default(),
            towards_read: A::Buffer::default(),
            towards_values: A::Buffer::default(),
        }
    }
}

impl<A: Arithmetic> Default for Pass<A> {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            before_sequential: Vec::new(),
            sublayers: Vec::new(),
            adapters: Vec::new(),
            gradients: Vec::new(),
            carried: None,
            recorded: Vec::new(),
        }
    }
}

impl<A: Arithmetic> Default for State<A> {
    fn default() -> Self {
        Self {
            values: A::Buffer::default(),
            known: false,
        }
    }
}

impl<A: Arithmetic> State<A> {
    pub(super) fn forget(&mut self) {
        self.known = false;
    }

    /// The values, if there are any.
    pub(super) fn get(&self) -> Option<&A::Buffer> {
        self.known.then_some(&self.values)
    }

    /// The buffer, to be overwritten or added to. It counts as known from now on.
    pub(super) fn write(&mut self) -> &mut A::Buffer {
        self.known = true;
        &mut self.values
    }

    pub(super) fn is_known(&self) -> bool {
        self.known
    }
}

thread_local! {
    static OF_THIS_THREAD: Cell<Option<Box<dyn Any>>> = Cell::default();
}

impl<A: Arithmetic> Workspace<A> {
    /// Calls `work` with the memory that this thread keeps between shards and trainings.
    ///
    /// If this thread processes another shard while it waits within one, that shard gets memory of its own.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let kept = OF_THIS_THREAD.take();
        let mut workspace = match kept.map(<Box<dyn Any>>::downcast::<Self>) {
            Some(Ok(workspace)) => workspace,
            // Nothing is kept, or memory of another arithmetic.
            _ => Box::default(),
        };
        let result = work(&mut workspace);
        OF_THIS_THREAD.set(Some(workspace));
        result
    }

    /// Makes room for the states of `passes` passes over a chain, and forgets the previous contents.
    pub(super) fn prepare(&mut self, passes: usize, states: usize, stages: usize) {
        self.frozen.resize_with(states, State::default);
        self.passes.resize_with(passes, Pass::default);
        self.frozen.iter_mut().for_each(State::forget);
        for pass in &mut self.passes {
            pass.states.resize_with(states, State::default);
            pass.before_sequential
                .resize_with(states, A::Buffer::default);
            pass.sublayers.resize_with(states, SavedSublayer::default);
            pass.adapters.resize_with(stages, A::SavedAdapters::default);
            pass.gradients.resize_with(states, State::default);
            pass.states.iter_mut().for_each(State::forget);
            pass.gradients.iter_mut().for_each(State::forget);
            pass.carried = None;
            pass.recorded.resize_with(states, A::Buffer::default);
        }
    }
}
