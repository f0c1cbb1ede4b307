use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::{Deref, Range};

use crate::{
    Activation, AdapterBlock, Attention, Columns, Directions, End, HeadPlaces, Linear, MatrixBlock,
    Norm, OptimiserPlan, Result, Targets,
};

/// The operations of a forward and backward pass, and the memory that they work on.
///
/// Every operation overwrites its result, whatever that contained, unless it says that it adds to it.
pub trait Arithmetic: Clone + Debug + Send + Sync + 'static {
    /// Values, most often a matrix by rows. Its memory is reused.
    type Buffer: Default + Send + Sync;
    /// The offsets of the examples' rows, followed by the number of rows.
    type Rows: Deref<Target = [usize]> + Send + Sync;
    /// A frozen linear layer.
    type Linear: Send + Sync;
    /// A frozen norm.
    type Norm: Send + Sync;
    /// The part of a layer norm's forward pass that its gradient needs.
    type SavedNorm: Default + Send;
    /// A frozen attention, between its linear layers.
    type Attention: Send + Sync;
    /// The part of an attention's forward pass that its gradient needs.
    type SavedAttention: Default + Send;
    /// The part of some adapters' forward pass that their gradients need.
    type SavedAdapters: Default + Send;
    /// The classes of the examples of a batch.
    type Targets: Send + Sync;
    /// The state of an optimiser.
    type Optimiser: Send;
    /// The directions of all connections.
    type Directions: Send + Sync;
    /// One number for each model, which may still be computed.
    type Numbers: Send;
    /// Memory for intermediate values.
    type Scratch: Default + Send;

    /// Whether the processor computes. It cuts a batch into parts that several threads process side by side, and its
    /// values can be read at any time. A device processes a batch at once and is not waited for within an epoch.
    const ON_PROCESSOR: bool;

    /// The number of bytes that a device still has, if it can say so. The processor does not.
    fn free_memory(&self) -> Option<usize>;

    /// Prepares a frozen linear layer for products in both directions.
    ///
    /// # Errors
    /// Like every operation, if the device fails.
    fn linear(&self, layer: &Linear) -> Result<Self::Linear>;

    /// Prepares a frozen layer norm.
    ///
    /// # Errors
    /// If the device fails.
    fn norm(&self, norm: &Norm) -> Result<Self::Norm>;

    /// Prepares an attention.
    ///
    /// # Errors
    /// If the device fails.
    fn attention(&self, attention: &Attention) -> Result<Self::Attention>;

    /// Prepares the offsets of examples.
    ///
    /// # Errors
    /// If the device fails.
    fn rows(&self, offsets: Vec<usize>) -> Result<Self::Rows>;

    /// Prepares the targets of examples.
    ///
    /// # Errors
    /// If the device fails.
    fn targets(&self, targets: Targets) -> Result<Self::Targets>;

    /// Makes `to` a matrix of this shape, whose values `fill` writes by rows. They are arbitrary before.
    ///
    /// # Errors
    /// If the device fails.
    fn write(
        &self,
        shape: (usize, usize),
        fill: impl FnOnce(&mut [f32]),
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// The values by rows.
    ///
    /// # Errors
    /// If the device fails.
    fn read<'b>(&self, from: &'b Self::Buffer) -> Result<Cow<'b, [f32]>>;

    /// Makes `to` a matrix of zeros.
    ///
    /// # Errors
    /// If the device fails.
    fn zero(&self, shape: (usize, usize), to: &mut Self::Buffer) -> Result<()>;

    /// Computes `to` = `from`.
    ///
    /// # Errors
    /// If the device fails.
    fn copy(&self, from: &Self::Buffer, to: &mut Self::Buffer) -> Result<()>;

    /// Computes `to` = `from`, `times` times one after the other.
    ///
    /// # Errors
    /// If the device fails.
    fn tile(&self, from: &Self::Buffer, times: usize, to: &mut Self::Buffer) -> Result<()>;

    /// Adds the rows of `from`, one block after the other, to these blocks of the rows of `to`.
    ///
    /// # Errors
    /// If the device fails.
    fn add_blocks(
        &self,
        from: &Self::Buffer,
        width: usize,
        blocks: &[Range<usize>],
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Computes `to` += `from`.
    ///
    /// # Errors
    /// If the device fails.
    fn add(&self, from: &Self::Buffer, to: &mut Self::Buffer) -> Result<()>;

    /// Makes `to` some ranges of the rows of `from`, one after the other.
    ///
    /// # Errors
    /// If the device fails.
    fn gather(
        &self,
        from: &Self::Buffer,
        width: usize,
        ranges: impl Iterator<Item = Range<usize>>,
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Makes `to` the rows of several matrices, one after the other.
    ///
    /// # Errors
    /// If the device fails.
    fn stack(&self, parts: Vec<Self::Buffer>, to: &mut Self::Buffer) -> Result<()>;

    /// Takes the first or last row of every example, (examples, width). Any rows can be taken as the first ones behind their
    /// offsets, of which the first need not be 0.
    ///
    /// # Errors
    /// If the device fails.
    fn end_rows(
        &self,
        from: &Self::Buffer,
        rows_and_end: (&Self::Rows, End),
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Adds (examples, width) to the first or last rows of the examples in `to`, (rows, width).
    ///
    /// # Errors
    /// If the device fails.
    fn add_to_end_rows(
        &self,
        from: &Self::Buffer,
        rows_and_end: (&Self::Rows, End),
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Computes the mean row of every example, (examples, width).
    ///
    /// # Errors
    /// If the device fails.
    fn means_forward(
        &self,
        from: &Self::Buffer,
        rows: &Self::Rows,
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Computes the gradient with respect to the rows from the one with respect to the means.
    ///
    /// # Errors
    /// If the device fails.
    fn means_backward(
        &self,
        gradient: &Self::Buffer,
        rows: &Self::Rows,
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Computes `to` = x W^T + b, (rows, outputs), or adds that to it.
    ///
    /// # Errors
    /// If the device fails.
    fn linear_forward(
        &self,
        layer: &Self::Linear,
        x: &Self::Buffer,
        to: &mut Self::Buffer,
        add: bool,
        scratch: &mut Self::Scratch,
    ) -> Result<()>;

    /// Computes `to` = gradient W, (rows, inputs), or adds that to it.
    ///
    /// # Errors
    /// If the device fails.
    fn linear_backward(
        &self,
        layer: &Self::Linear,
        gradient: &Self::Buffer,
        to: &mut Self::Buffer,
        add: bool,
        scratch: &mut Self::Scratch,
    ) -> Result<()>;

    /// Replaces every row by its layer norm.
    ///
    /// # Errors
    /// If the device fails.
    fn norm_forward(
        &self,
        norm: &Self::Norm,
        x: &mut Self::Buffer,
        saved: Option<&mut Self::SavedNorm>,
    ) -> Result<()>;

    /// Computes the layer norm of a state that lasts until the backward pass, for [`Self::linear_forward`] and the like, as
    /// whose operand a device may round it.
    ///
    /// # Errors
    /// If the device fails.
    fn norm_of_state(
        &self,
        norm: &Self::Norm,
        state: &Self::Buffer,
        saved: Option<&mut Self::SavedNorm>,
        to: &mut Self::Buffer,
    ) -> Result<()> {
        self.copy(state, to)?;
        self.norm_forward(norm, to, saved)
    }

    /// Replaces the gradient with respect to a layer norm's result by the one with respect to its input.
    ///
    /// # Errors
    /// If the device fails.
    fn norm_backward(
        &self,
        norm: &Self::Norm,
        saved: &Self::SavedNorm,
        gradient: &mut Self::Buffer,
    ) -> Result<()>;

    /// Adds the gradient with respect to a layer norm's input to `to`, from the one with respect to its result, which is
    /// used up.
    ///
    /// # Errors
    /// If the device fails.
    fn add_norm_backward(
        &self,
        norm: &Self::Norm,
        saved: &Self::SavedNorm,
        gradient: &mut Self::Buffer,
        to: &mut Self::Buffer,
    ) -> Result<()> {
        self.norm_backward(norm, saved, gradient)?;
        self.add(gradient, to)
    }

    /// Computes `to` = f(x W^T + b), (rows, outputs), with the activation f, for [`Self::linear_forward`], as whose operand a
    /// device may round it, and keeps what [`Self::activation_backward`] needs. The backward pass is that and
    /// [`Self::linear_backward`].
    ///
    /// # Errors
    /// If the device fails.
    fn linear_activation_forward(
        &self,
        layer: (&Self::Linear, Activation),
        x: &Self::Buffer,
        to: &mut Self::Buffer,
        kept: Option<&mut Self::Buffer>,
        scratch: &mut Self::Scratch,
    ) -> Result<()>;

    /// Replaces the gradient with respect to f(x W^T + b) by the one with respect to x W^T + b, for
    /// [`Self::linear_backward`], as whose operand a device may round it.
    ///
    /// # Errors
    /// If the device fails.
    fn activation_backward(
        &self,
        layer: (&Self::Linear, Activation),
        kept: &Self::Buffer,
        gradient: &mut Self::Buffer,
    ) -> Result<()>;

    /// Computes f(a) b, (rows, width), for [`Self::linear_forward`], where a and b are the halves of each row of
    /// `projected`, (rows, 2 width).
    ///
    /// # Errors
    /// If the device fails.
    fn gate_forward(
        &self,
        activation_and_width: (Activation, usize),
        projected: &Self::Buffer,
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Computes the gradient with respect to a and b, (rows, 2 width), from the one with respect to f(a) b.
    ///
    /// # Errors
    /// If the device fails.
    fn gate_backward(
        &self,
        activation_and_width: (Activation, usize),
        projected: &Self::Buffer,
        gradient: &Self::Buffer,
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Computes the [`Attention`] of every example, (rows, width), for [`Self::linear_forward`], as whose operand a device
    /// may round it. Q, K and V, side by side, are the projection of x, (rows, projected width), and what
    /// [`Self::attention_backward`] needs of them may be left in `projected`.
    ///
    /// # Errors
    /// If the device fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is projected belongs to the caller, which reuses its memory"
    )]
    fn attention_forward(
        &self,
        attention_and_projection: (&Self::Attention, &Self::Linear),
        x: &Self::Buffer,
        rows: &Self::Rows,
        projected: &mut Self::Buffer,
        mixed: &mut Self::Buffer,
        saved: &mut Self::SavedAttention,
        scratch: &mut Self::Scratch,
    ) -> Result<()>;

    /// Computes the gradient with respect to the projections, (rows, projected width), from the one with respect to the
    /// mixed values, (rows, width).
    ///
    /// # Errors
    /// If the device fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "what was projected belongs to the caller, which reuses its memory"
    )]
    fn attention_backward(
        &self,
        attention: &Self::Attention,
        projected: &Self::Buffer,
        rows: &Self::Rows,
        saved: &Self::SavedAttention,
        gradient: &Self::Buffer,
        to: &mut Self::Buffer,
        scratch: &mut Self::Scratch,
    ) -> Result<()>;

    /// Replaces every row of `width` values by its layer norm without weights, with [`crate::ADAPTER_NORM_EPSILON`].
    ///
    /// # Errors
    /// If the device fails.
    fn normalize(&self, width: usize, x: &mut Self::Buffer) -> Result<()>;

    /// Adds adapters of several models: the rows of `sum`, (rows, width), that belong to `blocks[i]` increase by A_i of
    /// the rows in `x[i]`, of which there are as many. No two blocks have a row in common.
    ///
    /// # Errors
    /// If the device fails.
    fn adapters_forward(
        &self,
        values: &Self::Buffer,
        blocks: &[AdapterBlock],
        x: &[(&Self::Buffer, Range<usize>)],
        sum: &mut Self::Buffer,
        saved: &mut Self::SavedAdapters,
        scratch: &mut Self::Scratch,
    ) -> Result<()>;

    /// Adds the gradients with respect to the adapters' values to `towards_values`. If `towards_x` is given, it becomes
    /// the gradient with respect to all x, one after the other. `gradient` is the one with respect to the sum.
    ///
    /// # Errors
    /// If the device fails.
    #[expect(
        clippy::too_many_arguments,
        reason = "the buffers belong to the caller, which reuses their memory"
    )]
    fn adapters_backward(
        &self,
        values: &Self::Buffer,
        blocks: &[AdapterBlock],
        saved: &Self::SavedAdapters,
        gradient: &Self::Buffer,
        towards_values: &mut Self::Buffer,
        towards_x: Option<&mut Self::Buffer>,
        scratch: &mut Self::Scratch,
    ) -> Result<()>;

    /// Computes the logits of every model, (models x examples, classes), from their features, (models x examples,
    /// width).
    ///
    /// # Errors
    /// If the device fails.
    fn heads_forward(
        &self,
        values: &Self::Buffer,
        heads: &HeadPlaces,
        features: &Self::Buffer,
        logits: &mut Self::Buffer,
    ) -> Result<()>;

    /// The sum of the losses of the examples, each times its weight, for every model. The logits are replaced by the
    /// gradient of `factor` times these sums.
    ///
    /// # Errors
    /// If the device fails.
    fn loss(
        &self,
        targets: &Self::Targets,
        models: usize,
        factor: f32,
        logits: &mut Self::Buffer,
    ) -> Result<Self::Numbers>;

    /// Computes the gradient with respect to the features from the one with respect to the logits, and adds those with
    /// respect to the heads to `towards_values`.
    ///
    /// # Errors
    /// If the device fails.
    fn heads_backward(
        &self,
        values: &Self::Buffer,
        heads: &HeadPlaces,
        features: &Self::Buffer,
        towards_logits: &Self::Buffer,
        towards_features: &mut Self::Buffer,
        towards_values: &mut Self::Buffer,
    ) -> Result<()>;

    /// Prepares an optimiser.
    ///
    /// # Errors
    /// If the device fails.
    fn optimiser(&self, plan: OptimiserPlan) -> Result<Self::Optimiser>;

    /// Shortens the gradients of each model to the plan's norm and makes one step of [`crate::AdamW`] at `factor` times the
    /// highest learning rates. The result is the norm of each model's gradients before.
    ///
    /// # Errors
    /// If the device fails.
    fn optimise(
        &self,
        optimiser: &mut Self::Optimiser,
        factor: f64,
        values: &mut Self::Buffer,
        gradients: &mut Self::Buffer,
    ) -> Result<Self::Numbers>;

    /// Joins the columns of several matrices of the same `width`, (rows, parts x width).
    ///
    /// # Errors
    /// If the device fails.
    fn side_by_side(
        &self,
        parts: &[&Self::Buffer],
        width: usize,
        to: &mut Self::Buffer,
    ) -> Result<()>;

    /// Adds left^T right to a block of `sums`. A processor uses all threads of the current rayon pool.
    ///
    /// # Errors
    /// If the device fails.
    fn add_products(
        &self,
        left: Columns<'_, Self::Buffer>,
        right: Columns<'_, Self::Buffer>,
        sums: &mut Self::Buffer,
        block: MatrixBlock,
    ) -> Result<()>;

    /// Prepares directions.
    ///
    /// # Errors
    /// If the device fails.
    fn directions(&self, directions: Directions) -> Result<Self::Directions>;

    /// For every example and pair of a source i and a target j, the sums over the example's rows of (x_i . v_ijm)
    /// (g_j . u_ijm) for the first directions m, one by one, and over all others together. See [`Directions`].
    ///
    /// `x` contains the sources side by side, (rows, sources x width), and `gradients` the targets. The result is
    /// (examples, sources x targets x sums) by rows.
    ///
    /// # Errors
    /// If the device fails.
    fn along_directions(
        &self,
        directions: &Self::Directions,
        x: &Self::Buffer,
        gradients: &Self::Buffer,
        rows: &Self::Rows,
    ) -> Result<Vec<f32>>;

    /// Waits until all of these numbers are computed, and returns them.
    ///
    /// # Errors
    /// If the device fails.
    fn numbers(&self, computed: &[Self::Numbers]) -> Result<Vec<Vec<f64>>>;
}
