//! Predictions for single tokens: tags of words compared with the definition, and completions with plain sums and finite
//! differences, with both arithmetics.

use std::fs;

use adaplace_arithmetic::Arithmetic;
use adaplace_backbone::Backbone;
use adaplace_search_space::Connection;
use adaplace_task::{
    EncodedText, Encoder, Examples, Inputs, Labels, TagScheme, Task, TaskOptions, TextEncoder,
    Texts, TokenLabel,
};
use adaplace_testkit::{TinyGpt2, tiny_gpt2};
use tempfile::TempDir;

use super::{definition, error_of, tensors, values};
use crate::engine::{Engine, Reuse, Shard, Workspace};
use crate::inputs::inputs;
use crate::support::{head, model, noise_values, tiny_bert};
use crate::{
    Dataset, GradientMap, GradientMapSettings, Head, LinearProbe, Measures, Model, Parameters,
    ScoreError, evaluate, features,
};

/// The mean loss of a shard of all examples, and its gradients for each of several models.
fn losses_and_gradients<A: Arithmetic>(
    models: &[&Model<'_, A>],
    examples: &Examples,
) -> Vec<(f64, Parameters)> {
    let engine = Engine::of_group(models, Reuse::UnchangedStates).unwrap();
    let written = engine.written(models).unwrap();
    let rows: Vec<usize> = (0..examples.len()).collect();
    let count = examples.predictions(&rows) as f64;
    let data = Dataset::from(examples);
    let shard = Shard::of_dataset(engine.backbone(), data, &rows, models.len()).unwrap();
    Workspace::with(|workspace| {
        let factor = 1.0 / count as f32;
        let losses = engine.loss_and_gradients(&written, &shard, factor, workspace);
        let losses = engine.arithmetic().numbers(&losses.unwrap()).unwrap();
        let gradients = engine.towards_values(workspace).unwrap();
        let each = engine.group().split(&gradients).into_iter().zip(models);
        let each = each.enumerate().map(|(index, (gradients, model))| {
            let sum: f64 = losses.iter().map(|block| block[index]).sum();
            (sum / count, model.parameters().with_values(gradients))
        });
        each.collect()
    })
}

/// Texts of 3, 5 and 4 tokens with some of them labelled.
fn tagged(labelled: [&[(u32, u32)]; 3]) -> Examples {
    let text = |ids: &[u32]| EncodedText {
        ids: ids.to_vec(),
        type_ids: vec![0; ids.len()],
        cut: false,
    };
    let tokens = |labels: &[(u32, u32)]| {
        let labels = labels.iter();
        labels
            .map(|&(token, class)| TokenLabel { token, class })
            .collect()
    };
    let names = ["B-X", "I-X", "O"].map(str::to_owned);
    Examples {
        inputs: Inputs::Text(Texts {
            texts: vec![
                text(&[2, 11, 3]),
                text(&[2, 40, 9, 17, 3]),
                text(&[2, 8, 30, 3]),
            ],
        }),
        labels: Labels::Tags {
            tags: labelled.map(tokens).to_vec(),
            scheme: TagScheme::of(&names),
        },
        class_weights: None,
    }
}

fn check_tags<A: Arithmetic>(backbone: &Backbone<A>) {
    let some: [&[(u32, u32)]; 3] = [&[(1, 2)], &[(1, 0), (3, 1)], &[(1, 2), (2, 0)]];
    let with_ends: [&[(u32, u32)]; 3] = [&[(0, 1), (2, 0)], &[], &[(3, 2)]];
    for labelled in [some, with_ends] {
        let examples = tagged(labelled);
        let rows = [0, 1, 2];
        let inputs = inputs(&examples, &rows);
        let tokens: Vec<(usize, usize)> = (0..)
            .zip(labelled)
            .flat_map(|(row, labels)| labels.iter().map(move |&(token, _)| (row, token as usize)))
            .collect();
        let classes: Vec<u32> = labelled.concat().iter().map(|&(_, class)| class).collect();
        let first = model(backbone, &[(3, 1), (0, 1), (1, 1), (0, 3), (4, 4)]);
        let second = model(backbone, &[(1, 2)]);
        let models = [&first, &second];
        let found = losses_and_gradients(&models, &examples);
        let of_each = found.iter().zip(models);
        for ((loss, gradients), model) in of_each {
            let definition = definition::of(model);
            let logits = definition.token_logits(&inputs, &tokens, &definition.branches());
            let (expected, by_name) = definition.gradients_of(&logits, &classes);
            assert!(
                (loss - expected).abs() < 1e-5,
                "{loss} is not {expected} for {labelled:?}"
            );
            for tensor in gradients.tensors() {
                let error = error_of(&tensor.values, &values(&by_name[&tensor.name]));
                assert!(error < 1e-4, "{} is {error:e} off", tensor.name);
            }
            let evaluation = evaluate(model, &examples, 2).unwrap();
            assert!((evaluation.loss - expected).abs() < 1e-5);
            let logits: Vec<f32> = values(&logits);
            let right = logits.chunks_exact(3).zip(&classes).filter(|(row, class)| {
                let best = row.iter().copied().fold(f32::MIN, f32::max);
                row[**class as usize] == best
            });
            let accuracy = right.count() as f64 / classes.len() as f64;
            let Measures::Tags(of) = evaluation.measures else {
                panic!("{evaluation:?}");
            };
            assert_eq!(of.token_accuracy, accuracy);
        }
    }
}

#[test]
fn tags_are_read_at_their_tokens() {
    check_tags(&tiny_bert());
}

#[test]
fn tags_are_read_at_their_tokens_as_tensors() {
    check_tags(&tiny_bert().on(tensors()));
}

/// The features of the probe are the last state at the labelled tokens, in the order of the examples.
#[test]
fn a_probe_has_a_row_for_each_labelled_token() {
    let backbone = tiny_bert();
    let examples = tagged([&[(1, 2)], &[(1, 0), (3, 1)], &[(1, 2), (2, 0)]]);
    let frozen = Model::new(&backbone, Parameters::of_head(32, &head())).unwrap();
    let definition = definition::of(&frozen);
    let states = definition.states(&inputs(&examples, &[0, 1, 2]), &[]);
    let last = values(states.last().unwrap());
    let row = |example: usize, token: usize| &last[(example * 5 + token) * 32..][..32];
    let expected = [row(0, 1), row(1, 1), row(1, 3), row(2, 1), row(2, 2)].concat();
    let found = features(&frozen, &examples, 2).unwrap();
    for (found, expected) in found.values().iter().zip(&expected) {
        assert!((found - f64::from(*expected)).abs() < 1e-5);
    }
    let probe = LinearProbe::fit(&found, &found, 3).unwrap();
    let Measures::Tags(of) = probe.validation.measures else {
        panic!("{probe:?}");
    };
    assert_eq!((of.token_accuracy, of.entity_f1), (1.0, 1.0));
}

/// A gradient matrix is a mean over predictions.
#[test]
fn a_map_of_tags_is_a_mean_over_words() {
    let backbone = tiny_bert();
    let frozen = Model::new(&backbone, Parameters::of_head(32, &head())).unwrap();
    let connections = [Connection::new(1, 3)];
    let map = |labelled| {
        let examples = tagged(labelled);
        let settings = GradientMapSettings::default();
        GradientMap::compute(&frozen, &examples, &connections, &settings).unwrap()
    };
    let largest = |labelled| map(labelled).singular_values(connections[0]).unwrap()[0];
    // A label that is given twice counts twice, in the sum and in the number of predictions.
    let once = largest([&[(1, 2)], &[], &[]]);
    let twice = largest([&[(1, 2), (1, 2)], &[], &[]]);
    assert!((once - twice).abs() < 1e-5 * once, "{once} and {twice}");
}

/// A tiny GPT-2 and some completions, encoded for it, and the folder from which its own head is read.
fn completions(gpt2: &TinyGpt2, rows: &[(&str, &str)]) -> (Backbone, Examples, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (of_backbone, task) = (folder.path().join("backbone"), folder.path().join("task"));
    tiny_gpt2(&of_backbone, gpt2);
    fs::create_dir(&task).unwrap();
    let lines: String = rows
        .iter()
        .map(|(prompt, completion)| {
            let row = serde_json::json!({ "prompt": prompt, "completion": completion });
            format!("{row}\n")
        })
        .collect();
    for part in ["train", "validation"] {
        fs::write(task.join(format!("{part}.jsonl")), &lines).unwrap();
    }
    let encoder = TextEncoder::from_folder(&of_backbone, gpt2.vocabulary, 64, 64).unwrap();
    let options = TaskOptions::default();
    let task = Task::load(&task, &Encoder::Text(encoder), &options).unwrap();
    let backbone = Backbone::load(&of_backbone, None).unwrap();
    (backbone, task.train, folder)
}

const ROWS: [(&str, &str); 3] = [
    ("baba dane", " gigi. baba"),
    ("", "dane dane dane"),
    ("kiki, dane baba kiki", " baba"),
];

/// Adapters as after a training, without a head.
fn adapters<'a, A: Arithmetic>(
    backbone: &'a Backbone<A>,
    connections: &[(u16, u16)],
) -> Model<'a, A> {
    let trained = model(backbone, connections);
    let tensors = trained.parameters().tensors();
    let placement = trained.parameters().placement();
    let parameters = Parameters::from_tensors(placement, 32, 0, |name, _| {
        let found = tensors.iter().find(|one| one.name == name);
        Ok::<_, ()>(found.unwrap().values.clone())
    });
    Model::new(backbone, parameters.unwrap()).unwrap()
}

/// The head multiplies the features by the embeddings of the words, or by its own weights.
#[test]
fn completions_are_predicted_by_the_frozen_head() {
    for own_head in [false, true] {
        let gpt2 = TinyGpt2 {
            own_head,
            ..TinyGpt2::default()
        };
        let (backbone, examples, _folder) = completions(&gpt2, &ROWS);
        let Inputs::Text(Texts { texts }) = &examples.inputs else {
            panic!("a language model reads texts");
        };
        // The first word of a completion is predicted at the last token of its prompt, and the end of the text as well.
        assert_eq!(texts[0].ids.len(), 7);
        let tokens: Vec<(u32, u32)> = examples
            .labels
            .tokens(0)
            .unwrap()
            .iter()
            .map(|one| (one.token, one.class))
            .collect();
        let next = |token: usize| (token as u32, texts[0].ids[token + 1]);
        assert_eq!(tokens, [2, 3, 4, 5].map(next));
        let model = adapters(&backbone, &[(1, 2), (0, 0)]);
        let rows = features(&model, &examples, 2).unwrap();
        let words = weights(&gpt2);
        let mut expected = (0.0, 0, 0);
        let labels = examples.labels.of_predictions();
        let classes = labels.classes().unwrap();
        for (features, &class) in rows.values().chunks_exact(32).zip(classes) {
            let logits: Vec<f64> = words
                .chunks_exact(32)
                .map(|word| {
                    let products = word.iter().zip(features).map(|(w, x)| f64::from(*w) * x);
                    products.sum()
                })
                .collect();
            let shares: f64 = logits.iter().map(|logit| logit.exp()).sum();
            expected.0 += shares.ln() - logits[class as usize];
            let best = logits.iter().copied().fold(f64::MIN, f64::max);
            expected.1 += usize::from(logits[class as usize] == best);
            expected.2 += 1;
        }
        let (loss, right, count) = expected;
        let (found, _) = &losses_and_gradients(&[&model], &examples)[0];
        let loss = loss / f64::from(count);
        assert!((found - loss).abs() < 1e-5, "{found} is not {loss}");
        let evaluation = evaluate(&model, &examples, 2).unwrap();
        assert!((evaluation.loss - loss).abs() < 1e-5);
        let Measures::Language(of) = evaluation.measures else {
            panic!("{evaluation:?}");
        };
        assert_eq!(of.token_accuracy, right as f64 / f64::from(count));
        assert!((of.perplexity - loss.exp()).abs() < 1e-3);
    }
}

/// The weights of the head, (vocabulary, width), read from the file.
fn weights(gpt2: &TinyGpt2) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    tiny_gpt2(folder.path(), gpt2);
    let bytes = fs::read(folder.path().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let name = match gpt2.own_head {
        true => "lm_head.weight",
        false => "transformer.wte.weight",
    };
    let (values, _) = file.tensor(name).unwrap().data().as_chunks::<4>();
    values.iter().map(|&one| f32::from_le_bytes(one)).collect()
}

/// The gradient of each tensor along a direction v, compared with (8 F(h) - 8 F(-h) - F(2h) + F(-2h)) / (12 h).
fn check_differences<A: Arithmetic>(backbone: &Backbone<A>, examples: &Examples) {
    let model = adapters(backbone, &[(3, 1), (0, 1), (1, 1), (0, 3), (4, 4)]);
    let other = adapters(backbone, &[(2, 2)]);
    let together = losses_and_gradients(&[&model, &other], examples);
    let alone = losses_and_gradients(&[&other], examples);
    assert!((together[1].0 - alone[0].0).abs() < 1e-6);
    let error = error_of(together[1].1.values(), alone[0].1.values());
    assert!(error < 1e-5, "two models side by side are {error:e} off");
    let gradient = together[0].1.values();
    let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>();
    let step = 0.01;
    for seed in 0..8 {
        let direction = noise_values(gradient.len(), 3.0_f32.sqrt(), 900 + seed);
        let at = |distance: f64| {
            let own = model.parameters().values().iter().zip(&direction);
            let moved = own.map(|(value, by)| value + distance as f32 * by);
            let parameters = model.parameters().with_values(moved.collect());
            let moved = Model::new(backbone, parameters).unwrap();
            losses_and_gradients(&[&moved], examples)[0].0
        };
        let difference =
            (8.0 * (at(step) - at(-step)) - at(2.0 * step) + at(-2.0 * step)) / (12.0 * step);
        let pairs = gradient.iter().zip(&direction);
        let slope: f64 = pairs.map(|(&g, &v)| f64::from(g) * f64::from(v)).sum();
        assert!(
            (difference - slope).abs() < 2e-3 * norm.sqrt() + 2e-4,
            "difference {difference}, slope {slope}"
        );
    }
}

#[test]
fn gradients_of_completions() {
    let (backbone, examples, _folder) = completions(&TinyGpt2::default(), &ROWS);
    check_differences(&backbone, &examples);
    check_differences(&backbone.on(tensors()), &examples);
}

/// 47 rows of 40 tokens are more than are multiplied by 2,508 words at a time.
#[test]
fn a_vocabulary_in_blocks_changes_nothing() {
    let gpt2 = TinyGpt2 {
        vocabulary: 2508,
        ..TinyGpt2::default()
    };
    let completion = " baba dane".repeat(20);
    let rows = [("", completion.as_str()); 47];
    let (backbone, examples, _folder) = completions(&gpt2, &rows);
    let model = adapters(&backbone, &[(1, 2)]);
    let all = losses_and_gradients(&[&model], &examples);
    let one = losses_and_gradients(&[&model], &examples.select(&[0]));
    assert!((all[0].0 - one[0].0).abs() < 1e-5);
    let error = error_of(all[0].1.values(), one[0].1.values());
    assert!(error < 1e-4, "gradients are {error:e} off");
    let (found, expected) = (
        evaluate(&model, &examples, 64).unwrap(),
        evaluate(&model, &examples.select(&[0]), 64).unwrap(),
    );
    assert!((found.loss - expected.loss).abs() < 1e-9);
    assert!((found.loss - all[0].0).abs() < 1e-5);
}

#[test]
fn only_a_decoder_has_a_head_over_its_vocabulary() {
    let backbone = tiny_bert();
    let parameters = Parameters::of_head(32, &Head::zero(0, 32));
    let model = Model::new(&backbone, parameters).unwrap();
    let refused = Engine::new(&model, Reuse::Nothing).err();
    let message = refused.unwrap().to_string();
    assert!(message.contains("it is not a decoder"), "{message}");
}

#[test]
fn labels_need_their_head() {
    let (backbone, examples, _folder) = completions(&TinyGpt2::default(), &ROWS);
    let with_head = model(&backbone, &[(1, 2)]);
    let refused = evaluate(&with_head, &examples, 2).unwrap_err();
    assert!(matches!(refused, ScoreError::OtherHead), "{refused}");
    let without = adapters(&backbone, &[(1, 2)]);
    let refused = evaluate(&without, &tagged([&[(1, 2)]; 3]), 2).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("use the head that the task needs")
    );
}
