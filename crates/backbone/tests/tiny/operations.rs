//! `normalize` and `gelu` against compositions of candle's own operations, and against finite differences.

use adaplace_backbone::kernels::ops;
use candle_core::{D, Result, Tensor};

use crate::common::{bits, check_by_differences, gradient, noise, relative_error};

fn normalize_by_hand(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + epsilon)?.sqrt()?)
}

/// Shape (2, 5, 19), contiguous and not; 19 is no multiple of a vector's width.
fn inputs() -> [Tensor; 2] {
    let strided = noise(&[2, 19, 5], 2).transpose(1, 2).unwrap();
    assert!(!strided.is_contiguous());
    [noise(&[2, 5, 19], 1), strided]
}

#[test]
fn normalize_is_a_layer_norm_without_weights() {
    for x in inputs() {
        for epsilon in [1e-5_f32, 0.5] {
            let weights = noise(x.dims(), 3);
            let fused = |x: &Tensor| ops::normalize(x, epsilon);
            let by_hand = |x: &Tensor| normalize_by_hand(x, f64::from(epsilon));
            let error = relative_error(&fused(&x).unwrap(), &by_hand(&x).unwrap());
            assert!(error < 1e-6, "{error:e}");
            let found = gradient(fused, &x, &weights);
            let error = relative_error(&found, &gradient(by_hand, &x, &weights));
            assert!(error < 1e-5, "{error:e}");
            check_by_differences(fused, &x, &weights, &found);
        }
    }
}

#[test]
fn gelu_is_the_exact_one() {
    for x in inputs() {
        let x = (x * 2.0).unwrap();
        let weights = noise(x.dims(), 3);
        let error = relative_error(&ops::gelu(&x).unwrap(), &x.gelu_erf().unwrap());
        assert!(error < 1e-6, "{error:e}");
        let found = gradient(ops::gelu, &x, &weights);
        let error = relative_error(&found, &gradient(Tensor::gelu_erf, &x, &weights));
        assert!(error < 1e-5, "{error:e}");
        check_by_differences(ops::gelu, &x, &weights, &found);
    }
}

/// The incoming gradient may be strided as well: here it comes through a transposition.
#[test]
fn a_gradient_that_is_not_contiguous_is_read_in_its_order() {
    let x = noise(&[5, 19], 1);
    let weights = noise(&[19, 5], 2);
    let straight = weights.t().unwrap().contiguous().unwrap();
    for operation in [ops::gelu, |x: &Tensor| ops::normalize(x, 1e-5)] {
        let transposed = gradient(|x| operation(x)?.t(), &x, &weights);
        assert_eq!(bits(&transposed), bits(&gradient(operation, &x, &straight)));
    }
}

#[test]
fn other_number_types_are_errors() {
    let x = noise(&[2, 3], 0).to_dtype(candle_core::DType::F64).unwrap();
    assert!(ops::normalize(&x, 1e-5).is_err());
    assert!(ops::gelu(&x).is_err());
}
