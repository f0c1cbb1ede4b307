//! Tasks that ask for a number or for several classes, from search to evaluation.

use adaplace_scorer::{Metadata, Parameters};
use adaplace_search_space::PlacementFile;
use adaplace_task::ProblemKind;
use adaplace_testkit::{TinyGpt2, tiny_gpt2};
use serde_json::{Value, json};

use crate::common::{EVALUATE, Lab, SEARCH, TRAIN};

/// The lab's text task, with the label that `label` makes of the class and the place of an example.
fn relabelled(label: impl Fn(usize, usize) -> Value) -> Lab {
    let lab = Lab::text();
    for part in ["train", "validation", "test"] {
        let name = format!("task/{part}.jsonl");
        let rows = lab.read(&name);
        let rows = rows.lines().enumerate().map(|(place, row)| {
            let mut row: Value = serde_json::from_str(row).unwrap();
            let class = row["label"].as_str().unwrap().strip_prefix("class-");
            row["label"] = label(class.unwrap().parse().unwrap(), place);
            format!("{row}\n")
        });
        lab.write(&name, rows.collect::<String>());
    }
    lab
}

/// A price that depends on the class, in a unit that no optimiser would like.
fn prices() -> Lab {
    relabelled(|class, place| json!(1e6 + 2e5 * class as f64 + 0.5 * (place % 7) as f64))
}

/// Two words for every class, one of which all share with some others.
fn topics() -> Lab {
    relabelled(|class, place| match place % 5 {
        0 => json!([]),
        1 => json!([format!("topic-{class}"), "odd"]),
        _ => json!([format!("topic-{class}")]),
    })
}

/// Tags that depend on the words alone.
fn names() -> Lab {
    let lab = Lab::text();
    for part in ["train", "validation", "test"] {
        let name = format!("task/{part}.jsonl");
        let rows = lab.read(&name);
        let rows = rows.lines().map(|row| {
            let row: Value = serde_json::from_str(row).unwrap();
            let words: Vec<&str> = row["text"].as_str().unwrap().split_whitespace().collect();
            let begins = |word: &str| word.starts_with(['b', 'd']);
            let tags: Vec<&str> = (0..words.len())
                .map(|place| match (begins(words[place]), place) {
                    (true, 1..) if begins(words[place - 1]) => "I-NAME",
                    (true, _) => "B-NAME",
                    (false, _) => "O",
                })
                .collect();
            format!("{}\n", json!({ "tokens": words, "tags": tags }))
        });
        lab.write(&name, rows.collect::<String>());
    }
    lab
}

/// Prompts whose completion repeats their first word, for a tiny decoder.
fn echoes() -> Lab {
    let lab = Lab::text();
    std::fs::remove_dir_all(lab.path("backbone")).unwrap();
    tiny_gpt2(&lab.path("backbone"), &TinyGpt2::default());
    for part in ["train", "validation", "test"] {
        let name = format!("task/{part}.jsonl");
        let rows = lab.read(&name);
        let rows = rows.lines().map(|row| {
            let row: Value = serde_json::from_str(row).unwrap();
            let prompt = row["text"].as_str().unwrap();
            let first = prompt.split_whitespace().next().unwrap();
            let completion = format!(" {first} {first}");
            format!(
                "{}\n",
                json!({ "prompt": prompt, "completion": completion })
            )
        });
        lab.write(&name, rows.collect::<String>());
    }
    lab
}

/// Searches, trains and evaluates; returns the metrics of the training.
#[track_caller]
fn through_to_evaluation(lab: &Lab, title: &str, others: &[&str]) -> Value {
    let ended = lab.run(&format!("{SEARCH} --out study")).succeeded();
    let page = lab.read("study/report.html");
    assert!(ended.stdout.contains(title), "{title}: {ended:#?}");
    assert!(page.contains(title), "{title} is not in the report");
    let accuracies = page.matches("accuracy").count();
    let of_tokens = page.matches("token accuracy").count();
    assert_eq!(accuracies, of_tokens, "the report names another accuracy");
    for other in others {
        assert!(page.contains(other), "{other} is not in the report");
    }
    std::fs::copy(
        lab.path("study/placements/1.toml"),
        lab.path("placement.toml"),
    )
    .unwrap();
    let metrics = lab
        .run(&format!("{TRAIN} --out trained --json"))
        .succeeded()
        .json();
    let evaluated = lab.run(&format!("{EVALUATE} --json")).succeeded().json();
    for kind in ["sets", "tags"] {
        assert_eq!(evaluated["result"][kind], metrics["test"][kind]);
    }
    let [found, expected] = [&evaluated["result"], &metrics["test"]].map(|one| {
        let loss = one["loss"].as_f64().unwrap();
        (loss * 1e6).round()
    });
    assert_eq!(found, expected);
    metrics
}

#[test]
fn a_number_is_searched_for_trained_and_evaluated() {
    let lab = prices();
    let metrics =
        through_to_evaluation(&lab, "Pearson correlation", &["Spearman correlation", "R2"]);
    let of = &metrics["test"]["numbers"];
    // The error is in the unit of the labels, whose classes are 2e5 apart.
    let error = of["root_mean_squared_error"].as_f64().unwrap();
    assert!((1e3..1e6).contains(&error), "{of}");
    // The loss is the squared error over the variance of the training labels.
    let loss = metrics["test"]["loss"].as_f64().unwrap();
    let rows = lab.read("task/train.jsonl");
    let labels = rows.lines().map(|row| {
        let row: Value = serde_json::from_str(row).unwrap();
        row["label"].as_f64().unwrap()
    });
    let labels: Vec<f64> = labels.collect();
    let mean = labels.iter().sum::<f64>() / labels.len() as f64;
    let squares: f64 = labels.iter().map(|label| (label - mean).powi(2)).sum();
    let expected = (loss * squares / labels.len() as f64).sqrt();
    assert!(
        (error / expected - 1.0).abs() < 1e-9,
        "{error} is not {expected}"
    );
    let placement = lab.read("study/placements/1.toml");
    assert!(placement.contains("validation_pearson"), "{placement}");
    let line = lab.run(EVALUATE).succeeded().stdout;
    assert!(line.contains("root mean squared error"), "{line}");
}

/// The head of a subset predicts on the scale of that subset.
#[test]
fn a_head_for_numbers_keeps_its_scale() {
    let lab = prices();
    lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    let metrics = lab
        .run(&format!("{TRAIN} --train-examples 20 --out trained --json"))
        .succeeded()
        .json();
    let evaluated = lab.run(&format!("{EVALUATE} --json")).succeeded().json();
    let of = |value: &Value| {
        value["numbers"]["root_mean_squared_error"]
            .as_f64()
            .unwrap()
    };
    let (found, expected) = (of(&evaluated["result"]), of(&metrics["test"]));
    assert!(
        (found / expected - 1.0).abs() < 1e-4,
        "{found} is not {expected}"
    );
}

#[test]
fn several_labels_are_searched_for_trained_and_evaluated() {
    let lab = topics();
    let metrics = through_to_evaluation(
        &lab,
        "micro F1",
        &["macro F1", "mean average precision", "exact match"],
    );
    let of = &metrics["test"]["sets"];
    for name in [
        "micro_f1",
        "macro_f1",
        "mean_average_precision",
        "exact_match",
    ] {
        let value = of[name].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value), "{name}: {of}");
    }
    assert_eq!(metrics["classes"].as_array().unwrap().len(), 4);
}

#[test]
fn tags_are_searched_for_trained_and_evaluated() {
    let lab = names();
    let metrics = through_to_evaluation(
        &lab,
        "entity F1",
        &["entity precision", "entity recall", "token accuracy"],
    );
    let of = &metrics["test"]["tags"];
    let value = |name: &str| of[name].as_f64().unwrap();
    let (precision, recall) = (value("entity_precision"), value("entity_recall"));
    let f1 = 2.0 * precision * recall / (precision + recall);
    assert!((value("entity_f1") - f1).abs() < 1e-12, "{of}");
    // The words decide.
    assert!(value("entity_f1") > 0.4, "{of}");
    assert_eq!(metrics["classes"], json!(["B-NAME", "I-NAME", "O"]));
    let placement = lab.read("study/placements/1.toml");
    assert!(placement.contains("validation_entity_f1"), "{placement}");
    let inspected = lab.run("inspect backbone --task task").succeeded().stdout;
    assert!(inspected.contains("task: 3 tags of words"), "{inspected}");
    assert!(inspected.contains("labelled tokens"), "{inspected}");
}

#[test]
fn completions_are_searched_for_trained_and_evaluated() {
    let lab = echoes();
    let metrics = through_to_evaluation(&lab, "token accuracy", &["perplexity"]);
    let of = &metrics["test"]["language"];
    let loss = metrics["test"]["loss"].as_f64().unwrap();
    let perplexity = of["perplexity"].as_f64().unwrap();
    assert!((perplexity / loss.exp() - 1.0).abs() < 1e-9, "{of}");
    assert!(metrics["classes"].is_null() || metrics["classes"] == json!([]));
    // Adapters alone are trained, from the model as it is.
    let page = lab.read("study/report.html");
    assert!(page.contains("frozen model") && !page.contains("linear probe"));
    let file = PlacementFile::read(&lab.path("placement.toml")).unwrap();
    let path = lab.path("trained/adapters.safetensors");
    let width = file.backbone.width as usize;
    let (parameters, _) = Parameters::read(&file.placement, width, &path).unwrap();
    assert_eq!(parameters.classes(), 0);
    let ranking: Value = serde_json::from_str(&lab.read("study/ranking.json")).unwrap();
    let frozen = ranking["probe"]["validation"]["loss"].as_f64().unwrap();
    let trained = metrics["validation"]["loss"].as_f64().unwrap();
    assert!(trained < frozen, "{trained} is not below {frozen}");
}

#[test]
fn every_competitor_and_statistic_takes_tokens() {
    for (lab, title) in [(names(), "entity F1"), (echoes(), "token accuracy")] {
        let compare = "compare --backbone backbone --task task --space space.toml --steps 2 --batch-size 8 --seeds 2 \
            --budget-steps 8 --final-steps 3 --learning-rates 0.01 --random-parallel 2 --gradient-examples 30 \
            --train-examples 30 --proposals 2 --out compared";
        let all = "--strategy random --strategy greedy --strategy surrogate --strategy prune";
        let ended = lab.run(&format!("{compare} {all}")).succeeded();
        for part in [title, "parallel-everywhere", "linear-probe"] {
            assert!(ended.stdout.contains(part), "{part}: {ended:#?}");
        }
        let audit = "audit --backbone backbone --task task --steps 2 --train-examples 30 --sample 12 \
            --gradient-examples 30 --statistic rank,alignment,agreement,validation-alignment --out audited";
        lab.run(audit).succeeded();
    }
}

#[test]
fn a_language_model_needs_a_decoder() {
    let lab = echoes();
    std::fs::remove_dir_all(lab.path("backbone")).unwrap();
    adaplace_testkit::tiny_bert(
        &lab.path("backbone"),
        &adaplace_testkit::TinyBert::default(),
    );
    lab.refuses(
        &format!("{SEARCH} --out study"),
        &[
            "`bert` backbone cannot be used for language modelling",
            "not a decoder",
        ],
    );
}

/// Whole numbers are classes, unless an option or a file beside the data says that they are numbers.
#[test]
fn an_option_or_a_file_says_what_whole_numbers_are() {
    let lab = relabelled(|class, _| json!(class));
    let probe = "probe --backbone backbone --task task --out map.json";
    let classes = lab.run(probe).succeeded().stdout;
    assert!(classes.contains("validation examples right"), "{classes}");
    let numbers = lab
        .run(&format!("{probe} --problem regression"))
        .succeeded();
    assert!(
        numbers.stdout.contains("Pearson correlation"),
        "{numbers:#?}"
    );
    // A study remembers what was asked for.
    lab.run(&format!("{SEARCH} --problem regression --out study"))
        .succeeded();
    assert!(
        lab.read("study/study.toml")
            .contains("problem = \"regression\"")
    );
    let again = lab.run("search --study study/study.toml --out study");
    again.succeeded();
    lab.write("task/task.toml", "problem = \"regression\"\n");
    let inspected = lab.run("inspect backbone --task task").succeeded().stdout;
    assert!(inspected.contains("task: numbers, 1 ±"), "{inspected}");
    assert!(inspected.contains("greatest"), "{inspected}");
}

#[test]
fn every_competitor_and_statistic_takes_a_number() {
    let lab = prices();
    let compare = "compare --backbone backbone --task task --space space.toml --steps 2 --batch-size 8 --seeds 2 \
        --budget-steps 8 --final-steps 3 --learning-rates 0.01 --random-parallel 2 --gradient-examples 30 \
        --train-examples 30 --proposals 2 --out compared";
    let all = "--strategy random --strategy greedy --strategy surrogate --strategy prune";
    let ended = lab.run(&format!("{compare} {all}")).succeeded();
    for title in [
        "Pearson correlation",
        "to random",
        "parallel-everywhere",
        "linear-probe",
    ] {
        assert!(ended.stdout.contains(title), "{title}: {ended:#?}");
    }
    let page = lab.read("compared/report.html");
    assert!(page.contains("test Pearson correlation") && !page.contains("accuracy"));
    let audit = "audit --backbone backbone --task task --steps 2 --train-examples 30 --sample 12 --gradient-examples 30 \
        --out audited";
    lab.run(audit).succeeded();
}

#[test]
fn a_metric_of_another_problem_is_refused() {
    let search = format!("{SEARCH} --metric accuracy --out study");
    prices().refuses(
        &search,
        &[
            "`accuracy` is not a metric of a regression",
            "`spearman` or `r2`",
        ],
    );
    let topics = topics();
    topics.refuses(
        &search,
        &[
            "`accuracy` is not a metric of a multi-label classification",
            "`micro-f1`",
        ],
    );
    let bench = "bench --backbone backbone --task task --space space.toml --out bench";
    topics.refuses(bench, &["a bench tabulates accuracies", "multi-label"]);
}

#[test]
fn adapters_of_another_problem_are_refused() {
    let lab = relabelled(|class, _| json!(class));
    lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    lab.run(&format!("{TRAIN} --problem regression --out trained"))
        .succeeded();
    lab.refuses(
        EVALUATE,
        &["was trained for regression", "--problem regression"],
    );
    lab.run(&format!("{EVALUATE} --problem regression"))
        .succeeded();
}

/// A file that another program wrote may have any head.
#[test]
fn a_head_of_several_rows_for_a_number_is_refused() {
    let lab = relabelled(|class, _| json!(class));
    lab.train();
    lab.write("task/task.toml", "problem = \"regression\"\n");
    let file = PlacementFile::read(&lab.path("placement.toml")).unwrap();
    let path = lab.path("trained/adapters.safetensors");
    let width = file.backbone.width as usize;
    let (parameters, _) = Parameters::read(&file.placement, width, &path).unwrap();
    let header = Metadata {
        problem: Some(ProblemKind::Regression),
        ..Metadata::default()
    };
    parameters.write(&header, &path).unwrap();
    lab.refuses(EVALUATE, &["has a head of 3 rows, but a number takes one"]);
}

/// A class of one in ten counts as much as the other one, which raises its recall.
#[test]
fn balanced_weights_change_the_training() {
    let lab = relabelled(|class, place| {
        json!(if class == 0 && place % 3 == 0 {
            "rare"
        } else {
            "usual"
        })
    });
    let probe = |options: &str| {
        lab.run(&format!(
            "{SEARCH} {options} --strategy random --metric balanced-accuracy --out study{}",
            options.len()
        ))
        .succeeded();
        let ranking: Value =
            serde_json::from_str(&lab.read(&format!("study{}/ranking.json", options.len())))
                .unwrap();
        ranking["probe"]["train"].clone()
    };
    let (equal, balanced) = (probe(""), probe("--class-weights balanced"));
    let recall = |of: &Value| of["by_class"]["balanced_accuracy"].as_f64().unwrap();
    assert!(recall(&balanced) > recall(&equal), "{balanced} and {equal}");
    let lab = prices();
    lab.refuses(
        &format!("{SEARCH} --class-weights balanced --out study"),
        &["is a regression task, but only classes can be weighted"],
    );
}
