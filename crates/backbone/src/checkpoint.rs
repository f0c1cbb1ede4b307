//! Reads the configuration and the weights of a Hugging Face model folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use adaplace_arithmetic::{Stored, Weights};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::BackboneError;
use crate::weight_file::{StoredTensor, UnreadTensor, WeightFile};

const SINGLE_FILE: &str = "model.safetensors";
const SHARD_INDEX: &str = "model.safetensors.index.json";

/// The weights of a model folder, not yet converted, and a running hash of those taken out of it.
///
/// Weights may be stored as f32, f16 or bf16, in one file or in several shards, and their names may have a prefix
/// (`bert.`, `vit.`, as in the folders of models with a task head).
pub(crate) struct Checkpoint {
    /// The file that a message about a missing tensor names: the only file, or the index.
    listing: PathBuf,
    files: Vec<Arc<WeightFile>>,
    /// The tensors by their names, each with the number of its file.
    tensors: BTreeMap<String, (usize, StoredTensor)>,
    prefix: String,
    taken: BTreeMap<String, [u8; 32]>,
    parameters: usize,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the weights of `folder`. `anchor` is a tensor that every model of the family has. Whatever comes before it
    /// in the stored name is the prefix of all names.
    pub(crate) fn open(folder: &Path, anchor: &str) -> Result<Self, BackboneError> {
        let listed = Self::list(folder)?;
        let prefix = listed.prefix_before(anchor)?;
        Ok(Self { prefix, ..listed })
    }

    /// Opens the weights of `folder`, whose names have no prefix.
    pub(crate) fn list(folder: &Path) -> Result<Self, BackboneError> {
        let (listing, names) = weight_files(folder)?;
        let mut files = Vec::new();
        let mut tensors = BTreeMap::new();
        for path in names {
            let (file, stored) = WeightFile::open(path)?;
            for tensor in stored {
                tensors.insert(current_name(tensor.name.clone()), (files.len(), tensor));
            }
            files.push(Arc::new(file));
        }
        Ok(Self {
            listing,
            files,
            tensors,
            prefix: String::new(),
            taken: BTreeMap::new(),
            parameters: 0,
        })
    }

    /// The same weights under other names: every tensor becomes those that `rename` returns.
    pub(crate) fn renamed(self, rename: impl Fn(StoredTensor) -> Vec<StoredTensor>) -> Self {
        let stored = self.tensors.into_values();
        let renamed = stored.flat_map(|(file, tensor)| {
            let parts = rename(tensor).into_iter();
            parts.map(move |part| (part.name.clone(), (file, part)))
        });
        Self {
            tensors: renamed.collect(),
            ..self
        }
    }

    /// The shape of the tensor `name` (without prefix), if there is one.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        let (_, stored) = self.tensors.get(&format!("{}{name}", self.prefix))?;
        Some(&stored.shape)
    }

    /// The name (without prefix) of a tensor that has not been taken out, and for which `known` is false.
    pub(crate) fn left_over(&self, known: impl Fn(&str) -> bool) -> Option<&str> {
        let names = self.tensors.keys();
        let names = names.filter_map(|name| name.strip_prefix(&self.prefix));
        let mut left = names.filter(|name| !self.taken.contains_key(*name));
        left.find(|name| !known(name))
    }

    fn prefix_before(&self, anchor: &str) -> Result<String, BackboneError> {
        let prefixes: Vec<String> = self
            .tensors
            .keys()
            .filter_map(|name| name.strip_suffix(anchor))
            .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .map(str::to_owned)
            .collect();
        match &prefixes[..] {
            [] => Err(BackboneError::MissingTensor {
                path: self.listing.clone(),
                name: anchor.to_owned(),
            }),
            [prefix] => Ok(prefix.clone()),
            _ => Err(BackboneError::SeveralModels {
                path: self.listing.clone(),
                tensors: prefixes
                    .iter()
                    .map(|prefix| format!("`{prefix}{anchor}`"))
                    .collect(),
            }),
        }
    }

    /// Takes out the tensor `name` (without prefix) as f32 in row-major order.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, BackboneError> {
        Ok(self.take_as_stored(name, shape)?.into_f32())
    }

    /// Takes out the tensor `name` (without prefix) in row-major order. Values of 16 bits stay as they are.
    pub(crate) fn take_as_stored(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<Weights, BackboneError> {
        self.take_with(name, shape, |file, stored, see| file.read(stored, see))
    }

    /// Takes out the tensor `name` (without prefix) in row-major order. It is checked and hashed, and read again when it is
    /// needed.
    pub(crate) fn take_unread(
        &mut self,
        name: &str,
        shape: &[usize],
    ) -> Result<Stored, BackboneError> {
        self.take_with(name, shape, |file, stored, see| {
            Ok(file.scan(stored, see)?.then(|| {
                let (file, tensor) = (Arc::clone(file), stored.clone());
                Stored::Unread(Arc::new(UnreadTensor { file, tensor }))
            }))
        })
    }

    /// Takes out a tensor with `read`, which shows all of its values, and returns nothing if their type is not supported.
    fn take_with<T>(
        &mut self,
        name: &str,
        shape: &[usize],
        read: impl FnOnce(
            &Arc<WeightFile>,
            &StoredTensor,
            &mut dyn FnMut(&[f32]),
        ) -> Result<Option<T>, BackboneError>,
    ) -> Result<T, BackboneError> {
        let (file, stored) = self
            .tensors
            .get(&format!("{}{name}", self.prefix))
            .ok_or_else(|| BackboneError::MissingTensor {
                path: self.listing.clone(),
                name: name.to_owned(),
            })?;
        let file = &self.files[*file];
        let path = file.path.clone();
        if stored.shape != shape {
            return Err(BackboneError::TensorShape {
                path,
                name: name.to_owned(),
                expected: shape.to_owned(),
                found: stored.shape.clone(),
            });
        }
        let (mut digest, mut finite) = (begun_digest(name, shape), true);
        let mut bytes = Vec::new();
        let mut see = |values: &[f32]| {
            finite &= values.iter().all(|value| value.is_finite());
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            digest.update(&bytes);
        };
        let Some(values) = read(file, stored, &mut see)? else {
            return Err(BackboneError::TensorType {
                path,
                name: name.to_owned(),
                found: format!("{:?}", stored.dtype),
            });
        };
        if !finite {
            return Err(BackboneError::NotFinite {
                path,
                name: name.to_owned(),
            });
        }
        self.parameters += shape.iter().product::<usize>();
        self.taken.insert(name.to_owned(), digest.finalize().into());
        Ok(values)
    }

    /// The number of weights taken out so far.
    pub(crate) fn parameters(&self) -> usize {
        self.parameters
    }

    /// The SHA-256 of all tensors taken out, in the order of their names, as 64 hexadecimal digits.
    ///
    /// The digest of a tensor is the SHA-256 of its name without prefix, a zero byte, its shape as `384x1536`, a zero
    /// byte and its values as little-endian f32. The digests of all tensors are then hashed together. So the same
    /// weights have the same hash whether they are sharded, prefixed or stored as f16, and both a loaded model and a
    /// folder can be checked.
    pub(crate) fn weights_sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for digest in self.taken.values() {
            hasher.update(digest);
        }
        format!("{:x}", hasher.finalize())
    }
}

/// Renames the parameters of layer norms: checkpoints first written for TensorFlow call the weight gamma and the bias
/// beta.
fn current_name(name: String) -> String {
    let renamed = |old: &str, new: &str| Some(format!("{}{new}", name.strip_suffix(old)?));
    renamed("LayerNorm.gamma", "LayerNorm.weight")
        .or_else(|| renamed("LayerNorm.beta", "LayerNorm.bias"))
        .unwrap_or(name)
}

/// Reads a JSON file that another program wrote. Keys that are not needed are ignored.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, BackboneError> {
    let bytes = read(path)?;
    serde_json::from_slice(&bytes).map_err(|source| BackboneError::Json {
        path: path.to_owned(),
        source,
    })
}

fn weight_files(folder: &Path) -> Result<(PathBuf, Vec<PathBuf>), BackboneError> {
    let single = folder.join(SINGLE_FILE);
    if single.is_file() {
        return Ok((single.clone(), vec![single]));
    }
    let index = folder.join(SHARD_INDEX);
    if !index.is_file() {
        return Err(BackboneError::NoWeights {
            folder: folder.to_owned(),
        });
    }
    let shards: ShardIndex = read_json(&index)?;
    let mut names: Vec<String> = shards.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    Ok((index, names.iter().map(|name| folder.join(name)).collect()))
}

fn read(path: &Path) -> Result<Vec<u8>, BackboneError> {
    std::fs::read(path).map_err(|source| BackboneError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The digest of a tensor without its values.
fn begun_digest(name: &str, shape: &[usize]) -> Sha256 {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let mut hasher = Sha256::new();
    hasher.update(name.as_bytes());
    hasher.update([0]);
    hasher.update(shape.join("x").as_bytes());
    hasher.update([0]);
    hasher
}
