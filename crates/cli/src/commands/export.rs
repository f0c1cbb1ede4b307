use std::collections::BTreeMap;
use std::path::Path;

use adaplace_export::adapters::{Card, CardResult};
use adaplace_export::json::AdapterFile;
use adaplace_export::{AdapterWeights, HeadWeights, Predicts, Weights, adapters, json, peft};
use adaplace_export::{write_document, write_folder};
use adaplace_report::placement_drawing;
use adaplace_scorer::{Head, Parameters};
use adaplace_search_space::{Connection, PlacementFile};
use adaplace_task::ProblemKind;
use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::origin::trained_parameters;
use super::print;
use super::train::METRICS_FILE;
use crate::Ending;
use crate::arguments::{Export, ExportTarget};

pub(crate) fn run(arguments: &Export) -> Result<Ending> {
    let file = PlacementFile::read(&arguments.placement)?;
    let of_placement = || format!("`{}`", arguments.placement.display());
    match (arguments.to, &arguments.out) {
        (ExportTarget::Peft, _) => {
            Err(peft::refuse(&file.placement)).with_context(of_placement)?;
        }
        (ExportTarget::Json, out) => {
            let adapters = arguments.adapters.as_deref();
            let adapters = adapters.map(|path| described(&file, path)).transpose()?;
            let text = json::document(&file, adapters).with_context(of_placement)?;
            match out {
                None => print(&text)?,
                Some(path) => {
                    write_document(&text, path)?;
                    print(&format!("placement  {}\n", path.display()))?;
                }
            }
        }
        (ExportTarget::Adapters, out) => {
            let path = out
                .as_deref()
                .context("`--out` is missing; name a folder")?;
            let weights = match &arguments.adapters {
                None => untrained(&file, arguments.seed.get()),
                Some(path) => trained(&file, path)?.0,
            };
            let card = card(&file, arguments)?;
            let files = adapters::files(&file, &weights, &card).with_context(of_placement)?;
            write_folder(&files, path)?;
            print(&summary(&file, &weights, path))?;
        }
    }
    Ok(Ending::Finished)
}

/// What is known for the model card. What the adapters reach is in the `metrics.json` that `train` wrote next to them.
fn card(file: &PlacementFile, arguments: &Export) -> Result<Card> {
    let result = match &arguments.adapters {
        None => None,
        Some(path) => {
            let path = path.with_file_name(METRICS_FILE);
            let stored = std::fs::read(&path).ok();
            let parse = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes);
            let stored = stored.map(parse).transpose();
            let stored = stored.with_context(|| format!("`{}` is damaged", path.display()))?;
            stored.and_then(|stored| result(file, &stored))
        }
    };
    Ok(Card {
        base_model: arguments.base_model.clone(),
        result,
        drawing: Some(placement_drawing(
            &file.placement,
            file.backbone.hidden_states,
        )),
    })
}

/// The metrics of a training of this placement on the test part, or on the validation part if there is none.
fn result(file: &PlacementFile, stored: &Value) -> Option<CardResult> {
    if stored["placement"] != file.placement.hash().to_string()
        || stored["backbone"]["weights_sha256"] != file.backbone.weights_sha256
    {
        return None;
    }
    let part = ["test", "validation"]
        .into_iter()
        .find(|part| stored[*part].is_object())?;
    let evaluation = &stored[part];
    let (by_class, numbers, sets) = (
        &evaluation["by_class"],
        &evaluation["numbers"],
        &evaluation["sets"],
    );
    let metrics = [
        ("accuracy", &evaluation["accuracy"]),
        ("balanced_accuracy", &by_class["balanced_accuracy"]),
        ("macro_f1", &by_class["macro_f1"]),
        ("pearson", &numbers["pearson"]),
        ("spearman", &numbers["spearman"]),
        ("r2", &numbers["r2"]),
        ("micro_f1", &sets["micro_f1"]),
        ("macro_f1", &sets["macro_f1"]),
        ("mean_average_precision", &sets["mean_average_precision"]),
        ("loss", &evaluation["loss"]),
    ];
    let metrics = metrics
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.as_f64()?)));
    Some(CardResult {
        task: stored["task"].as_str()?.to_owned(),
        part: part.to_owned(),
        metrics: metrics.collect(),
    })
}

/// The initial adapters of a training with this seed.
fn untrained(file: &PlacementFile, seed: u64) -> Weights {
    let width = file.backbone.width as usize;
    let head = Head::zero(1, width);
    let parameters = Parameters::initial(&file.placement, width, &head, seed, 0);
    Weights {
        adapters: weights(&parameters),
        head: None,
    }
}

/// The trained weights and the metadata of their file.
fn trained(file: &PlacementFile, path: &Path) -> Result<(Weights, AdapterFile)> {
    let (parameters, metadata) = trained_parameters(file, path)?;
    let Head {
        mut weight,
        mut bias,
    } = parameters.head();
    if let Some(scale) = metadata.scale {
        // Other programs expect numbers in the unit of the labels.
        let (mean, deviation) = (scale.mean as f32, scale.deviation as f32);
        weight.iter_mut().for_each(|value| *value *= deviation);
        bias.iter_mut()
            .for_each(|value| *value = *value * deviation + mean);
    }
    let head = HeadWeights {
        predicts: match metadata.problem {
            None | Some(ProblemKind::Classification) => Predicts::OneClass,
            Some(ProblemKind::Regression) => Predicts::Number,
            Some(ProblemKind::MultiLabel) => Predicts::AnyClasses,
            Some(other) => bail!(
                "`{}` was trained for {}, whose head this format does not have; export the placement without it",
                path.display(),
                other.words()
            ),
        },
        weight,
        bias,
        classes: metadata.classes.clone().unwrap_or_default(),
    };
    let described = AdapterFile {
        path: path.display().to_string(),
        classes: head.bias.len(),
        metadata: metadata.into(),
    };
    let weights = Weights {
        adapters: weights(&parameters),
        head: Some(head),
    };
    Ok((weights, described))
}

fn described(file: &PlacementFile, path: &Path) -> Result<AdapterFile> {
    trained(file, path).map(|(_, described)| described)
}

/// The tensors of the adapters, connection by connection.
fn weights(parameters: &Parameters) -> BTreeMap<Connection, AdapterWeights> {
    let mut tensors = parameters.tensors().into_iter();
    let mut next = || tensors.next().map_or_else(Vec::new, |tensor| tensor.values);
    let connections = parameters.connections();
    connections
        .map(|connection| {
            let weights = AdapterWeights {
                down_weight: next(),
                down_bias: next(),
                up_weight: next(),
                up_bias: next(),
            };
            (connection, weights)
        })
        .collect()
}

fn summary(file: &PlacementFile, weights: &Weights, path: &Path) -> String {
    let state = match weights.head {
        None => "untrained",
        Some(_) => "trained",
    };
    format!(
        "{}, {state}\n\nadapters  {}\nloading   {}\n",
        file.placement,
        path.display(),
        path.join("README.md").display()
    )
}
