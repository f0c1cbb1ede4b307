//! The README of the exported folder.

use std::fmt::Write as _;

use adaplace_search_space::PlacementFile;

use super::card::Card;
use super::family::Family;
use super::head_of_library;
use super::plan::Plan;
use crate::{HeadWeights, Predicts};

/// How to load the folder, and what to know about it.
pub(super) fn text(
    placement: &PlacementFile,
    head: Option<&HeadWeights>,
    plan: &Plan,
    family: &Family,
    card: &Card,
) -> String {
    let backbone = &placement.backbone;
    let class = family.model_class;
    let mut text = card.metadata(&backbone.model_type, family.reads_text);
    let base_model = card.base_model.as_deref();
    let from = base_model.map_or_else(|| "BACKBONE".to_owned(), |name| format!("\"{name}\""));
    let _ = write!(
        text,
        "# {} of adaplace\n\n\
         {} for a backbone of type `{}` (sha256 of its weights: `{}`), to be loaded by the library\n\
         [adapters](https://docs.adapterhub.ml), version 1.3:\n\n```python\n",
        adapters(placement.placement.len()),
        placement.placement,
        backbone.model_type,
        backbone.weights_sha256,
    );
    if plan.hooked {
        text.push_str("import json\n\n");
    }
    let _ = write!(
        text,
        "import adapters\nfrom transformers import {class}\n\nmodel = {class}.from_pretrained({from})\n"
    );
    text.push_str(if plan.hooked {
        "with open(f\"{FOLDER}/adapter_interface.json\") as file:\n    \
             interface = adapters.AdapterModelInterface(**json.load(file)[\"interface\"])\n\
         adapters.init(model, interface=interface)\n"
    } else {
        "adapters.init(model)\n"
    });
    text.push_str(
        "model.load_adapter(FOLDER, set_active=True, use_safetensors=True)\nmodel.eval()\n```\n\n",
    );
    text.push_str(match head {
        None => "The adapters are untrained, so they change nothing yet.\n",
        Some(_) => "The adapters are trained.\n",
    });
    text.push_str(
        "Further training with the library also trains their layer norms (`adapter_norm_before`), which adaplace leaves at \
         weight 1\nand bias 0; freeze those to stay comparable.\n",
    );
    if let Some(head) = head {
        let pooled = match backbone.pooling.as_str() {
            "cls" => "last_hidden_state[:, 0]",
            "last" => "last_hidden_state[range(len(input_ids)), attention_mask.sum(1) - 1]",
            _ => "(last_hidden_state * mask).sum(1) / mask.sum(1)",
        };
        let _ = write!(
            text,
            "\n`head.safetensors` holds the head: `logits = pooled @ head.weight.T + head.bias`, where\n\
             `pooled = {pooled}`"
        );
        if pooled.contains("* mask") {
            text.push_str(" and `mask = attention_mask.unsqueeze(-1)`");
        }
        text.push_str(".\n");
        text.push_str(match head.predicts {
            Predicts::OneClass => "",
            Predicts::Number => "The logit is the number, in the unit of the labels.\n",
            Predicts::AnyClasses => "An example has the classes whose logits are above 0.\n",
        });
        if !head.classes.is_empty() {
            let _ = writeln!(text, "Its rows are: {}.", head.classes.join(", "));
        }
        if let Some(native) = head_of_library(placement, plan, family) {
            let class = native.adapter_model_class;
            let _ = writeln!(
                text,
                "`adapters.{class}` needs no `adapters.init` and also loads the head with the same `load_adapter`."
            );
        }
    }
    text.push_str(&card.section());
    text
}

fn adapters(count: usize) -> String {
    match count {
        1 => "An adapter".to_owned(),
        count => format!("{count} adapters"),
    }
}
