//! States with padding, as most libraries hold them, and without, as the engine does.

use adaplace_arithmetic::Arithmetic;
use adaplace_backbone::{Backbone, Inputs};
use candle_core::{Device, Tensor};

/// h_0 as the engine computes it, (batch, tokens, width) with zeros as padding.
#[must_use]
pub fn embedded<A: Arithmetic>(backbone: &Backbone<A>, inputs: &Inputs) -> Tensor {
    let rows = backbone.embed(inputs).unwrap();
    padded(&rows, &backbone.offsets(inputs))
}

/// Rows without padding as (batch, tokens, width), with zeros behind each example.
#[must_use]
pub fn padded(rows: &[f32], offsets: &[usize]) -> Tensor {
    let lengths: Vec<usize> = lengths(offsets).collect();
    let tokens = lengths.iter().copied().max().unwrap();
    let width = rows.len() / offsets.last().unwrap();
    let mut values = Vec::new();
    for ends in offsets.windows(2) {
        let end = values.len() + tokens * width;
        values.extend_from_slice(&rows[ends[0] * width..ends[1] * width]);
        values.resize(end, 0.0);
    }
    Tensor::from_vec(values, (lengths.len(), tokens, width), &Device::Cpu).unwrap()
}

/// The real tokens of a state (batch, tokens, width), (rows, width).
#[must_use]
pub fn real_rows(state: &Tensor, offsets: &[usize]) -> Tensor {
    let examples = lengths(offsets).enumerate().map(|(row, length)| {
        let example = state.get(row).unwrap();
        example.narrow(0, 0, length).unwrap()
    });
    Tensor::cat(&examples.collect::<Vec<_>>(), 0).unwrap()
}

/// 1 for a real token and 0 for padding, (batch, tokens). Images have no padding.
#[must_use]
pub fn mask(inputs: &Inputs) -> Option<Tensor> {
    let Inputs::Text { lengths, .. } = inputs else {
        return None;
    };
    let tokens = lengths.iter().copied().max().unwrap();
    let real = lengths
        .iter()
        .flat_map(|&length| (0..tokens).map(move |token| f32::from(u8::from(token < length))));
    let shape = (lengths.len(), tokens);
    Some(Tensor::from_vec(real.collect(), shape, &Device::Cpu).unwrap())
}

fn lengths(offsets: &[usize]) -> impl Iterator<Item = usize> {
    offsets.windows(2).map(|ends| ends[1] - ends[0])
}
