//! Writes a work folder: `work.json` and `work.safetensors`.
//!
//! | tensor | shape | |
//! |---|---|---|
//! | `{train,validation}.ids` | (examples, longest) i64 | text; 0 for padding |
//! | `{train,validation}.mask` | (examples, longest) u8 | text; 1 for a token |
//! | `{train,validation}.pixels` | (examples, channels, height, width) f32 | images, normalised |
//! | `{train,validation}.labels` | (examples) i64 | |
//! | `head.weight`, `head.bias` | (classes, width), (classes) f32 | the fitted linear probe |
//! | `{source}-{target}.down.weight`, `.down.bias` | (rank, width), (rank) f32 | initial values; the others start at zero |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, absolute};
use std::sync::Arc;

use adaplace_backbone::{Device, InputDescription};
use adaplace_scorer::{ProxyScorer, Resources, training_batches};
use adaplace_search_space::{Connection, Placement};
use adaplace_study::chain_shape;
use adaplace_task::{BatchInputs, Examples, evaluation_batches};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use safetensors::tensor::{Dtype, TensorView};

use crate::definitions::{RANK, SEED, WorkName, settings};
use crate::work::{Kind, Modality, Work};

/// The tensors to write by name: type, shape and little-endian bytes.
pub(crate) type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

pub(crate) fn prepare(name: WorkName, shared: &Path, out: &Path, device: Device) -> Result<()> {
    let definition = name.definition(&absolute(shared)?);
    let problem = definition.source.load(SEED)?;
    let (backbone, task) = problem.shared();
    let description = backbone.description();
    let settings = settings();
    let batches =
        |examples: &Examples| evaluation_batches(&examples.lengths(), settings.batch_size.get());
    let map = definition.kind == Kind::GradientMap;
    let work = Work {
        name: name
            .to_possible_value()
            .map_or_else(String::new, |name| name.get_name().to_owned()),
        kind: definition.kind,
        source: definition.source,
        modality: match description.input {
            InputDescription::Text { .. } => Modality::Text,
            InputDescription::Image { .. } => Modality::Images,
        },
        pooling: description.pooling,
        rank: RANK,
        seed: SEED,
        steps: definition.steps,
        settings,
        warm_ups: definition.warm_ups,
        repeats: definition.repeats,
        batches: match map {
            true => batches(&task.train),
            false => {
                let (lengths, size) = (task.train.lengths(), settings.batch_size.get());
                training_batches(lengths, size, definition.steps, SEED, 0)
            }
        },
        validation_batches: if map {
            Vec::new()
        } else {
            batches(&task.validation)
        },
        placements: definition
            .placements
            .pairs(&chain_shape(&backbone, &task))?,
    };

    let resources = Resources {
        device,
        ..Resources::default()
    };
    let scorer = work.scorer(&(Arc::clone(&backbone), Arc::clone(&task)), resources)?;
    let mut tensors = Tensors::new();
    push_examples(&mut tensors, "train", &task.train)?;
    push_examples(&mut tensors, "validation", &task.validation)?;
    let probe = scorer.probe();
    let (classes, width) = (probe.bias.len(), description.width);
    push_f32(
        &mut tensors,
        "head.weight",
        vec![classes, width],
        &probe.weight,
    );
    push_f32(&mut tensors, "head.bias", vec![classes], &probe.bias);
    let connections: BTreeSet<Connection> = work
        .placements(None)?
        .iter()
        .flat_map(Placement::connections)
        .collect();
    for connection in connections {
        push_initial_adapter(&mut tensors, "", &scorer, (connection, RANK), 0)?;
    }

    std::fs::create_dir_all(out).with_context(|| format!("cannot create `{}`", out.display()))?;
    write(&tensors, &out.join("work.safetensors"))?;
    work.write(out)
}

/// Adds the initial tensors of an adapter of this rank in a repetition, with `prefix` before their names.
pub(crate) fn push_initial_adapter(
    tensors: &mut Tensors,
    prefix: &str,
    scorer: &ProxyScorer,
    (connection, rank): (Connection, u16),
    repetition: u32,
) -> Result<()> {
    let adapter = adaplace_search_space::AdapterSpec::new(rank, 1.0)?;
    let parameters = scorer.initial(&Placement::new().with(connection, adapter), repetition);
    for tensor in parameters.tensors() {
        if tensor.name.contains(".down.") {
            let name = format!("{prefix}{}", tensor.name);
            push_f32(tensors, &name, tensor.shape, &tensor.values);
        }
    }
    Ok(())
}

pub(crate) fn push_examples(tensors: &mut Tensors, part: &str, examples: &Examples) -> Result<()> {
    let all: Vec<usize> = (0..examples.len()).collect();
    let batch = examples.batch(&all);
    match batch.inputs {
        BatchInputs::Text {
            lengths,
            ids,
            type_ids,
        } => {
            if type_ids.iter().any(|&id| id != 0) {
                bail!("the benchmarks do not support pairs of texts");
            }
            push_padded(tensors, part, &lengths, &ids);
        }
        BatchInputs::Images { shape, pixels } => {
            push_f32(tensors, &format!("{part}.pixels"), shape.to_vec(), &pixels);
        }
    }
    let labels = batch.labels.classes();
    let labels = labels.context("only classifications are measured")?;
    push_i64(tensors, &format!("{part}.labels"), vec![all.len()], labels);
    Ok(())
}

/// Texts with zeros behind them up to the longest one, and the mask of their tokens, both (texts, tokens).
fn push_padded(tensors: &mut Tensors, part: &str, lengths: &[usize], ids: &[u32]) {
    let tokens = lengths.iter().copied().max().unwrap_or(0);
    let (mut padded, mut mask, mut rest) = (Vec::new(), Vec::new(), ids);
    for &length in lengths {
        let (own, behind) = rest.split_at(length);
        rest = behind;
        let end = padded.len() + tokens;
        padded.extend_from_slice(own);
        padded.resize(end, 0);
        mask.resize(end - tokens + length, 1);
        mask.resize(end, 0);
    }
    let shape = vec![lengths.len(), tokens];
    push_i64(tensors, &format!("{part}.ids"), shape.clone(), &padded);
    tensors.insert(format!("{part}.mask"), (Dtype::U8, shape, mask));
}

fn push_i64(tensors: &mut Tensors, name: &str, shape: Vec<usize>, values: &[u32]) {
    let bytes = values
        .iter()
        .flat_map(|&value| i64::from(value).to_le_bytes());
    tensors.insert(name.to_owned(), (Dtype::I64, shape, bytes.collect()));
}

pub(crate) fn push_f32(tensors: &mut Tensors, name: &str, shape: Vec<usize>, values: &[f32]) {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    tensors.insert(name.to_owned(), (Dtype::F32, shape, bytes.collect()));
}

pub(crate) fn write(tensors: &Tensors, path: &Path) -> Result<()> {
    let mut views = Vec::new();
    for (name, (dtype, shape, bytes)) in tensors {
        views.push((name, TensorView::new(*dtype, shape.clone(), bytes)?));
    }
    let bytes = safetensors::serialize(views, None)?;
    std::fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}
