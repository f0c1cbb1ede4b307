//! The pooling of a text backbone, as sentence-transformers stores it next to the model.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::checkpoint::read_json;
use crate::source::Source;
use crate::{BackboneError, Pooling};

/// The list of a model's modules: the transformer, the pooling and whatever follows.
const MODULES: &str = "modules.json";

/// The folder of the pooling if there is no such list.
const USUAL: &str = "1_Pooling";

const ADVICE: &str = "only `mean`, `cls` and `lasttoken` are supported, and only one of them; choose it with `--pooling`";

/// An entry of `modules.json`.
#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The pooling of a text backbone: the one asked for, else the one in its folder, else the usual one of its family.
pub(crate) fn text_pooling(source: &Source<'_>, usual: Pooling) -> Result<Pooling, BackboneError> {
    if let Some(pooling) = source.pooling {
        return Ok(pooling);
    }
    match configuration(source.folder)? {
        Some(path) => read(&path),
        None => Ok(usual),
    }
}

/// The file that describes the pooling of the model.
fn configuration(folder: &Path) -> Result<Option<PathBuf>, BackboneError> {
    let list = folder.join(MODULES);
    if !list.is_file() {
        let usual = folder.join(USUAL).join("config.json");
        return Ok(usual.is_file().then_some(usual));
    }
    let modules: Vec<Module> = read_json(&list)?;
    let is = |module: &&Module, name: &str| module.kind.rsplit('.').next() == Some(name);
    if let Some(inner) = modules.iter().find(|module| is(module, "Transformer"))
        && !inner.path.is_empty()
    {
        return Err(BackboneError::Setting {
            path: list,
            key: "path",
            found: inner.path.clone(),
            expected:
                "the transformer is in a folder of its own there; use that folder as the backbone"
                    .to_owned(),
        });
    }
    let pooling = modules.iter().find(|module| is(module, "Pooling"));
    Ok(pooling.map(|module| folder.join(&module.path).join("config.json")))
}

fn read(path: &Path) -> Result<Pooling, BackboneError> {
    let config: Map<String, Value> = read_json(path)?;
    let modes = match config.get("pooling_mode") {
        None | Some(Value::Null) => switched_on(&config),
        Some(Value::String(mode)) => vec![mode.clone()],
        Some(Value::Array(modes)) => modes.iter().map(as_text).collect(),
        Some(other) => vec![as_text(other)],
    };
    match modes.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["mean"] => Ok(Pooling::Mean),
        ["cls"] => Ok(Pooling::Cls),
        ["lasttoken"] => Ok(Pooling::Last),
        _ => Err(BackboneError::Setting {
            path: path.to_owned(),
            key: "pooling_mode",
            found: match modes.is_empty() {
                true => "none".to_owned(),
                false => modes.join(", "),
            },
            expected: ADVICE.to_owned(),
        }),
    }
}

fn as_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The pooling modes that are switched on. Up to version 5.3 every mode has a switch: `pooling_mode_cls_token`,
/// `pooling_mode_mean_tokens`, `pooling_mode_max_tokens` ..
fn switched_on(config: &Map<String, Value>) -> Vec<String> {
    let on = config
        .iter()
        .filter(|(_, value)| value.as_bool() == Some(true));
    let mode = |key: &str| {
        let mode = key.strip_prefix("pooling_mode_")?;
        let short = mode.strip_suffix("_tokens").or(mode.strip_suffix("_token"));
        Some(short.unwrap_or(mode).to_owned())
    };
    on.filter_map(|(key, _)| mode(key)).collect()
}
