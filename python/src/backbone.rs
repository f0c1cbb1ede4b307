use std::path::PathBuf;
use std::sync::Arc;

use adaplace_backbone::{Backbone as Frozen, Device, DeviceKind, NotADevice, Pooling, Precision};
use adaplace_hub::backbone_folder;
use adaplace_scorer::Resources;
use adaplace_study::{default_cache_memory, load_backbone};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::named;
use crate::error::OrRaise;

/// A frozen, pre-trained transformer.
///
/// Args:
///     folder: A Hugging Face model folder, or ``org/name`` or ``org/name@revision`` of the hub.
///     pooling: ``"mean"``, ``"cls"`` or ``"last"``. By default it is that of the folder, else the last token of a decoder, the mean
///         of any other text model, and the class token of pictures.
///     precision: The precision to which the operands of frozen products are rounded: ``"f32"``, ``"bf16"``, ``"tf32"``, or
///         ``"auto"``, which is bf16 on a processor with AMX.
///     device: What computes: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` and so on, ``"metal"``, or ``"auto"``, which is a card
///         if this package was built for one and the machine has it.
///
/// Raises:
///     AdaplaceError: If a file is missing or damaged, the architecture is not implemented, or the device cannot be used.
#[pyclass(frozen, module = "adaplace")]
pub(crate) struct Backbone {
    pub(crate) inner: Arc<Frozen>,
    pub(crate) device: Device,
    /// The folder or the name on the hub, as given.
    pub(crate) given: PathBuf,
    /// The folder from which the backbone was read.
    pub(crate) folder: PathBuf,
}

impl Backbone {
    /// The device, and at most this many bytes of cached frozen states.
    pub(crate) fn resources(&self, cache_memory: Option<usize>) -> Resources {
        Resources {
            device: self.device,
            cache_memory: cache_memory
                .or_else(|| default_cache_memory(self.device.kind, &self.inner)),
            side_by_side: None,
        }
    }
}

#[pymethods]
impl Backbone {
    #[new]
    #[pyo3(signature = (folder, *, pooling = None, precision = "auto", device = "auto"))]
    fn new(
        py: Python<'_>,
        folder: PathBuf,
        pooling: Option<&str>,
        precision: &str,
        device: &str,
    ) -> PyResult<Self> {
        let pooling: Option<Pooling> = pooling
            .map(|pooling| named("pooling", pooling))
            .transpose()?;
        let device = match device {
            "auto" => Device::best(),
            other => other
                .parse()
                .map_err(|error: NotADevice| PyValueError::new_err(format!("`device`: {error}")))?,
        };
        device.check().or_raise()?;
        let precision = match precision {
            "auto" if device.kind == DeviceKind::Cpu => Precision::of_machine(),
            "auto" => Precision::F32,
            other => named("precision", other)?,
        };
        let given = folder;
        py.detach(|| {
            let folder = backbone_folder(&given).or_raise()?;
            let inner = load_backbone(&folder, pooling).or_raise()?;
            Ok(Self {
                inner: Arc::new(inner.with_precision(precision)),
                device,
                given,
                folder,
            })
        })
    }

    /// The folder from which the backbone was read.
    #[getter]
    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// The architecture, as named in ``config.json``.
    #[getter]
    fn model_type(&self) -> &str {
        self.inner.description().model_type
    }

    /// The number L of transformer blocks.
    #[getter]
    fn blocks(&self) -> usize {
        self.inner.description().blocks
    }

    /// The number of hidden states h_0 .. h_N, N + 1 = 2 L + 1.
    #[getter]
    fn hidden_states(&self) -> usize {
        self.inner.description().hidden_states
    }

    /// The width d of a hidden state.
    #[getter]
    fn width(&self) -> usize {
        self.inner.description().width
    }

    /// The number of frozen weights.
    #[getter]
    fn parameters(&self) -> usize {
        self.inner.description().parameters
    }

    /// The pooling of the last state into one vector.
    #[getter]
    fn pooling(&self) -> String {
        self.inner.description().pooling.to_string()
    }

    /// The precision to which the operands of frozen products are rounded.
    #[getter]
    fn precision(&self) -> String {
        self.inner.arithmetic().precision.to_string()
    }

    /// What computes.
    #[getter]
    fn device(&self) -> String {
        self.device.to_string()
    }

    /// The hash of the weights, which does not depend on how they are sharded, prefixed or stored.
    #[getter]
    fn weights_sha256(&self) -> &str {
        &self.inner.description().weights_sha256
    }

    fn __repr__(&self) -> String {
        let description = self.inner.description();
        format!(
            "<Backbone {} `{}`: {} hidden states of width {}, {} pooling, {} on {}>",
            description.model_type,
            self.given.display(),
            description.hidden_states,
            description.width,
            description.pooling,
            self.inner.arithmetic().precision,
            self.device
        )
    }
}
