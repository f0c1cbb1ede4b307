//! The linear layer of an embedding, which is computed once for each example.

use adaplace_arithmetic::InstructionSet;
use adaplace_arithmetic::kernels::{Matrix, MatrixMut, Packed, Start, multiply};

/// x W^T + b.
#[derive(Debug, Clone)]
pub(crate) struct Projection {
    /// W^T, (inputs, outputs).
    weight: Packed,
    bias: Vec<f32>,
    inputs: usize,
}

impl Projection {
    /// The layer with W, (outputs, inputs), by rows.
    pub(crate) fn new(weight: &[f32], bias: Vec<f32>) -> Self {
        let inputs = weight.len() / bias.len();
        let weight = Matrix::new(weight, bias.len(), inputs);
        Self {
            weight: Packed::new(InstructionSet::detect(), weight.transposed()),
            bias,
            inputs,
        }
    }

    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Maps rows of x to (rows, outputs).
    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let (rows, outputs) = (x.len() / self.inputs, self.outputs());
        let mut projected = vec![0.0; rows * outputs];
        multiply(
            InstructionSet::detect(),
            MatrixMut::new(&mut projected, rows, outputs),
            Start::Nothing,
            Matrix::new(x, rows, self.inputs),
            &self.weight,
            1.0,
        );
        for row in projected.chunks_exact_mut(outputs) {
            row.iter_mut()
                .zip(&self.bias)
                .for_each(|(x, &bias)| *x += bias);
        }
        projected
    }
}
