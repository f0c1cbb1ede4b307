use std::path::Path;

use adaplace_arithmetic::{Activation, Attention, Linear, Norm};

use crate::BackboneError;

/// The weights of one frozen sublayer, attention or MLP, including the residual. It maps h_n to h_{n+1}.
#[derive(Debug, Clone)]
pub(crate) struct Sublayer {
    pub(crate) transform: Transform,
    pub(crate) norms: Norms,
}

#[derive(Debug, Clone)]
pub(crate) enum Transform {
    /// Multi-head self-attention. The output of the projection is query, key and value side by side.
    Attention {
        projection: Linear,
        attention: Attention,
        output: Linear,
    },
    /// The MLP down(f(up(x))) with the activation f.
    Mlp {
        up: Linear,
        activation: Activation,
        down: Linear,
    },
    /// The gated MLP down(f(gate(x)) up(x)), whose gate and up are one layer, side by side.
    GatedMlp {
        gate_and_up: Linear,
        activation: Activation,
        down: Linear,
    },
}

/// The norms of a sublayer.
#[derive(Debug, Clone)]
pub(crate) enum Norms {
    /// norm(h + transform(h)), as in BERT (post-norm).
    AfterResidual(Norm),
    /// h + after(transform(before(h))), where either norm may be missing. Most models have the first (pre-norm).
    Inside {
        before: Option<Norm>,
        after: Option<Norm>,
    },
}

impl Sublayer {
    /// The floating-point operations of a forward pass for one example of `tokens` tokens. A multiply-add of a matrix
    /// product counts as two.
    pub(crate) fn flops(&self, tokens: usize) -> u64 {
        // The scores and their application to the values take tokens^2 x width multiply-adds each.
        let of_scores = match &self.transform {
            Transform::Attention { output, .. } => 4 * tokens * tokens * output.inputs,
            Transform::Mlp { .. } | Transform::GatedMlp { .. } => 0,
        };
        (2 * tokens * self.weights() + of_scores) as u64
    }

    /// The number of values of its hidden layer for each token: the projections of an attention, or those of an MLP before
    /// its activation.
    pub(crate) fn hidden_width(&self) -> usize {
        match &self.transform {
            Transform::Attention { projection, .. } => projection.outputs,
            Transform::Mlp { up, .. } => up.outputs,
            Transform::GatedMlp { gate_and_up, .. } => gate_and_up.outputs,
        }
    }

    /// The number of weights of its linear layers.
    pub(crate) fn weights(&self) -> usize {
        let of_layer = |layer: &Linear| layer.inputs * layer.outputs;
        match &self.transform {
            Transform::Attention {
                projection, output, ..
            } => of_layer(projection) + of_layer(output),
            Transform::Mlp { up, down, .. } => of_layer(up) + of_layer(down),
            Transform::GatedMlp {
                gate_and_up, down, ..
            } => of_layer(gate_and_up) + of_layer(down),
        }
    }
}

/// The names of activations in configurations of transformers.
const ACTIVATIONS: [(&str, Activation); 8] = [
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluByTanh),
    ("gelu_pytorch_tanh", Activation::GeluByTanh),
    ("gelu_fast", Activation::GeluByTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
];

/// The activation of this name. With another one every number would be silently wrong.
pub(crate) fn activation(
    path: &Path,
    key: &'static str,
    name: &str,
) -> Result<Activation, BackboneError> {
    let known = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    known
        .map(|&(_, activation)| activation)
        .ok_or_else(|| BackboneError::Setting {
            path: path.to_owned(),
            key,
            found: name.to_owned(),
            expected: format!(
                "the supported ones are {}",
                ACTIVATIONS.map(|(name, _)| format!("`{name}`")).join(", ")
            ),
        })
}

/// Refuses a number of heads of keys that does not divide that of queries.
pub(crate) fn check_key_heads(
    path: &Path,
    heads: usize,
    key_heads: usize,
) -> Result<(), BackboneError> {
    if key_heads > 0 && heads > 0 && heads.is_multiple_of(key_heads) {
        return Ok(());
    }
    Err(BackboneError::Setting {
        path: path.to_owned(),
        key: "num_key_value_heads",
        found: key_heads.to_string(),
        expected: format!("it must divide the num_attention_heads `{heads}`"),
    })
}

/// Refuses a width that does not split evenly over the heads. The keys are the names of both in the configuration.
pub(crate) fn check_heads(
    path: &Path,
    (width_key, width): (&'static str, usize),
    (heads_key, heads): (&'static str, usize),
) -> Result<(), BackboneError> {
    if heads > 0 && width > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    Err(BackboneError::Setting {
        path: path.to_owned(),
        key: heads_key,
        found: heads.to_string(),
        expected: format!("it must divide the {width_key} `{width}`"),
    })
}
