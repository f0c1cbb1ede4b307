//! The architectures, and how a folder is read by one of them.

use std::path::Path;

use serde::Deserialize;

use crate::checkpoint::read_json;
use crate::source::Source;
use crate::{
    Backbone, BackboneError, Pooling, bert, deberta, decoder, dinov2, dinov3, distilbert, gpt2,
    modernbert, mpnet, starcoder2, timm, tower, vit,
};

/// A function that reads the folder of one architecture.
type Loader = fn(&Source<'_>) -> Result<Backbone, BackboneError>;

/// The implemented architectures by their `model_type`.
const SUPPORTED: &[(&str, Loader)] = &[
    ("bert", bert::load_bert),
    ("distilbert", distilbert::load),
    ("roberta", bert::load_roberta),
    ("xlm-roberta", bert::load_roberta),
    ("electra", bert::load_electra),
    ("mpnet", mpnet::load),
    ("deberta-v2", deberta::load),
    ("vit", vit::load_vit),
    ("deit", vit::load_deit),
    ("dinov2", dinov2::load),
    ("dinov2_with_registers", dinov2::load_with_registers),
    ("clip_vision_model", tower::load_clip),
    ("clip", tower::load_clip),
    ("siglip_vision_model", tower::load_siglip),
    ("siglip", tower::load_siglip),
    ("dinov3_vit", dinov3::load),
    ("modernbert", modernbert::load),
    ("gpt2", gpt2::load),
    ("llama", decoder::load_llama),
    ("mistral", decoder::load_mistral),
    ("qwen2", decoder::load_qwen2),
    ("qwen3", decoder::load_qwen3),
    ("gemma", decoder::load_gemma),
    ("gemma2", decoder::load_gemma2),
    ("gemma3_text", decoder::load_gemma3),
    ("starcoder2", starcoder2::load),
];

#[derive(Deserialize)]
struct ModelType {
    model_type: String,
}

/// The names of an architecture in transformers and in timm.
#[derive(Deserialize)]
struct Names {
    model_type: Option<String>,
    architecture: Option<String>,
}

impl Backbone {
    /// Reads a Hugging Face model folder (`config.json` and safetensors weights, sharded or not), of transformers or timm.
    ///
    /// `pooling` selects the pooling of a text backbone. `None` follows the folder's `1_Pooling/config.json`
    /// (sentence-transformers). If there is no such file, it takes the last token of a decoder and the mean of any other.
    /// Image models are read at their class token, or at the mean of their patches if they have none.
    ///
    /// # Errors
    /// If a file is missing, damaged or contradicts another one, or if the architecture is not implemented. The message
    /// names the file.
    pub fn load(folder: &Path, pooling: Option<Pooling>) -> Result<Self, BackboneError> {
        if !folder.is_dir() {
            return Err(BackboneError::NoFolder {
                path: folder.to_owned(),
            });
        }
        let path = folder.join("config.json");
        let names: Names = read_json(&path)?;
        if names.model_type.is_none() && names.architecture.is_some() {
            return timm::load(&Source {
                model_type: "timm",
                folder,
                config: path,
                pooling,
            });
        }
        let ModelType { model_type } = read_json(&path)?;
        let Some(&(model_type, load)) = SUPPORTED.iter().find(|(name, _)| *name == model_type)
        else {
            return Err(BackboneError::UnknownModelType {
                path,
                found: model_type,
                supported: SUPPORTED.iter().map(|&(name, _)| name).collect(),
            });
        };
        load(&Source {
            model_type,
            folder,
            config: path,
            pooling,
        })
    }
}
