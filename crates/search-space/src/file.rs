//! The placement file: everything that another program needs to rebuild a placement.

use std::fs;
use std::path::Path;

use adaplace_files::{from_toml, write_atomically};
use serde::{Deserialize, Serialize};

use crate::{Placement, SpaceError};

/// The format written and read by this version.
pub const PLACEMENT_FORMAT: &str = "adaplace.placement/1";

/// A placement together with the backbone it was made for.
///
/// In the file stand also the format and the number of passes, which follow from the placement and are checked when
/// it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacementFile {
    /// The backbone it was made for.
    pub backbone: BackboneReference,
    /// What all its adapters have in common.
    pub adapter: AdapterForm,
    /// The adapters.
    pub placement: Placement,
    /// Where it comes from (study, seed, strategy, scores ..); never needed to rebuild it.
    pub provenance: Option<toml::Table>,
}

/// What identifies a backbone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneReference {
    /// The family, as in `config.json`: `bert`, `vit` ..
    pub model_type: String,
    /// Number of hidden states, one more than sublayers.
    pub hidden_states: u16,
    /// Width of every hidden state.
    pub width: u32,
    /// How the last hidden state becomes one vector: `mean`, `cls` ..
    pub pooling: String,
    /// SHA-256 of its weights, hexadecimal.
    pub weights_sha256: String,
}

/// What all adapters of a placement have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterForm {
    /// What stands between the two products.
    pub activation: Activation,
    /// What the adapter's input goes through first.
    pub input_norm: InputNorm,
}

/// What stands between the two products of an adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The exact GELU, `x/2 (1 + erf(x / sqrt 2))`.
    #[default]
    Gelu,
}

/// What an adapter's input goes through first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputNorm {
    /// Layer normalisation over the width, without weights.
    #[default]
    LayerNorm,
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    passes: u8,
    backbone: BackboneReference,
    adapter: AdapterForm,
    #[serde(rename = "connection", default)]
    placement: Placement,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provenance: Option<toml::Table>,
}

impl adaplace_files::Document for Document {
    const FORMAT: &'static str = PLACEMENT_FORMAT;
}

impl PlacementFile {
    /// Reads and checks the placement in the file at `path`.
    ///
    /// # Errors
    ///
    /// [`SpaceError::Read`], or [`SpaceError::InFile`] with what [`PlacementFile::from_toml`] found.
    pub fn read(path: &Path) -> Result<Self, SpaceError> {
        let text = fs::read_to_string(path).map_err(|error| SpaceError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::from_toml(&text).map_err(|problem| problem.in_file(path))
    }

    /// Reads and checks the placement in `text`.
    ///
    /// # Errors
    ///
    /// [`SpaceError::Content`] (also for ranks of 0, scales that are not finite and connections given twice),
    /// [`SpaceError::NoAdapter`], [`SpaceError::Passes`] and [`SpaceError::ConnectionOutsideChain`].
    pub fn from_toml(text: &str) -> Result<Self, SpaceError> {
        let Document {
            format: _,
            passes,
            backbone,
            adapter,
            placement,
            provenance,
        } = from_toml(text)?;
        let file = PlacementFile {
            backbone,
            adapter,
            placement,
            provenance,
        };
        file.check()?;
        if passes != file.passes() {
            return Err(SpaceError::Passes {
                found: passes,
                needed: file.passes(),
            });
        }
        Ok(file)
    }

    /// The TOML form, which reads back equal, floats to the last bit.
    ///
    /// # Errors
    ///
    /// [`SpaceError::NoAdapter`], [`SpaceError::ConnectionOutsideChain`], and
    /// [`SpaceError::NotWritableAsToml`].
    pub fn to_toml(&self) -> Result<String, SpaceError> {
        self.check()?;
        let document = Document {
            format: PLACEMENT_FORMAT.to_owned(),
            passes: self.passes(),
            backbone: self.backbone.clone(),
            adapter: self.adapter,
            placement: self.placement.clone(),
            provenance: self.provenance.clone(),
        };
        toml::to_string(&document).map_err(SpaceError::NotWritableAsToml)
    }

    /// Writes the file at `path`, completely or not at all.
    ///
    /// # Errors
    ///
    /// Those of [`PlacementFile::to_toml`], in [`SpaceError::InFile`], and [`SpaceError::Write`].
    pub fn write(&self, path: &Path) -> Result<(), SpaceError> {
        let text = self.to_toml().map_err(|problem| problem.in_file(path))?;
        write_atomically(path, text.as_bytes()).map_err(|error| SpaceError::Write {
            path: path.to_owned(),
            error,
        })
    }

    /// Forward passes that the placement takes.
    pub fn passes(&self) -> u8 {
        self.placement.passes()
    }

    /// Checks that the placement was made for the backbone at hand.
    ///
    /// # Errors
    ///
    /// [`SpaceError::BackboneMismatch`] with both values of the first field that differs.
    pub fn check_backbone(&self, found: &BackboneReference) -> Result<(), SpaceError> {
        let expected = &self.backbone;
        let fields = [
            (
                "model_type",
                expected.model_type.clone(),
                found.model_type.clone(),
            ),
            (
                "hidden_states",
                expected.hidden_states.to_string(),
                found.hidden_states.to_string(),
            ),
            ("width", expected.width.to_string(), found.width.to_string()),
            ("pooling", expected.pooling.clone(), found.pooling.clone()),
            (
                "weights_sha256",
                expected.weights_sha256.clone(),
                found.weights_sha256.clone(),
            ),
        ];
        match fields
            .into_iter()
            .find(|(_, expected, found)| expected != found)
        {
            Some((field, expected, found)) => Err(SpaceError::BackboneMismatch {
                field,
                expected,
                found,
            }),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), SpaceError> {
        if self.placement.is_empty() {
            return Err(SpaceError::NoAdapter);
        }
        let hidden_states = self.backbone.hidden_states;
        let outside = |connection: &crate::Connection| {
            connection.source.max(connection.target) >= hidden_states
        };
        match self.placement.connections().find(outside) {
            Some(connection) => Err(SpaceError::ConnectionOutsideChain {
                connection,
                hidden_states,
            }),
            None => Ok(()),
        }
    }
}
