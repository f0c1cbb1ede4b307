//! The model card at the head of the folder's README, as the hub of Hugging Face reads it.

use std::fmt::Write as _;

/// The name of the file with the drawing.
pub(super) const DRAWING: &str = "placement.svg";

/// What is known about trained adapters. Everything may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Card {
    /// The name of the backbone on the hub.
    pub base_model: Option<String>,
    /// The name of the task, and what the adapters reach on it.
    pub result: Option<CardResult>,
    /// A drawing of the placement, as SVG.
    pub drawing: Option<String>,
}

/// What adapters reach on a task.
#[derive(Debug, Clone, PartialEq)]
pub struct CardResult {
    /// The name of the task.
    pub task: String,
    /// The part of the task, such as `test`.
    pub part: String,
    /// The names and values of the metrics.
    pub metrics: Vec<(String, f64)>,
}

impl Card {
    /// The metadata in YAML, between lines of dashes.
    pub(super) fn metadata(&self, model_type: &str, reads_text: bool) -> String {
        let kind = match reads_text {
            true => "text-classification",
            false => "image-classification",
        };
        let mut text = String::from("---\nlibrary_name: adapters\n");
        if let Some(name) = &self.base_model {
            let _ = writeln!(text, "base_model: {}", quoted(name));
            text.push_str("base_model_relation: adapter\n");
        }
        let _ = writeln!(text, "pipeline_tag: {kind}");
        let _ = write!(
            text,
            "tags:\n- adapters\n- adaplace\n- {}\n",
            quoted(model_type)
        );
        if let Some(CardResult {
            task,
            part,
            metrics,
        }) = &self.result
        {
            let task = quoted(task);
            let _ = write!(
                text,
                "model-index:\n- name: adaplace\n  results:\n  - task:\n      type: {kind}\n    dataset:\n      name: {task}\n      \
                 type: {task}\n      split: {}\n    metrics:\n",
                quoted(part)
            );
            for (name, value) in metrics {
                let _ = write!(text, "    - type: {}\n      value: {value}\n", quoted(name));
            }
        }
        text.push_str("---\n\n");
        text
    }

    /// The results and the picture, for the text below the metadata.
    pub(super) fn section(&self) -> String {
        let mut text = String::new();
        if self.drawing.is_some() {
            let _ = write!(
                text,
                "\n![The adapters over the hidden states]({DRAWING})\n"
            );
        }
        if let Some(result) = &self.result {
            let part = &result.part;
            let _ = write!(text, "\n| {}, {part} part | |\n|---|---|\n", result.task);
            for (name, value) in &result.metrics {
                let _ = writeln!(text, "| {name} | {value:.4} |");
            }
        }
        text
    }
}

/// A text as a scalar of YAML. Every string of JSON is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_left_out() {
        let metadata = Card::default().metadata("bert", true);
        assert_eq!(
            metadata,
            "---\nlibrary_name: adapters\npipeline_tag: text-classification\ntags:\n- adapters\n- adaplace\n- \"bert\"\n---\n\n"
        );
        assert_eq!(Card::default().section(), "");
    }

    /// A name with colons and quotes stays one scalar.
    #[test]
    fn names_are_quoted() {
        let card = Card {
            base_model: Some("org/name".to_owned()),
            result: Some(CardResult {
                task: "a: \"b\"".to_owned(),
                part: "test".to_owned(),
                metrics: vec![("accuracy".to_owned(), 0.9375)],
            }),
            drawing: Some("<svg/>".to_owned()),
        };
        let metadata = card.metadata("vit", false);
        for line in [
            "base_model: \"org/name\"",
            "      name: \"a: \\\"b\\\"\"",
            "    - type: \"accuracy\"\n      value: 0.9375",
        ] {
            assert!(metadata.contains(line), "{metadata}");
        }
        let section = card.section();
        assert!(section.contains("](placement.svg)"), "{section}");
        assert!(section.contains("| accuracy | 0.9375 |"), "{section}");
    }
}
