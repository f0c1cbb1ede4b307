//! The `adapter_config.json` of the library.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::family::Family;
use super::plan::{Bottlenecks, Plan};

/// The `config` of the whole placement: a bottleneck configuration, or the union of several.
pub(super) fn config(plan: &Plan, family: &Family, blocks: u16, width: u32) -> Value {
    let mut all: Vec<Value> = plan
        .bottlenecks()
        .iter()
        .map(|bottlenecks| one(bottlenecks, plan.hooked, family, blocks, width))
        .collect();
    if all.len() == 1 {
        return all.remove(0);
    }
    json!({ "architecture": "union", "configs": all })
}

fn one(bottlenecks: &Bottlenecks, hooked: bool, family: &Family, blocks: u16, width: u32) -> Value {
    let Bottlenecks {
        attention,
        output,
        parallel,
        scale,
        ranks,
    } = bottlenecks;
    let leave_out: Vec<u16> = (0..blocks)
        .filter(|block| !ranks.contains_key(block))
        .collect();
    // These settings decide where the residual is added and the LayerNorm applied, so that the adapter reads the state
    // and adds to it. The library's own code passes the sublayer's output before both. A hook placed by an interface
    // passes the whole state in a post-norm block, and in a pre-norm block what is still to be added to the residual.
    let (ln_before, ln_after, residual_before_ln) = match (parallel, hooked, family.post_norm) {
        (true, _, _) | (false, true, true) => (false, true, true),
        (false, false, _) => (true, false, false),
        (false, true, false) => (true, true, true),
    };
    json!({
        "mh_adapter": attention,
        "output_adapter": output,
        "is_parallel": parallel,
        "reduction_factor": reduction(ranks, width),
        "scaling": f64::from(*scale),
        "leave_out": leave_out,
        "non_linearity": "gelu",
        "ln_before": true,
        "ln_after": false,
        "original_ln_before": ln_before,
        "original_ln_after": ln_after,
        "residual_before_ln": residual_before_ln,
        "adapter_residual_before_ln": false,
        "init_weights": "mam_adapter",
        "dropout": 0.0,
        "use_gating": false,
    })
}

/// One factor if all ranks are the same, else one for each block.
fn reduction(ranks: &BTreeMap<u16, u16>, width: u32) -> Value {
    let of_block = |(&block, &rank)| (block, factor(width, rank));
    let factors: Vec<(u16, f64)> = ranks.iter().map(of_block).collect();
    match factors.as_slice() {
        [(_, first), rest @ ..] if rest.iter().all(|(_, factor)| factor == first) => json!(first),
        _ => {
            let of_blocks = factors
                .iter()
                .map(|(block, factor)| (block.to_string(), json!(factor)));
            Value::Object(of_blocks.collect::<Map<_, _>>())
        }
    }
}

/// The library takes the integer part of width / factor as the rank. If the rank does not divide the width, adding one
/// half keeps rounding errors away from the limits of that integer part.
fn factor(width: u32, rank: u16) -> f64 {
    let rank_in_full = u32::from(rank);
    if width.is_multiple_of(rank_in_full) {
        f64::from(width / rank_in_full)
    } else {
        f64::from(width) / (f64::from(rank) + 0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_gives_the_rank_back() {
        for width in [1_u32, 3, 32, 49, 384, 768, 1024] {
            for rank in 1..=1200 {
                let parts = f64::from(width) / factor(width, rank);
                assert_eq!(parts.floor(), f64::from(rank), "{width} {rank}");
            }
        }
        assert_eq!(factor(384, 8), 48.0);
    }
}
