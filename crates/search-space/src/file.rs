//! The placement file, with everything that another program needs to rebuild a placement.

use std::fs;
use std::path::Path;

use adaplace_files::{from_table, from_toml, write_atomically};
use serde::{Deserialize, Serialize};

use crate::{Placement, SpaceError};

/// The format that this version reads and writes.
pub const PLACEMENT_FORMAT: &str = "adaplace.placement/1";

/// A placement together with the backbone it was made for.
///
/// The file also contains its format and the number of passes. Both follow from the placement and are checked when the
/// file is read.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacementFile {
    /// The backbone that the placement was made for.
    pub backbone: BackboneReference,
    /// The properties that all adapters of the placement share.
    pub adapter: AdapterForm,
    /// The connections and their adapters.
    pub placement: Placement,
    /// The origin of the placement (study, seed, strategy, scores ..), which is never needed to rebuild it.
    pub provenance: Option<toml::Table>,
}

/// The properties that identify a backbone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneReference {
    /// The family as named in `config.json`: `bert`, `vit` ..
    pub model_type: String,
    /// The number of hidden states, one more than the number of sublayers.
    pub hidden_states: u16,
    /// The width of every hidden state.
    pub width: u32,
    /// The pooling that turns the last hidden state into one vector: `mean`, `cls` ..
    pub pooling: String,
    /// The SHA-256 of the weights, in hexadecimal.
    pub weights_sha256: String,
}

/// The properties that all adapters of a placement share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterForm {
    /// The function between the two products.
    pub activation: Activation,
    /// The normalisation of the adapter's input.
    pub input_norm: InputNorm,
}

/// The function between the two products of an adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The exact GELU, `x/2 (1 + erf(x / sqrt 2))`.
    #[default]
    Gelu,
}

/// The normalisation of an adapter's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputNorm {
    /// Layer normalisation over the width, without weights.
    #[default]
    LayerNorm,
}

/// The contents of the file.
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
    /// [`SpaceError::Read`], or [`SpaceError::InFile`] with an error of [`PlacementFile::from_toml`].
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
    /// [`SpaceError::Content`] (also for a rank of 0, an unusable scale and a repeated connection),
    /// [`SpaceError::NoAdapter`], [`SpaceError::Passes`] and [`SpaceError::ConnectionOutsideChain`].
    pub fn from_toml(text: &str) -> Result<Self, SpaceError> {
        Self::of(from_toml(text)?)
    }

    /// Checks the placement in a `table`, which is the parsed content of a file.
    ///
    /// # Errors
    /// The errors of [`PlacementFile::from_toml`], without lines.
    pub fn from_table(table: &toml::Table) -> Result<Self, SpaceError> {
        Self::of(from_table(table)?)
    }

    fn of(document: Document) -> Result<Self, SpaceError> {
        let Document {
            format: _,
            passes,
            backbone,
            adapter,
            placement,
            provenance,
        } = document;
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

    /// The TOML form, which reads back equal; floats keep every bit.
    ///
    /// # Errors
    /// [`SpaceError::NoAdapter`], [`SpaceError::ConnectionOutsideChain`] and [`SpaceError::NotWritableAsToml`].
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
    /// [`SpaceError::Write`], or [`SpaceError::InFile`] with an error of [`PlacementFile::to_toml`].
    pub fn write(&self, path: &Path) -> Result<(), SpaceError> {
        let text = self.to_toml().map_err(|problem| problem.in_file(path))?;
        write_atomically(path, text.as_bytes()).map_err(|error| SpaceError::Write {
            path: path.to_owned(),
            error,
        })
    }

    /// The number of forward passes that the placement needs.
    pub fn passes(&self) -> u8 {
        self.placement.passes()
    }

    /// Checks that the placement was made for the backbone `found`.
    ///
    /// # Errors
    /// [`SpaceError::BackboneMismatch`] with both values of the first property that differs.
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
        self.placement.check_range(self.backbone.hidden_states)
    }
}
