//! The vision tower of a model of pictures and texts, alone or in a folder with both towers.

use serde_json::{Map, Value};

use crate::BackboneError;
use crate::checkpoint::read_json;
use crate::source::Source;
use crate::vit::Config;

/// The configuration of the tower and the width of its MLP. Keys with the values in `usual`, an object, may be missing.
pub(crate) fn config(source: &Source<'_>, usual: Value) -> Result<(Config, usize), BackboneError> {
    let mut stored: Map<String, Value> = read_json(&source.config)?;
    if let Some(Value::Object(tower)) = stored.remove("vision_config") {
        stored = tower;
    }
    if let Value::Object(usual) = usual {
        for (key, value) in usual {
            stored.entry(key).or_insert(value);
        }
    }
    let damaged = |error| BackboneError::Json {
        path: source.config.clone(),
        source: error,
    };
    let intermediate = stored["intermediate_size"].clone();
    let intermediate = serde_json::from_value(intermediate).map_err(damaged)?;
    let config = serde_json::from_value(Value::Object(stored)).map_err(damaged)?;
    Ok((config, intermediate))
}
