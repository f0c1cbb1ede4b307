//! The operations on the processor, forward and backward, on plain f32 slices.
//!
//! States are rows of `width` values, in which the tokens of each example follow those of the previous one without
//! padding. All kernels run on the calling thread alone and treat every row (or every example, where attention mixes
//! its tokens) separately and in a fixed order, so its neighbours and the thread that computes it do not change a bit.

pub(crate) mod activation;
pub(crate) mod adamw;
pub(crate) mod adapter;
pub(crate) mod attention;
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "instructions that only some machines have, over packed panels without bounds checks"
)]
mod bf16;
pub(crate) mod examples;
pub(crate) mod frozen_product;
pub(crate) mod gate;
pub(crate) mod gradient_products;
pub(crate) mod head;
pub(crate) mod instruction_set;
pub(crate) mod loss;
pub(crate) mod matrix;
pub(crate) mod norm;
#[expect(
    unsafe_code,
    reason = "the innermost loop reads packed panels and strided rows without bounds checks"
)]
pub(crate) mod product;
mod relative;
pub(crate) mod rows;
mod scores;

pub use matrix::{Matrix, MatrixMut};
pub use product::{Packed, Start, multiply};
