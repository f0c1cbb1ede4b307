use crate::Stored;

/// A linear layer y = x W^T + b with `weight` W of shape (outputs, inputs), row-major, and `bias` b of length outputs.
#[derive(Debug, Clone)]
pub struct Linear {
    /// The weight W, (outputs, inputs) in row-major order.
    pub weight: Stored,
    /// The bias b, one value for each output.
    pub bias: Vec<f32>,
    /// The number of inputs.
    pub inputs: usize,
    /// The number of outputs.
    pub outputs: usize,
}

impl Linear {
    /// Combines several layers with the same inputs into one, whose outputs are side by side.
    #[must_use]
    pub fn stack(layers: Vec<Self>) -> Self {
        let stacked = layers.into_iter().reduce(|mut stacked, layer| {
            stacked.weight = stacked.weight.followed_by(layer.weight);
            stacked.bias.extend(layer.bias);
            stacked.outputs += layer.outputs;
            stacked
        });
        stacked.unwrap_or_else(|| Self {
            weight: Vec::new().into(),
            bias: Vec::new(),
            inputs: 0,
            outputs: 0,
        })
    }

    /// The layer with output o multiplied by `factors[o]`.
    #[must_use]
    pub fn scaled(mut self, factors: &[f32]) -> Self {
        self.weight = self.weight.scaled(self.inputs, factors);
        for (bias, &factor) in self.bias.iter_mut().zip(factors) {
            *bias *= factor;
        }
        self
    }
}

/// A norm y = (x - mean) / sqrt(variance + epsilon) * weight + bias, over rows: a layer norm (Ba et al., 2016), or, if it is
/// not centred, an RMS norm, which has 0 in place of the mean and the mean square in place of the variance (Zhang and
/// Sennrich, 2019).
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// The factors, one for each value of a row.
    pub weight: Vec<f32>,
    /// The summands, one for each value of a row.
    pub bias: Vec<f32>,
    /// Whether the mean is subtracted.
    pub centred: bool,
    /// The number that is added to the variance.
    pub epsilon: f32,
}

/// An end of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its first row.
    First,
    /// Its last row.
    Last,
}

impl End {
    /// These rows of examples that start at `offsets`, of which the last is the number of rows.
    pub(crate) fn rows(self, offsets: &[usize]) -> impl Iterator<Item = usize> {
        let ends = offsets.windows(2);
        ends.map(move |ends| match self {
            Self::First => ends[0],
            Self::Last => ends[1] - 1,
        })
    }
}

/// The activation of an MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x Phi(x), with the normal distribution function Phi.
    Gelu,
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, an approximation of it (Hendrycks and Gimpel, 2016).
    GeluByTanh,
    /// x / (1 + exp(-1.702 x)), another one (Hendrycks and Gimpel, 2016).
    QuickGelu,
    /// x / (1 + exp(-x)), also called swish (Elfwing et al., 2017).
    Silu,
}
