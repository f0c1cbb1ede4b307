//! What an attention as tensors needs for examples of a length: the turns of positions, and what distances add to scores.

use candle_core::{DType, Tensor};

use super::OnDevice;
use crate::{Attention, RelativePositions, RelativeTerms, Result, Rotation, Span};

/// What depends on the number of tokens alone.
#[derive(Clone)]
pub(super) struct OfLength {
    pub(super) tokens: usize,
    /// The cosines and sines of the positions, each (tokens, pairs).
    pub(super) turns: Option<[Tensor; 2]>,
    /// What is added to the scores: 0 for a token that is attended to and the lowest number for any other, (tokens, tokens),
    /// unless all are, or a bias for each head, (heads, tokens, tokens).
    pub(super) added: Option<Tensor>,
    pub(super) buckets: Option<Buckets>,
}

/// The vectors of the buckets of distances that occur, and where they belong.
#[derive(Clone)]
pub(super) struct Buckets {
    /// (1, heads, buckets, width of a head) each.
    keys: Option<Tensor>,
    queries: Option<Tensor>,
    /// The bucket of each query and key, (1, 1, tokens, tokens).
    of_query: Tensor,
    /// The same, transposed.
    of_key: Tensor,
}

impl OfLength {
    pub(super) fn new(layer: &Attention, tokens: usize, device: &OnDevice) -> Result<Self> {
        let turns = layer.rotation.as_ref();
        let outside = outside(layer.span, tokens, device)?;
        Ok(Self {
            tokens,
            turns: turns
                .map(|rotation| turns_of(rotation, tokens, device))
                .transpose()?,
            added: match (outside, bias(layer, tokens, device)?) {
                (Some(outside), Some(bias)) => Some(bias.broadcast_add(&outside)?),
                (outside, bias) => outside.or(bias),
            },
            buckets: Buckets::new(layer, tokens, device)?,
        })
    }
}

/// The cosines and the sines at the first positions, each (tokens, pairs).
fn turns_of(rotation: &Rotation, tokens: usize, device: &OnDevice) -> Result<[Tensor; 2]> {
    let (mut cosines, mut sines) = (Vec::new(), Vec::new());
    for position in 0..tokens {
        let (cosine, sine) = rotation.at(position);
        cosines.extend_from_slice(cosine);
        sines.extend_from_slice(sine);
    }
    let tensor = |values| Tensor::from_vec(values, (tokens, rotation.pairs()), &device.device);
    Ok([tensor(cosines)?, tensor(sines)?])
}

fn terms(layer: &Attention) -> Option<(&RelativePositions, &RelativeTerms)> {
    let positions = layer.relative.as_deref()?;
    Some((positions, positions.terms()))
}

/// The bias of each head, (heads, tokens, tokens), if the positions have that.
fn bias(layer: &Attention, tokens: usize, device: &OnDevice) -> Result<Option<Tensor>> {
    let Some((positions, RelativeTerms::Bias(values))) = terms(layer) else {
        return Ok(None);
    };
    let heads = layer.heads;
    let mut all = Vec::with_capacity(heads * tokens * tokens);
    for own in values.chunks_exact(values.len() / heads) {
        for place in 0..tokens {
            all.extend(positions.of_query(place, tokens).map(|bucket| own[bucket]));
        }
    }
    let all = Tensor::from_vec(all, (heads, tokens, tokens), &device.device)?;
    Ok(Some(all))
}

impl Buckets {
    fn new(layer: &Attention, tokens: usize, device: &OnDevice) -> Result<Option<Self>> {
        let Some((positions, RelativeTerms::Products { keys, queries })) = terms(layer) else {
            return Ok(None);
        };
        let (heads, width) = (layer.heads, layer.head_width);
        let range = positions.range(tokens);
        let vectors = |all: &Option<Vec<f32>>| -> Result<Option<Tensor>> {
            let Some(all) = all else {
                return Ok(None);
            };
            let of_head = all.len() / heads;
            let own = |values: &[f32]| values[range.start * width..range.end * width].to_vec();
            let values: Vec<f32> = all.chunks_exact(of_head).flat_map(own).collect();
            let shape = (1, heads, range.len(), width);
            Ok(Some(Tensor::from_vec(values, shape, &device.device)?))
        };
        let places = (0..tokens).flat_map(|place| positions.of_query(place, tokens));
        let places: Vec<u32> = places.map(|bucket| (bucket - range.start) as u32).collect();
        let of_query = Tensor::from_vec(places, (1, 1, tokens, tokens), &device.device)?;
        Ok(Some(Self {
            keys: vectors(keys)?,
            queries: vectors(queries)?,
            of_key: of_query.t()?.contiguous()?,
            of_query,
        }))
    }

    /// Adds the products, not yet scaled, to the scores.
    pub(super) fn add(&self, [query, key]: [&Tensor; 2], scores: Tensor) -> Result<Tensor> {
        let (examples, heads, tokens, _) = scores.dims4()?;
        let everywhere = |places: &Tensor| -> Result<Tensor> {
            let shape = (examples, heads, tokens, tokens);
            Ok(places.broadcast_as(shape)?.contiguous()?)
        };
        let mut scores = scores;
        if let Some(keys) = &self.keys {
            let products = query.broadcast_matmul(&keys.t()?)?;
            scores = (scores + products.gather(&everywhere(&self.of_query)?, 3)?)?;
        }
        if let Some(queries) = &self.queries {
            let products = key.broadcast_matmul(&queries.t()?)?;
            let by_key = products.gather(&everywhere(&self.of_key)?, 3)?;
            scores = (scores + by_key.t()?)?;
        }
        Ok(scores)
    }

    /// Adds the gradients with respect to the queries and keys, from the one with respect to the products.
    pub(super) fn backward(
        &self,
        towards: &Tensor,
        [query, key]: [Tensor; 2],
    ) -> Result<[Tensor; 2]> {
        let (examples, heads, tokens, _) = towards.dims4()?;
        let sums = |vectors: &Tensor, places: &Tensor, towards: &Tensor| -> Result<Tensor> {
            let shape = (examples, heads, tokens, tokens);
            let places = places.broadcast_as(shape)?.contiguous()?;
            let zeros = (examples, heads, tokens, vectors.dim(2)?);
            let zeros = Tensor::zeros(zeros, DType::F32, towards.device())?;
            let sums = zeros.scatter_add(&places, &towards.contiguous()?, 3)?;
            Ok(sums.broadcast_matmul(vectors)?)
        };
        let query = match &self.keys {
            None => query,
            Some(keys) => (query + sums(keys, &self.of_query, towards)?)?,
        };
        let key = match &self.queries {
            None => key,
            Some(queries) => (key + sums(queries, &self.of_key, &towards.t()?)?)?,
        };
        Ok([query, key])
    }
}

fn outside(span: Span, tokens: usize, device: &OnDevice) -> Result<Option<Tensor>> {
    if span.is_all(tokens) {
        return Ok(None);
    }
    let mut values = vec![f32::MIN; tokens * tokens];
    for (place, row) in values.chunks_exact_mut(tokens).enumerate() {
        row[span.of(place, tokens)].fill(0.0);
    }
    let all = Tensor::from_vec(values, (tokens, tokens), &device.device)?;
    Ok(Some(all))
}
