use std::cell::Cell;

use adaplace_backbone::{SavedPooling, SavedSublayer, SublayerScratch};

use super::adapter::{AdapterScratch, SavedAdapter};

/// The memory that one shard is worked on in. It grows to what the largest shard needs and is used again by the next
/// one; what it holds means something between a forward and its backward alone.
#[derive(Default)]
pub(crate) struct Workspace {
    /// States of the frozen backbone, as far as they were asked for.
    pub(super) frozen: Vec<State>,
    pub(super) passes: Vec<Pass>,
    /// (examples, width)
    pub(super) features: Vec<f32>,
    /// (examples, classes); after the loss, its gradient towards them
    pub(super) logits: Vec<f32>,
    pub(super) towards_features: Vec<f32>,
    pub(super) pooling: SavedPooling,
    pub(super) sublayer: SublayerScratch,
    pub(super) adapter: AdapterScratch,
    /// The first rows of a state or of a gradient.
    pub(super) first_rows: Vec<f32>,
    /// A copy of a gradient that is read while it is added to.
    pub(super) gradient_copy: Vec<f32>,
    /// The gradients towards the trained values.
    pub(super) towards_values: Vec<f32>,
}

/// The memory of one pass. All states are (rows, width).
#[derive(Default)]
pub(super) struct Pass {
    /// h_n
    pub(super) states: Vec<State>,
    /// h_n before its sequential adapter was added, where there is one.
    pub(super) before_sequential: Vec<Vec<f32>>,
    /// What the backward of the sublayer from h_n to h_{n+1} needs.
    pub(super) sublayers: Vec<SavedSublayer>,
    /// The same of each adapter.
    pub(super) adapters: Vec<SavedAdapter>,
    /// dL/dh_n
    pub(super) gradients: Vec<State>,
    /// The state that the next pass started from, and the gradient that comes back from there.
    pub(super) carried: Option<(usize, Vec<f32>)>,
    /// The gradient towards h_n before its sequential adapter, of this pass alone, where all are kept.
    pub(super) tapped: Vec<Vec<f32>>,
}

/// A buffer and whether it holds anything yet.
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

    /// The buffer, `length` values of any content, to be written; it counts as known from here on.
    pub(super) fn write(&mut self, length: usize) -> &mut [f32] {
        self.values.resize(length, 0.0);
        self.known = true;
        &mut self.values
    }

    /// The buffer to be added to: what it holds, or zeros.
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
    /// Calls `work` with the memory that this thread keeps from shard to shard and training to training.
    ///
    /// A shard that this thread takes on while it waits within another one gets memory of its own.
    pub(crate) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        let mut workspace = OF_THIS_THREAD.take();
        let result = work(&mut workspace);
        OF_THIS_THREAD.set(workspace);
        result
    }

    /// The gradients towards the trained values, in the order of [`super::Layout`].
    pub(crate) fn towards_values(&self) -> &[f32] {
        &self.towards_values
    }

    /// Makes room for the states of `passes` passes over a chain and forgets what was there.
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
