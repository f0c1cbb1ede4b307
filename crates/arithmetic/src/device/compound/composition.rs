use std::ops::Range;

use candle_core::{D, DType, Tensor};

use super::{AdamWStep, Compound, Kept, NormKind, Normalized};
use crate::device::optimiser::{Models, Moments};
use crate::device::rows::ExampleRows;
use crate::kernels::adamw::{EPSILON, MEAN_DECAY, SQUARE_DECAY};
use crate::{Activation, Result};

/// One tensor operation after the other, on any device.
#[derive(Debug)]
pub(in crate::device) struct Composition;

impl Compound for Composition {
    fn add_bias(&self, x: &Tensor, bias: &Tensor, to: Option<&Tensor>) -> Result<Tensor> {
        let sum = x.broadcast_add(bias)?;
        Ok(match to {
            None => sum,
            Some(to) => (to + sum)?,
        })
    }

    fn activate(
        &self,
        activation: Activation,
        x: &Tensor,
        bias: &Tensor,
        result: DType,
    ) -> Result<Tensor> {
        let x = x.broadcast_add(bias)?;
        let value = match activation {
            Activation::Gelu => x.gelu_erf()?,
            Activation::GeluByTanh | Activation::QuickGelu | Activation::Silu => {
                (logistic(&steepness(activation, &x)?[0])? * x)?
            }
        };
        Ok(value.to_dtype(result)?)
    }

    /// gelu(x) = x Phi(x) and its slope Phi(x) + x phi(x), with the normal distribution function Phi and its density
    /// phi.
    fn gelu_and_slope(&self, x: &Tensor, bias: &Tensor) -> Result<[Tensor; 2]> {
        let x = x.broadcast_add(bias)?;
        let distribution = (&x * std::f64::consts::FRAC_1_SQRT_2)?.erf()?;
        let distribution = distribution.affine(0.5, 0.5)?;
        let at_zero = (2.0 * std::f64::consts::PI).sqrt().recip();
        let density = ((x.sqr()? * -0.5)?.exp()? * at_zero)?;
        Ok([(&x * &distribution)?, (distribution + (x * density)?)?])
    }

    fn activation_backward(
        &self,
        activation: Activation,
        gradient: &Tensor,
        x: &Tensor,
        bias: &Tensor,
        result: DType,
    ) -> Result<Tensor> {
        let slope = match activation {
            Activation::Gelu => {
                let [_, slope] = self.gelu_and_slope(x, bias)?;
                slope
            }
            Activation::GeluByTanh | Activation::QuickGelu | Activation::Silu => {
                // s + x s (1 - s) u'(x) for the logistic function s of u(x).
                let x = x.broadcast_add(bias)?;
                let [u, slope] = steepness(activation, &x)?;
                let share = logistic(&u)?;
                let rest = share.affine(-1.0, 1.0)?;
                (&share + (((&share * x)? * rest)? * slope)?)?
            }
        };
        Ok((gradient * slope)?.to_dtype(result)?)
    }

    fn add_blocks(&self, to: &Tensor, from: &Tensor, blocks: &[Range<usize>]) -> Result<Tensor> {
        let (rows, width) = to.dims2()?;
        let mut begin = 0;
        let mut placed: Vec<(Range<usize>, usize)> = Vec::with_capacity(blocks.len());
        for block in blocks {
            placed.push((block.clone(), begin));
            begin += block.len();
        }
        if begin == rows && blocks.is_sorted_by_key(|block| block.start) {
            return Ok((to + from)?);
        }
        placed.sort_by_key(|(block, _)| block.start);
        let zeros = |count| Tensor::zeros((count, width), DType::F32, to.device());
        let (mut parts, mut end) = (Vec::new(), 0);
        for (block, begin) in placed {
            if block.start > end {
                parts.push(zeros(block.start - end)?);
            }
            parts.push(from.narrow(0, begin, block.len())?);
            end = block.end;
        }
        if end < rows {
            parts.push(zeros(rows - end)?);
        }
        Ok((to + Tensor::cat(&parts, 0)?)?)
    }

    fn normalize(&self, x: &Tensor, of: NormKind) -> Result<Normalized> {
        let moved = match of.centred {
            true => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
            false => x.clone(),
        };
        let variance = moved.sqr()?.mean_keepdim(D::Minus1)?;
        let inverse_deviation = (variance + of.epsilon)?.sqrt()?.recip()?;
        Ok(Normalized {
            centred: of.centred,
            rows: moved.broadcast_mul(&inverse_deviation)?,
            inverse_deviation,
            means: None,
        })
    }

    /// It keeps normalised rows rather than the input, from which it would have to compute them again.
    fn norm_forward(
        &self,
        x: &Tensor,
        [weight, bias]: [&Tensor; 2],
        of: NormKind,
        kept: Kept,
        result: DType,
    ) -> Result<(Tensor, Option<Normalized>)> {
        let normalized = self.normalize(x, of)?;
        let weighted = normalized.rows.broadcast_mul(weight)?;
        let weighted = weighted.broadcast_add(bias)?.to_dtype(result)?;
        Ok((weighted, (kept != Kept::Nothing).then_some(normalized)))
    }

    fn norm_backward(
        &self,
        gradient: &Tensor,
        weight: Option<&Tensor>,
        saved: &Normalized,
        to: Option<&Tensor>,
    ) -> Result<Tensor> {
        let weighted = match weight {
            None => gradient.clone(),
            Some(weight) => gradient.broadcast_mul(weight)?,
        };
        let rows = match &saved.means {
            None => saved.rows.clone(),
            Some(means) => {
                let centred = saved.rows.broadcast_sub(means)?;
                centred.broadcast_mul(&saved.inverse_deviation)?
            }
        };
        let projection = (&weighted * &rows)?.mean_keepdim(D::Minus1)?;
        let along = rows.broadcast_mul(&projection)?;
        let across = match saved.centred {
            true => (weighted.broadcast_sub(&weighted.mean_keepdim(D::Minus1)?)? - along)?,
            false => (weighted - along)?,
        };
        let towards = across.broadcast_mul(&saved.inverse_deviation)?;
        Ok(match to {
            None => towards,
            Some(to) => (to + towards)?,
        })
    }

    fn sums(&self, of: &Tensor, rows: &ExampleRows) -> Result<Tensor> {
        let (examples, tokens) = rows.table();
        let places = rows.places_of_rows(of)?;
        Ok(places.reshape((examples, tokens, ()))?.sum(1)?)
    }

    fn split_heads(
        &self,
        from: &Tensor,
        bias: Option<&Tensor>,
        parts: usize,
        heads: usize,
        rows: &ExampleRows,
    ) -> Result<Tensor> {
        let (examples, tokens) = rows.table();
        let width = from.dims2()?.1 / parts;
        let places = match bias {
            None => rows.places_of_rows(from)?,
            Some(bias) => rows.places_of_rows(&from.broadcast_add(bias)?)?,
        };
        let places = places.reshape(&[examples, tokens, parts, heads, width / heads][..])?;
        Ok(places.permute(&[2, 0, 3, 1, 4][..])?.contiguous()?)
    }

    fn merge_heads(&self, parts: &[Tensor], rows: &ExampleRows, result: DType) -> Result<Tensor> {
        let (examples, heads, tokens, head_width) = parts[0].dims4()?;
        // (examples, tokens, parts, heads, width of a head)
        let all = Tensor::stack(parts, 2)?.permute(&[0, 3, 2, 1, 4][..])?;
        let all = all.reshape((examples * tokens, parts.len() * heads * head_width))?;
        Ok(rows.rows_of_places(&all)?.to_dtype(result)?)
    }

    fn softmax_forward(&self, scores: &Tensor, scale: f64, rows: &ExampleRows) -> Result<Tensor> {
        let (examples, tokens) = rows.table();
        let mut scores = (scores * scale)?;
        if let Some(filled) = rows.filled()? {
            // 0 for a token, the lowest number for a place without one.
            let lowest = f64::from(f32::MIN);
            let bias = filled.affine(-lowest, lowest)?;
            scores = scores.broadcast_add(&bias.reshape((examples, 1, 1, tokens))?)?;
        }
        let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?;
        let shares = shifted.exp()?;
        Ok(shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)?)
    }

    fn softmax_backward(
        &self,
        towards_weights: &Tensor,
        weights: &Tensor,
        scale: f64,
    ) -> Result<Tensor> {
        let along = (towards_weights * weights)?.sum_keepdim(D::Minus1)?;
        let towards_scores = (towards_weights.broadcast_sub(&along)? * weights)?;
        Ok((towards_scores * scale)?)
    }

    fn norms_of_models(&self, gradients: &Tensor, models: &Models) -> Result<Tensor> {
        let squares = gradients.sqr()?;
        Ok(match models.count {
            1 => squares.sum(1)?,
            count => {
                let zero = Tensor::zeros((1, 1), DType::F32, gradients.device())?;
                let all = Tensor::cat(&[squares, zero], 1)?.flatten_all()?;
                let table = all.index_select(&models.values, 0)?;
                table.reshape((count, ()))?.sum(1)?
            }
        }
        .sqrt()?)
    }

    fn adamw(
        &self,
        step: &AdamWStep<'_>,
        values: &Tensor,
        gradients: &Tensor,
        moments: &mut Moments,
    ) -> Result<Tensor> {
        let shares = (step.norms.recip()? * step.clip)?.minimum(1.0)?;
        let shares = match step.models.count {
            1 => shares,
            _ => shares.index_select(&step.models.of_value, 0)?,
        };
        let gradients = gradients.broadcast_mul(&shares.unsqueeze(0)?)?;
        let moved = |moments: &Tensor, decay: f64, towards: &Tensor| -> Result<Tensor> {
            Ok(((moments * decay)? + (towards * (1.0 - decay))?)?)
        };
        moments.means = moved(&moments.means, MEAN_DECAY, &gradients)?;
        moments.squares = moved(&moments.squares, SQUARE_DECAY, &gradients.sqr()?)?;
        let mean_scale = 1.0 / (1.0 - MEAN_DECAY.powi(step.number));
        let square_scale = 1.0 / (1.0 - SQUARE_DECAY.powi(step.number));
        let deviation = ((&moments.squares * square_scale)?.sqrt()? + f64::from(EPSILON))?;
        let update = ((&moments.means * mean_scale)? / deviation)?;
        let rates = (step.rates * step.factor)?;
        let kept = rates.affine(-step.weight_decay, 1.0)?;
        Ok(((values * kept)? - (rates * update)?)?)
    }
}

/// u(x) and u'(x) of the activations that are x times the logistic function of u(x).
fn steepness(activation: Activation, x: &Tensor) -> Result<[Tensor; 2]> {
    let twice_root = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
    Ok(match activation {
        Activation::QuickGelu => [(x * 1.702)?, (x.zeros_like()? + 1.702)?],
        Activation::Silu => [x.clone(), x.ones_like()?],
        Activation::Gelu | Activation::GeluByTanh => {
            let square = x.sqr()?;
            let u = (square.affine(0.044_715 * twice_root, twice_root)? * x)?;
            [u, square.affine(3.0 * 0.044_715 * twice_root, twice_root)?]
        }
    })
}

fn logistic(u: &Tensor) -> Result<Tensor> {
    Ok((u.neg()?.exp()? + 1.0)?.recip()?)
}
