//! The chain of sublayers in the form in which an arithmetic computes it.

use adaplace_arithmetic::{Activation, Arithmetic, ArithmeticError};

use crate::pooling::{Pooler, PreparedPooler};
use crate::sublayer::{NormPosition, Sublayer, Transform};

/// The frozen chain from h_0 to the features, prepared for an arithmetic.
pub struct Chain<A: Arithmetic> {
    sublayers: Vec<PreparedSublayer<A>>,
    pooler: PreparedPooler<A>,
}

/// A sublayer whose weights are prepared for an arithmetic.
///
/// The result for an example does not depend on the others in its batch.
pub struct PreparedSublayer<A: Arithmetic> {
    arithmetic: A,
    transform: PreparedTransform<A>,
    norm: A::Norm,
    norm_position: NormPosition,
}

enum PreparedTransform<A: Arithmetic> {
    Attention {
        projection: A::Linear,
        output: A::Linear,
        heads: usize,
    },
    Mlp {
        up: A::Linear,
        activation: Activation,
        down: A::Linear,
    },
}

/// The part of a sublayer's forward pass that its gradient needs. The memory is reused by the next sublayer.
pub struct SavedSublayer<A: Arithmetic> {
    norm: A::SavedNorm,
    /// The projections (rows, 3 width), or what the gradient of the activation needs (rows, intermediate).
    hidden: A::Buffer,
    attention: A::SavedAttention,
}

/// Memory for intermediate values, reused by every sublayer.
pub struct SublayerScratch<A: Arithmetic> {
    /// The values of the hidden layer of an MLP and the gradients there, (rows, intermediate).
    hidden: A::Buffer,
    /// The projections of an attention, or the gradients with respect to them, (rows, 3 width).
    projected: A::Buffer,
    /// The mixed values of an attention, or the gradients with respect to them, (rows, width).
    mixed: A::Buffer,
    state: A::Buffer,
    attention: A::SavedAttention,
    arithmetic: A::Scratch,
}

impl<A: Arithmetic> Default for SavedSublayer<A> {
    fn default() -> Self {
        Self {
            norm: A::SavedNorm::default(),
            hidden: A::Buffer::default(),
            attention: A::SavedAttention::default(),
        }
    }
}

impl<A: Arithmetic> Default for SublayerScratch<A> {
    fn default() -> Self {
        Self {
            hidden: A::Buffer::default(),
            projected: A::Buffer::default(),
            mixed: A::Buffer::default(),
            state: A::Buffer::default(),
            attention: A::SavedAttention::default(),
            arithmetic: A::Scratch::default(),
        }
    }
}

impl<A: Arithmetic> std::fmt::Debug for Chain<A> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Chain");
        shown.field("sublayers", &self.sublayers.len());
        shown.finish_non_exhaustive()
    }
}

impl<A: Arithmetic> Chain<A> {
    pub(crate) fn new(
        arithmetic: &A,
        sublayers: &[Sublayer],
        pooler: &Pooler,
        width: usize,
    ) -> Result<Self, ArithmeticError> {
        let sublayers = sublayers.iter();
        Ok(Self {
            sublayers: sublayers
                .map(|sublayer| PreparedSublayer::new(arithmetic, sublayer))
                .collect::<Result<_, _>>()?,
            pooler: PreparedPooler::new(arithmetic, pooler, width)?,
        })
    }

    /// The sublayers, of which sublayer n maps h_n to h_{n+1}.
    #[must_use]
    pub fn sublayers(&self) -> &[PreparedSublayer<A>] {
        &self.sublayers
    }

    /// The pooling of h_N.
    #[must_use]
    pub fn pooler(&self) -> &PreparedPooler<A> {
        &self.pooler
    }
}

impl<A: Arithmetic> PreparedSublayer<A> {
    fn new(arithmetic: &A, sublayer: &Sublayer) -> Result<Self, ArithmeticError> {
        let transform = match &sublayer.transform {
            Transform::Attention {
                projection,
                output,
                heads,
            } => PreparedTransform::Attention {
                projection: arithmetic.linear(projection)?,
                output: arithmetic.linear(output)?,
                heads: *heads,
            },
            Transform::Mlp {
                up,
                activation,
                down,
            } => PreparedTransform::Mlp {
                up: arithmetic.linear(up)?,
                activation: *activation,
                down: arithmetic.linear(down)?,
            },
        };
        Ok(Self {
            transform,
            norm: arithmetic.norm(&sublayer.norm)?,
            norm_position: sublayer.norm_position,
            arithmetic: arithmetic.clone(),
        })
    }

    /// Whether each row of the result depends on that row of the state alone, as in an MLP.
    #[must_use]
    pub fn works_on_single_rows(&self) -> bool {
        match self.transform {
            PreparedTransform::Attention { .. } => false,
            PreparedTransform::Mlp { .. } => true,
        }
    }

    /// Computes `result` = h_{n+1} from `state` = h_n, both (rows, width), and stores what the gradient needs in
    /// `saved`.
    ///
    /// # Errors
    /// If an operation fails.
    pub fn forward(
        &self,
        state: &A::Buffer,
        rows: &A::Rows,
        result: &mut A::Buffer,
        mut saved: Option<&mut SavedSublayer<A>>,
        scratch: &mut SublayerScratch<A>,
    ) -> Result<(), ArithmeticError> {
        let (arithmetic, norm) = (&self.arithmetic, &self.norm);
        arithmetic.copy(state, result)?;
        match self.norm_position {
            NormPosition::AfterResidual => {
                self.add_transform(state, rows, result, saved.as_deref_mut(), scratch)?;
                arithmetic.norm_forward(norm, result, saved.map(|saved| &mut saved.norm))
            }
            NormPosition::BeforeTransform => {
                let mut input = std::mem::take(&mut scratch.state);
                let saved_norm = saved.as_deref_mut().map(|saved| &mut saved.norm);
                arithmetic.norm_of_state(norm, state, saved_norm, &mut input)?;
                self.add_transform(&input, rows, result, saved, scratch)?;
                scratch.state = input;
                Ok(())
            }
        }
    }

    /// Computes `result` += transform(input).
    fn add_transform(
        &self,
        input: &A::Buffer,
        rows: &A::Rows,
        result: &mut A::Buffer,
        saved: Option<&mut SavedSublayer<A>>,
        scratch: &mut SublayerScratch<A>,
    ) -> Result<(), ArithmeticError> {
        let SublayerScratch {
            hidden,
            projected,
            mixed,
            attention,
            arithmetic: scratch,
            ..
        } = scratch;
        let arithmetic = &self.arithmetic;
        match &self.transform {
            PreparedTransform::Attention {
                projection,
                output,
                heads,
            } => {
                let (projected, attention) = match saved {
                    Some(saved) => (&mut saved.hidden, &mut saved.attention),
                    None => (projected, attention),
                };
                let projection = (*heads, projection);
                arithmetic.attention_forward(
                    projection, input, rows, projected, mixed, attention, scratch,
                )?;
                arithmetic.linear_forward(output, mixed, result, true, scratch)
            }
            PreparedTransform::Mlp {
                up,
                activation,
                down,
            } => {
                let kept = saved.map(|saved| &mut saved.hidden);
                let up = (up, *activation);
                arithmetic.linear_activation_forward(up, input, hidden, kept, scratch)?;
                arithmetic.linear_forward(down, hidden, result, true, scratch)
            }
        }
    }

    /// Computes `result` = dL/dh_n, or adds that to it, from `gradient` = dL/dh_{n+1}, which is used up. `saved` is of
    /// the forward pass with these rows.
    ///
    /// # Errors
    /// If an operation fails.
    pub fn backward(
        &self,
        saved: &SavedSublayer<A>,
        rows: &A::Rows,
        gradient: &mut A::Buffer,
        result: &mut A::Buffer,
        add: bool,
        scratch: &mut SublayerScratch<A>,
    ) -> Result<(), ArithmeticError> {
        let (arithmetic, norm) = (&self.arithmetic, &self.norm);
        // The residual's share is the gradient itself.
        let residual = |gradient: &A::Buffer, result: &mut A::Buffer| match add {
            true => arithmetic.add(gradient, result),
            false => arithmetic.copy(gradient, result),
        };
        match self.norm_position {
            NormPosition::AfterResidual => {
                arithmetic.norm_backward(norm, &saved.norm, gradient)?;
                residual(gradient, result)?;
                self.transform_backward(saved, rows, gradient, result, true, scratch)
            }
            NormPosition::BeforeTransform => {
                let mut towards_input = std::mem::take(&mut scratch.state);
                let towards = &mut towards_input;
                self.transform_backward(saved, rows, gradient, towards, false, scratch)?;
                residual(gradient, result)?;
                arithmetic.add_norm_backward(norm, &saved.norm, towards, result)?;
                scratch.state = towards_input;
                Ok(())
            }
        }
    }

    /// The gradient with respect to the transform's input from that with respect to its result, both (rows, width).
    fn transform_backward(
        &self,
        saved: &SavedSublayer<A>,
        rows: &A::Rows,
        gradient: &A::Buffer,
        result: &mut A::Buffer,
        add: bool,
        scratch: &mut SublayerScratch<A>,
    ) -> Result<(), ArithmeticError> {
        let SublayerScratch {
            hidden,
            projected,
            mixed,
            arithmetic: scratch,
            ..
        } = scratch;
        let arithmetic = &self.arithmetic;
        match &self.transform {
            PreparedTransform::Attention {
                projection,
                output,
                heads,
            } => {
                arithmetic.linear_backward(output, gradient, mixed, false, scratch)?;
                arithmetic.attention_backward(
                    *heads,
                    &saved.hidden,
                    rows,
                    &saved.attention,
                    mixed,
                    projected,
                    scratch,
                )?;
                arithmetic.linear_backward(projection, projected, result, add, scratch)
            }
            PreparedTransform::Mlp {
                up,
                activation,
                down,
            } => {
                arithmetic.linear_backward(down, gradient, hidden, false, scratch)?;
                arithmetic.activation_backward((up, *activation), &saved.hidden, hidden)?;
                arithmetic.linear_backward(up, hidden, result, add, scratch)
            }
        }
    }
}
