//! The rotary positions that a configuration describes.

use std::path::Path;
use std::sync::Arc;

use adaplace_arithmetic::Rotation;
use serde_json::{Map, Value};

use crate::BackboneError;
use crate::rotary_scaling::{Llama3, Yarn};

/// A kind of layer whose positions a configuration may describe on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerType {
    /// Every token attends to all others, or to all before it.
    Full,
    /// Every token attends to a window.
    Sliding,
}

impl LayerType {
    /// The type of a block in the list of a configuration, or what is wrong with that.
    pub(crate) fn listed(types: &[String], block: usize) -> Result<Self, String> {
        match types.get(block).map(String::as_str) {
            Some("full_attention") => Ok(Self::Full),
            Some("sliding_attention") => Ok(Self::Sliding),
            Some(other) => Err(other.to_owned()),
            None => Err("too few names".to_owned()),
        }
    }

    /// The error for what is wrong with the list in a configuration.
    pub(crate) fn refuse(path: &Path, found: String) -> BackboneError {
        BackboneError::Setting {
            path: path.to_owned(),
            key: "layer_types",
            found,
            expected: "only `full_attention` and `sliding_attention` are supported".to_owned(),
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Full => "full_attention",
            Self::Sliding => "sliding_attention",
        }
    }
}

const POSITIVE: &str = "the rotary positions need a number above zero";

/// The settings of rotary positions in `config.json`, in the form of transformers 5 (`rope_parameters`, which may differ by
/// the type of a layer) or of earlier versions (`rope_theta` and `rope_scaling`).
pub(crate) struct RotarySettings<'a> {
    pub(crate) path: &'a Path,
    pub(crate) config: &'a Map<String, Value>,
    pub(crate) head_width: usize,
    /// The number of positions.
    pub(crate) positions: usize,
}

/// What earlier versions call the base of one type of layer, and its value if it is missing.
#[derive(Clone, Copy)]
pub(crate) struct Base {
    pub(crate) key: &'static str,
    pub(crate) usual: f64,
    /// Whether `rope_scaling` of earlier versions is meant for it.
    pub(crate) scaled: bool,
}

impl Base {
    /// The only base of most models.
    pub(crate) fn single(usual: f64) -> Self {
        Self {
            key: "rope_theta",
            usual,
            scaled: true,
        }
    }
}

impl RotarySettings<'_> {
    /// The rotation of a type of layer.
    pub(crate) fn rotation(
        &self,
        layer: LayerType,
        base: Base,
    ) -> Result<Arc<Rotation>, BackboneError> {
        let empty = Map::new();
        let object = |value: Option<&Value>| match value {
            Some(Value::Object(object)) => Some(object.clone()),
            _ => None,
        };
        let now = object(self.config.get("rope_parameters"));
        let now = now.map(|all| object(all.get(layer.key())).unwrap_or(all));
        let before = match base.scaled {
            true => object(self.config.get("rope_scaling")),
            false => None,
        };
        let settings = now.or(before).unwrap_or(empty);
        let number = |key: &str| settings.get(key).and_then(Value::as_f64);
        let theta = number("rope_theta")
            .or_else(|| self.config.get(base.key).and_then(Value::as_f64))
            .unwrap_or(base.usual);
        let share = number("partial_rotary_factor")
            .or_else(|| {
                let outer = self.config.get("partial_rotary_factor");
                outer.and_then(Value::as_f64)
            })
            .unwrap_or(1.0);
        let width = (self.head_width as f64 * share) as usize;
        if width == 0 || !width.is_multiple_of(2) || width > self.head_width {
            let expected = "heads need an even number of rotated values";
            return Err(self.refuse("head_dim", self.head_width.to_string(), expected));
        }
        if !(theta.is_finite() && theta > 0.0) {
            return Err(self.refuse(base.key, theta.to_string(), POSITIVE));
        }
        let mut frequencies = Rotation::frequencies(theta, width);
        let factor = self.stretch(&settings, theta, &mut frequencies)?;
        Ok(Arc::new(Rotation::new(
            frequencies,
            factor as f32,
            self.positions,
        )))
    }

    /// Changes the frequencies as the settings say, and returns the factor of the cosines and sines.
    fn stretch(
        &self,
        settings: &Map<String, Value>,
        theta: f64,
        frequencies: &mut [f32],
    ) -> Result<f64, BackboneError> {
        let kind = ["rope_type", "type"].iter();
        let mut kind = kind.filter_map(|key| settings.get(*key).and_then(Value::as_str));
        match kind.next().unwrap_or("default") {
            // The dynamic one begins to stretch behind the positions of the model.
            "default" | "dynamic" => {}
            "linear" => {
                let factor = self.needed(settings, "factor")?;
                for frequency in frequencies {
                    *frequency /= factor as f32;
                }
            }
            "llama3" => {
                let scaled = Llama3 {
                    factor: self.needed(settings, "factor")?,
                    low: self.needed(settings, "low_freq_factor")?,
                    high: self.needed(settings, "high_freq_factor")?,
                    positions: self.needed(settings, "original_max_position_embeddings")?,
                };
                for frequency in frequencies {
                    *frequency = scaled.frequency(*frequency);
                }
            }
            "yarn" => return self.yarn(settings, theta, frequencies),
            other => {
                let expected =
                    "the supported ones are `default`, `linear`, `dynamic`, `llama3` and `yarn`";
                return Err(self.refuse("rope_type", other.to_owned(), expected));
            }
        }
        Ok(1.0)
    }

    fn yarn(
        &self,
        settings: &Map<String, Value>,
        theta: f64,
        frequencies: &mut [f32],
    ) -> Result<f64, BackboneError> {
        let given = |key: &'static str| match settings.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.needed(settings, key).map(Some),
        };
        if theta <= 1.0 {
            let expected = "positions by YaRN need a base above 1";
            return Err(self.refuse("rope_theta", theta.to_string(), expected));
        }
        let positions = given("original_max_position_embeddings")?.unwrap_or(self.positions as f64);
        let factor = given("factor")?.unwrap_or(self.positions as f64 / positions);
        let [fast, slow] = Yarn::TURNS;
        let yarn = Yarn {
            factor,
            positions,
            turns: [
                given("beta_fast")?.unwrap_or(fast),
                given("beta_slow")?.unwrap_or(slow),
            ],
            rounded: settings.get("truncate") != Some(&Value::Bool(false)),
        };
        yarn.stretch(theta, frequencies);
        let weights = (given("mscale")?, given("mscale_all_dim")?);
        Ok(match (given("attention_factor")?, weights) {
            (Some(factor), _) => factor,
            (None, (Some(of_values), Some(of_all))) => {
                Yarn::attention_factor(factor, of_values) / Yarn::attention_factor(factor, of_all)
            }
            (None, _) => Yarn::attention_factor(factor, 1.0),
        })
    }

    fn needed(&self, of: &Map<String, Value>, key: &'static str) -> Result<f64, BackboneError> {
        let found = of.get(key);
        let number = found.and_then(Value::as_f64);
        number.filter(|&number| number > 0.0).ok_or_else(|| {
            let found = found.map_or_else(|| "nothing".to_owned(), Value::to_string);
            self.refuse(key, found, POSITIVE)
        })
    }

    fn refuse(&self, key: &'static str, found: String, expected: &str) -> BackboneError {
        BackboneError::Setting {
            path: self.path.to_owned(),
            key,
            found,
            expected: expected.to_owned(),
        }
    }
}
