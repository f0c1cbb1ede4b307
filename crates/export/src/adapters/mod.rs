//! The folder that the library `adapters` (version 1.3, of AdapterHub) loads.
//!
//! The library supports one bottleneck after the attention and one after the MLP of each block. With a LayerNorm at its
//! input (epsilon 1e-5, left at weight 1 and bias 0), gelu and a factor, it equals our adapter if the configuration
//! makes it read from and add to the right place:
//!
//! | backbone | sequential n -> n, n > 0 | parallel n-1 -> n |
//! |---|---|---|
//! | BERT, RoBERTa, XLM-R, ELECTRA, DistilBERT | yes | through an interface |
//! | ViT | yes | yes |
//! | all others but Gemma 3 | through an interface | through an interface |
//!
//! An interface ([`adapters.AdapterModelInterface`](https://docs.adapterhub.ml/plugin_interface.html)) tells the
//! library to which modules to attach its hooks. Without one, its parallel adapter in BERT adds to the input of the
//! LayerNorm, which makes it a different function from ours. The embedding as a target, long-range and recurrent
//! connections, and two adapters at the same sublayer cannot be represented: the library chains the latter, while ours
//! add up.
//!
//! | file | content |
//! |---|---|
//! | `adapter_config.json` | the library's configuration, one bottleneck or the union of several |
//! | `adapter.safetensors` | the tensors, with the library's names |
//! | `adapter_interface.json` | the interface, if one is needed |
//! | `head.safetensors` | `head.weight` (classes, d) and `head.bias` (classes) |
//! | `head_config.json`, `model_head.safetensors` | the head again for the library's own models with heads, if one of them is the same function: pooling by the first token, no interface |
//! | `placement.toml`, `placement.svg` | the exported placement, and a drawing of it |
//! | `README.md` | a model card with instructions for loading the folder |

mod card;
mod config;
mod family;
mod plan;
mod readme;

use adaplace_search_space::PlacementFile;
use serde_json::{Value, json};

pub use self::card::{Card, CardResult};
use self::family::{Family, Native};
use self::plan::Plan;
use crate::weights::{Named, safetensors};
use crate::{
    AdapterWeights, EXPORT_FORMAT, ExportError, ExportedFile, HeadWeights, Library, Predicts,
    Weights,
};

/// The version of the library for which the files are written.
const VERSION: &str = "adapters.1.3.0";

/// The adapter's name in the library. `load_as` can change it.
const NAME: &str = "adaplace";

/// The files of the folder.
///
/// # Errors
/// [`ExportError::NotInAdapters`] with all connections that the library cannot represent,
/// [`ExportError::UnknownFamily`], [`ExportError::HalfBlock`], and [`ExportError::NoWeights`], [`ExportError::Shape`]
/// or [`ExportError::Classes`] if `weights` do not belong to the placement.
pub fn files(
    placement: &PlacementFile,
    weights: &Weights,
    card: &Card,
) -> Result<Vec<ExportedFile>, ExportError> {
    let backbone = &placement.backbone;
    let Some(family) = Family::of(&backbone.model_type) else {
        return Err(ExportError::UnknownFamily {
            library: Library::Adapters,
            model_type: backbone.model_type.clone(),
        });
    };
    let hidden_states = backbone.hidden_states;
    if hidden_states.is_multiple_of(2) {
        return Err(ExportError::HalfBlock { hidden_states });
    }
    let plan = Plan::new(&placement.placement, family)?;
    let width = backbone.width as usize;
    let mut files = vec![
        document(
            "adapter_config.json",
            &adapter_config(placement, weights, &plan, family),
        )?,
        ExportedFile::new(
            "adapter.safetensors",
            tensors(&plan, family, weights, width)?,
        ),
    ];
    if plan.hooked {
        let interface = json!({
            "model_type": backbone.model_type,
            "interface": family.interface,
            "version": VERSION,
        });
        files.push(document("adapter_interface.json", &interface)?);
    }
    if let Some(head) = &weights.head {
        files.push(ExportedFile::new(
            "head.safetensors",
            head_tensors(head, "head", width)?,
        ));
        if let Some(native) = head_of_library(placement, &plan, family) {
            let config = head_config(placement, head, native);
            files.push(document("head_config.json", &config)?);
            let tensors = head_tensors(head, &format!("heads.{NAME}.1"), width)?;
            files.push(ExportedFile::new("model_head.safetensors", tensors));
        }
    }
    files.push(ExportedFile::new("placement.toml", placement.to_toml()?));
    if let Some(drawing) = &card.drawing {
        files.push(ExportedFile::new(card::DRAWING, drawing.as_bytes()));
    }
    let readme = readme::text(placement, weights.head.as_ref(), &plan, family, card);
    files.push(ExportedFile::new("README.md", readme));
    Ok(files)
}

fn adapter_config(
    placement: &PlacementFile,
    weights: &Weights,
    plan: &Plan,
    family: &Family,
) -> Value {
    let backbone = &placement.backbone;
    let blocks = backbone.hidden_states / 2;
    json!({
        "config": config::config(plan, family, blocks, backbone.width),
        "name": NAME,
        "model_type": backbone.model_type,
        "model_class": family.model_class,
        "model_name": Value::Null,
        "hidden_size": backbone.width,
        "version": VERSION,
        "adaplace": {
            "format": EXPORT_FORMAT,
            "placement": placement.placement.hash(),
            "backbone": backbone,
            "trained": weights.head.is_some(),
        },
    })
}

fn tensors(
    plan: &Plan,
    family: &Family,
    weights: &Weights,
    width: usize,
) -> Result<Vec<u8>, ExportError> {
    // The library stores the norm twice, under its own name and as the first of the layers that lead down.
    let (ones, zeros) = (vec![1.0; width], vec![0.0; width]);
    let mut tensors = Vec::new();
    for (connection, adapter, site) in &plan.sites {
        let Some(values) = weights.adapters.get(connection) else {
            return Err(ExportError::NoWeights {
                connection: *connection,
            });
        };
        let AdapterWeights {
            down_weight,
            down_bias,
            up_weight,
            up_bias,
        } = values;
        let rank = usize::from(adapter.rank);
        let prefix = family.prefix(plan.hooked, site.layer, site.location, NAME);
        let mut add = |name: &str, shape: &[usize], values: &[f32]| {
            tensors.push(Named::new(format!("{prefix}.{name}"), shape, values));
        };
        for norm in ["adapter_norm_before", "adapter_down.0"] {
            add(&format!("{norm}.weight"), &[width], &ones);
            add(&format!("{norm}.bias"), &[width], &zeros);
        }
        add("adapter_down.1.weight", &[rank, width], down_weight);
        add("adapter_down.1.bias", &[rank], down_bias);
        add("adapter_up.weight", &[width, rank], up_weight);
        add("adapter_up.bias", &[width], up_bias);
    }
    safetensors(&tensors)
}

/// The library's own class that computes our head, if there is one. It reads the first token of the last state, and its
/// models with heads take no interface.
fn head_of_library<'family>(
    placement: &PlacementFile,
    plan: &Plan,
    family: &'family Family,
) -> Option<&'family Native> {
    let first_token = placement.backbone.pooling == "cls" && !plan.hooked;
    family.native.as_ref().filter(|_| first_token)
}

fn head_config(placement: &PlacementFile, head: &HeadWeights, native: &Native) -> Value {
    let numbered = head.classes.iter().zip(0_usize..);
    let labels: serde_json::Map<String, Value> = numbered
        .map(|(class, number)| (class.clone(), json!(number)))
        .collect();
    let head_type = match (native.head_type, head.predicts) {
        ("classification", Predicts::AnyClasses) => "multilabel_classification",
        (usual, _) => usual,
    };
    let mut config = json!({
        "head_type": head_type,
        "num_labels": head.bias.len(),
        "layers": 1,
        "activation_function": Value::Null,
        "label2id": if labels.is_empty() { Value::Null } else { Value::Object(labels) },
        "use_pooler": false,
        "bias": true,
        "dropout_prob": 0.0,
    });
    if native.head_type == "image_classification" {
        config["multilabel"] = json!(head.predicts == Predicts::AnyClasses);
    }
    json!({
        "config": config,
        "name": NAME,
        "model_type": placement.backbone.model_type,
        "model_class": native.adapter_model_class,
        "model_name": Value::Null,
        "hidden_size": placement.backbone.width,
        "version": VERSION,
    })
}

fn head_tensors(head: &HeadWeights, name: &str, width: usize) -> Result<Vec<u8>, ExportError> {
    let rows = head.bias.len();
    let classes = head.classes.len();
    if classes != 0 && classes != rows {
        return Err(ExportError::Classes { rows, classes });
    }
    safetensors(&[
        Named::new(format!("{name}.weight"), &[rows, width], &head.weight),
        Named::new(format!("{name}.bias"), &[rows], &head.bias),
    ])
}

fn document(name: &'static str, value: &Value) -> Result<ExportedFile, ExportError> {
    Ok(ExportedFile::new(name, format!("{value:#}\n")))
}
