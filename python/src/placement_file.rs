use std::path::PathBuf;

use adaplace_search_space::{BackboneReference as Reference, PlacementFile as Content, SpaceError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert::from_python;
use crate::error::{OrRaise, raise};
use crate::placement::Placement;

/// The properties that identify a backbone.
#[pyclass(frozen, eq, hash, get_all, module = "adaplace", from_py_object)]
#[derive(Clone, PartialEq, Hash)]
pub(crate) struct BackboneReference {
    /// The architecture, as named in ``config.json``.
    model_type: String,
    /// The number of hidden states h_0 .. h_N, N + 1.
    hidden_states: u16,
    /// The width d of a hidden state.
    width: u32,
    /// The pooling of the last state into one vector.
    pooling: String,
    /// The hash of the weights.
    weights_sha256: String,
}

#[pymethods]
impl BackboneReference {
    #[new]
    fn new(
        model_type: String,
        hidden_states: u16,
        width: u32,
        pooling: String,
        weights_sha256: String,
    ) -> Self {
        Self {
            model_type,
            hidden_states,
            width,
            pooling,
            weights_sha256,
        }
    }

    fn __getnewargs__(&self) -> (&str, u16, u32, &str, &str) {
        (
            &self.model_type,
            self.hidden_states,
            self.width,
            &self.pooling,
            &self.weights_sha256,
        )
    }

    fn __repr__(&self) -> String {
        format!(
            "<BackboneReference {}: {} hidden states of width {}, {} pooling, weights {}>",
            self.model_type, self.hidden_states, self.width, self.pooling, self.weights_sha256
        )
    }
}

impl From<Reference> for BackboneReference {
    fn from(reference: Reference) -> Self {
        Self {
            model_type: reference.model_type,
            hidden_states: reference.hidden_states,
            width: reference.width,
            pooling: reference.pooling,
            weights_sha256: reference.weights_sha256,
        }
    }
}

/// A placement and the backbone that it was made for.
///
/// Args:
///     placement: The placement, with at least one adapter.
///     backbone: The backbone that it was made for.
///
/// Raises:
///     AdaplaceError: If there is no adapter, or a connection is outside the backbone.
#[pyclass(frozen, eq, hash, get_all, module = "adaplace")]
#[derive(PartialEq, Hash)]
pub(crate) struct PlacementFile {
    /// The placement.
    placement: Placement,
    /// The backbone that it was made for.
    backbone: BackboneReference,
}

#[pymethods]
impl PlacementFile {
    #[new]
    fn new(placement: Placement, backbone: BackboneReference) -> PyResult<Self> {
        if placement.inner.is_empty() {
            return Err(raise(&SpaceError::NoAdapter));
        }
        placement
            .inner
            .check_range(backbone.hidden_states)
            .or_raise()?;
        Ok(Self {
            placement,
            backbone,
        })
    }

    /// Reads a placement file.
    #[staticmethod]
    fn read(path: PathBuf) -> PyResult<Self> {
        Ok(Content::read(&path).or_raise()?.into())
    }

    /// The parsed content of a placement file, as ``tomllib`` gives it.
    #[staticmethod]
    fn from_document(document: &Bound<'_, PyDict>) -> PyResult<Self> {
        let table: toml::Table = from_python(document)?;
        Ok(Content::from_table(&table).or_raise()?.into())
    }

    fn __getnewargs__(&self) -> (Placement, BackboneReference) {
        (self.placement.clone(), self.backbone.clone())
    }

    fn __repr__(&self) -> String {
        format!(
            "<PlacementFile {}, made for {} `{}`>",
            self.placement.inner, self.backbone.model_type, self.backbone.weights_sha256
        )
    }
}

impl From<Content> for PlacementFile {
    fn from(file: Content) -> Self {
        Self {
            placement: Placement {
                inner: file.placement,
            },
            backbone: file.backbone.into(),
        }
    }
}
