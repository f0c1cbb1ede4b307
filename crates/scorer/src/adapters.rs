use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use adaplace_backbone::normalize;
use adaplace_files::write_atomically;
use adaplace_search_space::{AdapterSpec, Connection, Placement};
use candle_core::{Device, Result, Tensor, Var};
use rand::Rng;
use rand::distr::Uniform;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::{Head, ScoreError, seeds};

/// The epsilon of the layer norm at an adapter's input.
pub(crate) const NORM_EPSILON: f32 = 1e-5;

/// The entry of an adapter file's header that contains the metadata.
const METADATA: &str = "adaplace";

/// The bottleneck of one connection: A(x) = scale * (W_up gelu(W_down norm(x) + b_down) + b_up), where norm is a layer
/// norm without weights and gelu the exact one (Houlsby et al., 2019).
///
/// A clone shares the trained values.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// The connection, which determines the state that is read and the state that is added to.
    pub connection: Connection,
    /// The rank r and the scale.
    pub spec: AdapterSpec,
    /// The matrix W_down, of shape (r, width).
    pub down_weight: Var,
    /// The bias b_down, of shape (r).
    pub down_bias: Var,
    /// The matrix W_up, of shape (width, r).
    pub up_weight: Var,
    /// The bias b_up, of shape (width).
    pub up_bias: Var,
}

/// The adapters of one placement, in canonical order. A clone shares the trained values.
#[derive(Debug, Clone, Default)]
pub struct Adapters(Vec<Adapter>);

impl Adapter {
    /// Computes A(x) for x of shape (batch, tokens, width). The result is differentiable with respect to x and the
    /// adapter's weights.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let shape = x.dims3()?;
        let rows = normalize(x, f64::from(NORM_EPSILON))?.flatten(0, 1)?;
        let hidden = rows
            .matmul(&self.down_weight.t()?)?
            .broadcast_add(&self.down_bias)?;
        let result = hidden
            .gelu_erf()?
            .matmul(&self.up_weight.t()?)?
            .broadcast_add(&self.up_bias)?
            .reshape(shape)?;
        if self.spec.scale == 1.0 {
            return Ok(result);
        }
        result * f64::from(self.spec.scale)
    }

    /// The trained tensors with their names in an adapter file, without the connection.
    fn tensors(&self) -> [(&'static str, &Var); 4] {
        [
            ("down.weight", &self.down_weight),
            ("down.bias", &self.down_bias),
            ("up.weight", &self.up_weight),
            ("up.bias", &self.up_bias),
        ]
    }

    /// The trained tensors: weight and bias of the down projection, then of the up projection.
    pub fn vars(&self) -> impl Iterator<Item = &Var> {
        self.tensors().into_iter().map(|(_, var)| var)
    }

    fn from_values(
        connection: Connection,
        spec: AdapterSpec,
        width: usize,
        mut values: impl FnMut(&'static str, &[usize]) -> std::result::Result<Vec<f32>, ScoreError>,
    ) -> std::result::Result<Self, ScoreError> {
        let rank = usize::from(spec.rank);
        let mut var = |name, shape: &[usize]| -> std::result::Result<Var, ScoreError> {
            Ok(Var::from_vec(values(name, shape)?, shape, &Device::Cpu)?)
        };
        Ok(Self {
            connection,
            spec,
            down_weight: var("down.weight", &[rank, width])?,
            down_bias: var("down.bias", &[rank])?,
            up_weight: var("up.weight", &[width, rank])?,
            up_bias: var("up.bias", &[width])?,
        })
    }
}

impl Adapters {
    /// Untrained adapters: W_down and b_down are uniform in +-1/sqrt(width), W_up and b_up are zero, so they change
    /// nothing yet. For a given seed and repetition, a connection starts in the same way in every placement.
    ///
    /// # Errors
    /// If the tensors cannot be created.
    pub fn initial(
        placement: &Placement,
        width: usize,
        seed: u64,
        repetition: u32,
    ) -> std::result::Result<Self, ScoreError> {
        let bound = (width as f32).powf(-0.5);
        let range = Uniform::new(-bound, bound).map_err(|error| {
            ScoreError::from(candle_core::Error::Msg(format!(
                "no uniform range for width {width}: {error}"
            )))
        })?;
        let adapters = placement.iter().map(|(connection, spec)| {
            let mut generator = seeds::adapter(seed, repetition, connection);
            Adapter::from_values(connection, spec, width, |name, shape| {
                let count = shape.iter().product();
                Ok(match name {
                    "down.weight" | "down.bias" => {
                        (0..count).map(|_| generator.sample(range)).collect()
                    }
                    _ => vec![0.0; count],
                })
            })
        });
        adapters.collect::<std::result::Result<_, _>>().map(Self)
    }

    /// The adapters in canonical order of their connections.
    pub fn iter(&self) -> std::slice::Iter<'_, Adapter> {
        self.0.iter()
    }

    /// All trained tensors, adapter by adapter.
    #[must_use]
    pub fn vars(&self) -> Vec<Var> {
        self.iter().flat_map(Adapter::vars).cloned().collect()
    }

    /// The placement of these adapters.
    #[must_use]
    pub fn placement(&self) -> Placement {
        self.iter()
            .map(|adapter| (adapter.connection, adapter.spec))
            .collect()
    }

    /// Checks that the connections are within the backbone's hidden states.
    pub(crate) fn check_range(&self, hidden_states: usize) -> std::result::Result<(), ScoreError> {
        for Adapter { connection, .. } in self.iter() {
            if usize::from(connection.source.max(connection.target)) >= hidden_states {
                return Err(ScoreError::OutOfRange {
                    connection: *connection,
                    last: hidden_states - 1,
                });
            }
        }
        Ok(())
    }

    /// Writes the adapters and the head as safetensors: `{source}-{target}.down.weight` (r, width), `.down.bias` (r),
    /// `.up.weight` (width, r), `.up.bias` (width), `head.weight` (classes, width), `head.bias` (classes), all f32.
    /// `metadata` is written to the file's header as one JSON object, `adaplace`.
    ///
    /// # Errors
    /// If the file cannot be written. An earlier file of that name then stays as it was.
    pub fn write(
        &self,
        head: &Head,
        metadata: &BTreeMap<String, String>,
        path: &Path,
    ) -> std::result::Result<(), ScoreError> {
        let mut tensors = Vec::new();
        for adapter in self.iter() {
            let Connection { source, target } = adapter.connection;
            for (name, var) in adapter.tensors() {
                tensors.push((format!("{source}-{target}.{name}"), to_bytes(var)?));
            }
        }
        tensors.push(("head.weight".to_owned(), to_bytes(&head.weight)?));
        tensors.push(("head.bias".to_owned(), to_bytes(&head.bias)?));
        let failed = |reason: String| ScoreError::AdapterFile {
            path: path.to_owned(),
            reason,
        };
        let views = tensors
            .iter()
            .map(|(name, (shape, bytes))| {
                TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view))
            })
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| failed(error.to_string()))?;
        // The header's entries have no fixed order, but with a single entry equal trainings lead to equal files.
        let metadata =
            serde_json::to_string(metadata).map_err(|error| failed(error.to_string()))?;
        let header = HashMap::from([(METADATA.to_owned(), metadata)]);
        let bytes = safetensors::serialize(views, Some(header))
            .map_err(|error| failed(error.to_string()))?;
        write_atomically(path, &bytes).map_err(|error| {
            failed(format!(
                "{error}; is the disk full or the folder read-only?"
            ))
        })
    }

    /// Reads a file written by [`Self::write`], for the connections and ranks of `placement`.
    ///
    /// # Errors
    /// If the file is damaged, or if a tensor is missing, superfluous, of another shape or not finite.
    pub fn read(
        placement: &Placement,
        width: usize,
        path: &Path,
    ) -> std::result::Result<(Self, Head, BTreeMap<String, String>), ScoreError> {
        let failed = |reason: String| ScoreError::AdapterFile {
            path: path.to_owned(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let damaged = |error| failed(format!("it is damaged or truncated ({error})"));
        let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let values = |name: &str, shape: &[usize]| {
            let view = tensors.tensor(name).map_err(|_| {
                failed(format!(
                    "it has no tensor `{name}`; it belongs to another placement"
                ))
            })?;
            if view.dtype() != Dtype::F32 || view.shape() != shape {
                return Err(failed(format!(
                    "tensor `{name}` is {:?} of shape {:?}, but the placement needs F32 of shape {shape:?}; it belongs to another rank or backbone",
                    view.dtype(),
                    view.shape(),
                )));
            }
            let values = from_bytes(view.data());
            if values.iter().any(|value| !value.is_finite()) {
                return Err(failed(format!(
                    "tensor `{name}` contains a value that is not finite; train the placement again"
                )));
            }
            Ok(values)
        };
        let adapters = placement
            .iter()
            .map(|(connection, spec)| {
                let Connection { source, target } = connection;
                Adapter::from_values(connection, spec, width, |name, shape| {
                    values(&format!("{source}-{target}.{name}"), shape)
                })
            })
            .collect::<std::result::Result<Vec<_>, _>>()?;
        if tensors.len() != 4 * adapters.len() + 2 {
            return Err(failed(format!(
                "it contains {} tensors, but {} adapters and a head have {}; it belongs to another placement",
                tensors.len(),
                adapters.len(),
                4 * adapters.len() + 2
            )));
        }
        let classes = tensors
            .tensor("head.bias")
            .map_or(0, |bias| bias.shape().first().copied().unwrap_or_default());
        let head = Head::new(
            &values("head.weight", &[classes, width])?,
            &values("head.bias", &[classes])?,
            width,
        )?;
        let metadata = header.metadata().as_ref().and_then(|all| all.get(METADATA));
        let metadata = match metadata {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| failed(format!("its header is damaged ({error})")))?,
        };
        Ok((Self(adapters), head, metadata))
    }
}

impl FromIterator<Adapter> for Adapters {
    /// Sorts the adapters into canonical order.
    fn from_iter<I: IntoIterator<Item = Adapter>>(adapters: I) -> Self {
        let mut adapters: Vec<Adapter> = adapters.into_iter().collect();
        adapters.sort_by_key(|adapter| adapter.connection);
        Self(adapters)
    }
}

fn to_bytes(tensor: &Tensor) -> Result<(Vec<usize>, Vec<u8>)> {
    let values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
    let bytes = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Ok((tensor.dims().to_vec(), bytes))
}

fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|&value| f32::from_le_bytes(value))
        .collect()
}
