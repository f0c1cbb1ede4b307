//! The chain of sublayers in the form in which an arithmetic computes it.

use adaplace_arithmetic::{Activation, Arithmetic, ArithmeticError, Norm};

use crate::pooling::{Pooler, PreparedPooler};
use crate::sublayer::{Norms, Sublayer, Transform};

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
    norms: PreparedNorms<A>,
}

enum PreparedTransform<A: Arithmetic> {
    Attention {
        projection: A::Linear,
        attention: A::Attention,
        output: A::Linear,
    },
    Mlp {
        up: A::Linear,
        activation: Activation,
        down: A::Linear,
    },
    GatedMlp {
        gate_and_up: A::Linear,
        gate: (Activation, usize),
        down: A::Linear,
    },
}

/// See [`Norms`].
enum PreparedNorms<A: Arithmetic> {
    AfterResidual(A::Norm),
    Inside {
        before: Option<A::Norm>,
        after: Option<A::Norm>,
    },
}

/// The part of a sublayer's forward pass that its gradient needs. The memory is reused by the next sublayer.
pub struct SavedSublayer<A: Arithmetic> {
    norm: A::SavedNorm,
    /// What the norm behind the transform keeps, if it is inside the residual branch.
    norm_after: A::SavedNorm,
    /// The projections of an attention or of a gated MLP, or what the gradient of the activation needs (rows,
    /// intermediate).
    hidden: A::Buffer,
    attention: A::SavedAttention,
}

/// Memory for intermediate values, reused by every sublayer.
pub struct SublayerScratch<A: Arithmetic> {
    /// The values of the hidden layer of an MLP and the gradients there, (rows, intermediate).
    hidden: A::Buffer,
    /// The projections of an attention or of a gated MLP, or the gradients with respect to them.
    projected: A::Buffer,
    /// The mixed values of an attention, or the gradients with respect to them.
    mixed: A::Buffer,
    state: A::Buffer,
    /// The result of a transform that a norm follows, or the gradient with respect to it.
    transformed: A::Buffer,
    attention: A::SavedAttention,
    arithmetic: A::Scratch,
}

impl<A: Arithmetic> Default for SavedSublayer<A> {
    fn default() -> Self {
        Self {
            norm: A::SavedNorm::default(),
            norm_after: A::SavedNorm::default(),
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
            transformed: A::Buffer::default(),
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
                attention,
                output,
            } => PreparedTransform::Attention {
                projection: arithmetic.linear(projection)?,
                attention: arithmetic.attention(attention)?,
                output: arithmetic.linear(output)?,
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
            Transform::GatedMlp {
                gate_and_up,
                activation,
                down,
            } => PreparedTransform::GatedMlp {
                gate_and_up: arithmetic.linear(gate_and_up)?,
                gate: (*activation, down.inputs),
                down: arithmetic.linear(down)?,
            },
        };
        let norm = |norm: &Option<Norm>| {
            let norm = norm.as_ref();
            norm.map(|norm| arithmetic.norm(norm)).transpose()
        };
        let norms = match &sublayer.norms {
            Norms::AfterResidual(norm) => PreparedNorms::AfterResidual(arithmetic.norm(norm)?),
            Norms::Inside { before, after } => PreparedNorms::Inside {
                before: norm(before)?,
                after: norm(after)?,
            },
        };
        Ok(Self {
            transform,
            norms,
            arithmetic: arithmetic.clone(),
        })
    }

    /// Whether each row of the result depends on that row of the state alone, as in an MLP.
    #[must_use]
    pub fn works_on_single_rows(&self) -> bool {
        match self.transform {
            PreparedTransform::Attention { .. } => false,
            PreparedTransform::Mlp { .. } | PreparedTransform::GatedMlp { .. } => true,
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
        let arithmetic = &self.arithmetic;
        arithmetic.copy(state, result)?;
        match &self.norms {
            PreparedNorms::AfterResidual(norm) => {
                self.transform(state, rows, (result, true), saved.as_deref_mut(), scratch)?;
                arithmetic.norm_forward(norm, result, saved.map(|saved| &mut saved.norm))
            }
            PreparedNorms::Inside { before, after } => {
                let mut normed = std::mem::take(&mut scratch.state);
                let input = match before {
                    None => state,
                    Some(norm) => {
                        let saved_norm = saved.as_deref_mut().map(|saved| &mut saved.norm);
                        arithmetic.norm_of_state(norm, state, saved_norm, &mut normed)?;
                        &normed
                    }
                };
                match after {
                    None => self.transform(input, rows, (result, true), saved, scratch)?,
                    Some(norm) => {
                        let mut to = std::mem::take(&mut scratch.transformed);
                        let kept = saved.as_deref_mut();
                        self.transform(input, rows, (&mut to, false), kept, scratch)?;
                        let saved_norm = saved.map(|saved| &mut saved.norm_after);
                        arithmetic.norm_forward(norm, &mut to, saved_norm)?;
                        arithmetic.add(&to, result)?;
                        scratch.transformed = to;
                    }
                }
                scratch.state = normed;
                Ok(())
            }
        }
    }

    /// Computes `result` = transform(input), or adds that to it.
    fn transform(
        &self,
        input: &A::Buffer,
        rows: &A::Rows,
        (result, add): (&mut A::Buffer, bool),
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
                attention: layer,
                output,
            } => {
                let (projected, attention) = match saved {
                    Some(saved) => (&mut saved.hidden, &mut saved.attention),
                    None => (projected, attention),
                };
                let projection = (layer, projection);
                arithmetic.attention_forward(
                    projection, input, rows, projected, mixed, attention, scratch,
                )?;
                arithmetic.linear_forward(output, mixed, result, add, scratch)
            }
            PreparedTransform::Mlp {
                up,
                activation,
                down,
            } => {
                let kept = saved.map(|saved| &mut saved.hidden);
                let up = (up, *activation);
                arithmetic.linear_activation_forward(up, input, hidden, kept, scratch)?;
                arithmetic.linear_forward(down, hidden, result, add, scratch)
            }
            PreparedTransform::GatedMlp {
                gate_and_up,
                gate,
                down,
            } => {
                let projected = saved.map_or(projected, |saved| &mut saved.hidden);
                arithmetic.linear_forward(gate_and_up, input, projected, false, scratch)?;
                arithmetic.gate_forward(*gate, projected, hidden)?;
                arithmetic.linear_forward(down, hidden, result, add, scratch)
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
        let arithmetic = &self.arithmetic;
        // The residual's share is the gradient itself.
        let residual = |gradient: &A::Buffer, result: &mut A::Buffer| match add {
            true => arithmetic.add(gradient, result),
            false => arithmetic.copy(gradient, result),
        };
        match &self.norms {
            PreparedNorms::AfterResidual(norm) => {
                arithmetic.norm_backward(norm, &saved.norm, gradient)?;
                residual(gradient, result)?;
                self.transform_backward(saved, rows, gradient, result, true, scratch)
            }
            PreparedNorms::Inside { before, after } => {
                let mut towards_input = std::mem::take(&mut scratch.state);
                let towards = &mut towards_input;
                match after {
                    None => {
                        self.transform_backward(saved, rows, gradient, towards, false, scratch)?;
                    }
                    Some(norm) => {
                        let mut inner = std::mem::take(&mut scratch.transformed);
                        arithmetic.copy(gradient, &mut inner)?;
                        arithmetic.norm_backward(norm, &saved.norm_after, &mut inner)?;
                        self.transform_backward(saved, rows, &inner, towards, false, scratch)?;
                        scratch.transformed = inner;
                    }
                }
                residual(gradient, result)?;
                match before {
                    None => arithmetic.add(towards, result)?,
                    Some(norm) => {
                        arithmetic.add_norm_backward(norm, &saved.norm, towards, result)?;
                    }
                }
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
                attention,
                output,
            } => {
                arithmetic.linear_backward(output, gradient, mixed, false, scratch)?;
                arithmetic.attention_backward(
                    attention,
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
            PreparedTransform::GatedMlp {
                gate_and_up,
                gate,
                down,
            } => {
                arithmetic.linear_backward(down, gradient, hidden, false, scratch)?;
                arithmetic.gate_backward(*gate, &saved.hidden, hidden, projected)?;
                arithmetic.linear_backward(gate_and_up, projected, result, add, scratch)
            }
        }
    }
}
