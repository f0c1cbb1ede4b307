//! The arithmetic of frozen sublayers on the processor, forward and backward, over plain f32 slices.
//!
//! Rows are worked on in parallel by the rayon pool that the caller stands in; no sum ever crosses a row's or a
//! product's own order, so the results do not depend on the number of threads, nor on the instruction set that is
//! chosen at run time.

pub(crate) mod attention;
pub(crate) mod fused;
pub(crate) mod gelu;
pub(crate) mod layer_norm;
#[expect(
    unsafe_code,
    reason = "the `gemm` crate takes pointers; every extent is checked before the call"
)]
pub(crate) mod matrix;
pub mod ops;
mod rows;
