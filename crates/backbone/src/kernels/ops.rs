//! Differentiable operations that candle lacks or is slow at: layer norm without weights, and the exact gelu.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Error, Layout, Result, Shape, Tensor};

use super::gelu;
use super::layer_norm::Normalized;
use super::rows::for_rows;
use crate::layers::normalize_plain;

/// The values behind a contiguous tensor of f32.
pub(super) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (begin, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| Error::RequiresContiguous { op: "fused" }.bt())?;
    Ok(&storage.as_slice::<f32>()?[begin..end])
}

/// (x - mean) / sqrt(variance + epsilon) over the last dimension, differentiable.
///
/// # Errors
/// If `x` is not f32.
pub fn normalize(x: &Tensor, epsilon: f32) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return normalize_plain(x, f64::from(epsilon));
    }
    x.contiguous()?.apply_op1(Normalize {
        epsilon,
        saved: OnceLock::new(),
    })
}

/// x Phi(x) with the normal distribution function Phi, differentiable.
///
/// # Errors
/// If `x` is not f32.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return x.gelu_erf();
    }
    x.contiguous()?.apply_op1(Gelu)
}

struct Normalize {
    epsilon: f32,
    saved: OnceLock<Normalized>,
}

impl CustomOp1 for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let width = last_dimension(layout)?;
        let normalized = Normalized::new(x.to_vec(), width, self.epsilon);
        let result = normalized.values.clone();
        // A second forward of the same operation gives the same values.
        let _ = self.saved.set(normalized);
        Ok((CpuStorage::F32(result), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let backward = NormalizeBackward(self.saved.get().ok_or_else(no_forward)?);
        Ok(Some(gradient.contiguous()?.apply_op1_no_bwd(&backward)?))
    }
}

struct NormalizeBackward<'a>(&'a Normalized);

impl CustomOp1 for NormalizeBackward<'_> {
    fn name(&self) -> &'static str {
        "normalize-backward"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut gradient = values(storage, layout)?.to_vec();
        self.0.backward(&mut gradient, None);
        Ok((CpuStorage::F32(gradient), layout.shape().clone()))
    }
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut x = values(storage, layout)?.to_vec();
        gelu::in_place(&mut x, last_dimension(layout)?);
        Ok((CpuStorage::F32(x), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        Ok(Some(gradient.apply_op2_no_bwd(x, &GeluBackward)?))
    }
}

struct GeluBackward;

impl CustomOp2 for GeluBackward {
    fn name(&self) -> &'static str {
        "gelu-backward"
    }

    fn cpu_fwd(
        &self,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut result = values(gradient, gradient_layout)?.to_vec();
        let x = values(x, x_layout)?;
        let width = last_dimension(x_layout)?;
        for_rows(
            &mut result,
            width,
            #[inline(always)]
            |index, row| {
                for (g, &x) in row.iter_mut().zip(&x[index * width..]) {
                    *g *= gelu::derivative(x);
                }
            },
        );
        Ok((CpuStorage::F32(result), x_layout.shape().clone()))
    }
}

fn last_dimension(layout: &Layout) -> Result<usize> {
    match layout.dims().last() {
        Some(&width) if width > 0 => Ok(width),
        _ => Err(Error::Msg(format!("no rows in a tensor of shape {:?}", layout.dims())).bt()),
    }
}

pub(super) fn no_forward() -> Error {
    Error::Msg("backward of an operation that ran no forward".to_owned()).bt()
}
