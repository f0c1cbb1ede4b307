//! Random weights, and the safetensors files that contain them.

use std::path::Path;

use half::{bf16, f16};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

use crate::files;

/// The number type in which the weights of a backbone are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightType {
    /// 32-bit float.
    #[default]
    F32,
    /// 16-bit IEEE half precision.
    F16,
    /// 16 bits, the upper half of a 32-bit float.
    BF16,
}

impl WeightType {
    fn dtype(self) -> Dtype {
        match self {
            WeightType::F32 => Dtype::F32,
            WeightType::F16 => Dtype::F16,
            WeightType::BF16 => Dtype::BF16,
        }
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            WeightType::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            WeightType::F16 => values
                .iter()
                .flat_map(|&v| f16::from_f32(v).to_le_bytes())
                .collect(),
            WeightType::BF16 => values
                .iter()
                .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
                .collect(),
        }
    }

    /// The name in the `torch_dtype` of a Hugging Face `config.json`.
    pub(crate) fn torch_name(self) -> &'static str {
        match self {
            WeightType::F32 => "float32",
            WeightType::F16 => "float16",
            WeightType::BF16 => "bfloat16",
        }
    }
}

struct StoredTensor {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

/// Tensors in the order in which they are drawn. Prefix, number type and shards do not change the drawn values.
pub(crate) struct Weights {
    random: ChaCha8Rng,
    weight_type: WeightType,
    prefix: String,
    tensors: Vec<StoredTensor>,
}

impl Weights {
    pub(crate) fn new(seed: u64, weight_type: WeightType, prefix: &str) -> Self {
        Weights {
            random: ChaCha8Rng::seed_from_u64(seed),
            weight_type,
            prefix: prefix.to_owned(),
            tensors: Vec::new(),
        }
    }

    /// A tensor drawn from Normal(mean, deviation).
    pub(crate) fn normal(&mut self, name: &str, shape: &[usize], mean: f32, deviation: f32) {
        let name = format!("{}{name}", self.prefix);
        self.normal_unprefixed(&name, shape, mean, deviation);
    }

    /// Like [`Weights::normal`], for a head, whose name never has the prefix of the backbone.
    pub(crate) fn normal_unprefixed(
        &mut self,
        name: &str,
        shape: &[usize],
        mean: f32,
        deviation: f32,
    ) {
        let count: usize = shape.iter().product();
        let draw = |_| mean + deviation * self.random.sample::<f32, _>(StandardNormal);
        let values: Vec<f32> = (0..count).map(draw).collect();
        self.tensors.push(StoredTensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            dtype: self.weight_type.dtype(),
            bytes: self.weight_type.bytes(&values),
        });
    }

    /// A linear map: `name.weight` (outputs, inputs) with a deviation of 1/sqrt(inputs), so that it preserves the size
    /// of its input, and a small `name.bias` (outputs).
    pub(crate) fn linear(&mut self, name: &str, outputs: usize, inputs: usize) {
        let deviation = 1.0 / (inputs as f32).sqrt();
        self.normal(
            &format!("{name}.weight"),
            &[outputs, inputs],
            0.0,
            deviation,
        );
        self.normal(&format!("{name}.bias"), &[outputs], 0.0, 0.05);
    }

    /// A layer norm: `name.weight` near 1, `name.bias` near 0.
    pub(crate) fn layer_norm(&mut self, name: &str, width: usize) {
        self.normal(&format!("{name}.weight"), &[width], 1.0, 0.1);
        self.normal(&format!("{name}.bias"), &[width], 0.0, 0.05);
    }

    /// The numbers 0 .. count as 64-bit integers of shape (1, count), which older exports of BERT contain.
    pub(crate) fn positions(&mut self, name: &str, count: usize) {
        self.tensors.push(StoredTensor {
            name: format!("{}{name}", self.prefix),
            shape: vec![1, count],
            dtype: Dtype::I64,
            bytes: (0..count as i64).flat_map(i64::to_le_bytes).collect(),
        });
    }

    /// Writes `model.safetensors`, or with several shards `model-0000i-of-0000n.safetensors` and their index.
    pub(crate) fn write(mut self, folder: &Path, shards: usize) {
        assert!(
            (1..=self.tensors.len()).contains(&shards),
            "{shards} shards for {} tensors",
            self.tensors.len()
        );
        self.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        if shards == 1 {
            write_file(&folder.join("model.safetensors"), &self.tensors);
            return;
        }
        let mut weight_map = serde_json::Map::new();
        let total_size: usize = self.tensors.iter().map(|tensor| tensor.bytes.len()).sum();
        for (number, (start, end)) in boundaries(self.tensors.len(), shards).enumerate() {
            let tensors = &self.tensors[start..end];
            let file_name = format!("model-{:05}-of-{shards:05}.safetensors", number + 1);
            write_file(&folder.join(&file_name), tensors);
            for tensor in tensors {
                weight_map.insert(tensor.name.clone(), json!(file_name));
            }
        }
        files::write_json(
            &folder.join("model.safetensors.index.json"),
            &json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map }),
        );
    }
}

/// Cuts 0..count into `parts` ranges, none of them empty.
fn boundaries(count: usize, parts: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..parts).map(move |part| (part * count / parts, (part + 1) * count / parts))
}

fn write_file(path: &Path, tensors: &[StoredTensor]) {
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)
            .expect("the bytes match the shape");
        (tensor.name.as_str(), view)
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let bytes = safetensors::serialize(views, Some(metadata))
        .expect("tensors of plain number types can be serialised");
    files::write(path, &bytes);
}
