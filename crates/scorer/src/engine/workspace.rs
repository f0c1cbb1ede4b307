use std::cell::Cell;

use adaplace_backbone::{SavedPooling, SavedSublayer, SublayerScratch};

use super::adapter::{AdapterScratch, SavedAdapter};

/// The memory in which one shard is processed. It grows to the needs of the largest shard and is reused by the next
/// one. Its contents are meaningful only between a forward pass and its backward pass.
#[derive(Default)]
pub(crate) struct Workspace {
    /// The states of the frozen backbone that were needed.
    pub(super) frozen: Vec<State>,
    pub(super) passes: Vec<Pass>,
    /// The pooled features, (examples, width).
    pub(super) features: Vec<f32>,
    /// The logits, (examples, classes), which the loss replaces by the gradient with respect to them.
    pub(super) logits: Vec<f32>,
    pub(super) towards_features: Vec<f32>,
    pub(super) pooling: SavedPooling,
    pub(super) sublayer: SublayerScratch,
    pub(super) adapter: AdapterScratch,
    /// The first rows of a state or of a gradient.
    pub(super) first_rows: Vec<f32>,
    /// A copy of a gradient that is read while it is added to.
    pub(super) gradient_copy: Vec<f32>,
    /// The gradients with respect to the trained values.
    pub(super) towards_values: Vec<f32>,
}

/// The memory of one pass. All states are (rows, width).
#[derive(Default)]
pub(super) struct Pass {
    /// The states h_n.
    pub(super) states: Vec<State>,
    /// The states h_n before their sequential adapters were added, if they have one.
    pub(super) before_sequential: Vec<Vec<f32>>,
    /// What the backward pass of the sublayer from h_n to h_{n+1} needs.
    pub(super) sublayers: Vec<SavedSublayer>,
    /// What the backward pass of each adapter needs.
    pub(super) adapters: Vec<SavedAdapter>,
    /// The gradients dL/dh_n.
    pub(super) gradients: Vec<State>,
    /// The state from which the next pass started, and the gradient that comes back from there.
    pub(super) carried: Option<(usize, Vec<f32>)>,
    /// The gradients with respect to h_n before its sequential adapter, of this pass alone, if all of them are needed.
    pub(super) tapped: Vec<Vec<f32>>,
}

/// A buffer, and whether it contains anything yet.
#[derive(Default)]
pub(super) struct State {
    values: Vec<f32>,
    known: bool,
}

impl State {
    pub(super) fn forget(&mut self) {
        self.known = false;
    }

    /// The values, if there are any.
    pub(super) fn get(&self) -> Option<&[f32]> {
        self.known.then_some(&self.values[..])
    }

    /// The buffer with `length` arbitrary values, to be overwritten. It counts as known from now on.
    pub(super) fn write(&mut self, length: usize) -> &mut [f32] {
        self.values.resize(length, 0.0);
        self.known = true;
        &mut self.values
    }

    /// The buffer to be added to: its values, or zeros.
    pub(super) fn add_to(&mut self, length: usize) -> &mut [f32] {
        let known = self.known;
        let values = self.write(length);
        if !known {
            values.fill(0.0);
        }
        values
    }

    pub(super) fn is_known(&self) -> bool {
        self.known
    }
}

thread_local! {
    static OF_THIS_THREAD: Cell<Workspace> = Cell::default();
}

impl Workspace {
    /// Calls `work` with the memory that this thread keeps between shards and trainings.
    ///
    /// If this thread processes another shard while it waits within one, that shard gets memory of its own.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut workspace = OF_THIS_THREAD.take();
        let result = work(&mut workspace);
        OF_THIS_THREAD.set(workspace);
        result
    }

    /// The gradients with respect to the trained values, in the order of [`super::Layout`].
    pub(crate) fn towards_values(&self) -> &[f32] {
        &self.towards_values
    }

    /// Makes room for the states of `passes` passes over a chain, and forgets the previous contents.
    pub(super) fn prepare(&mut self, passes: usize, states: usize, adapters: usize) {
        self.frozen.resize_with(states, State::default);
        self.passes.resize_with(passes, Pass::default);
        self.frozen.iter_mut().for_each(State::forget);
        for pass in &mut self.passes {
            pass.states.resize_with(states, State::default);
            pass.before_sequential.resize_with(states, Vec::new);
            pass.sublayers.resize_with(states, SavedSublayer::default);
            pass.adapters.resize_with(adapters, SavedAdapter::default);
            pass.gradients.resize_with(states, State::default);
            pass.states.iter_mut().for_each(State::forget);
            pass.gradients.iter_mut().for_each(State::forget);
            pass.carried = None;
            pass.tapped.resize_with(states, Vec::new);
        }
    }
}
