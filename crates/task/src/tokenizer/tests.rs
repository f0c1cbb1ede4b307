use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::rows::{Label, Row, Text};
use crate::{EncodedText, Place, TaskError, TextEncoder};

/// The contents of `tests/fixtures/tokenizers.json`, which `tokenizers_of_folders.py` next to it wrote.
fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A folder with these files and, if none of them is a vocabulary, this `tokenizer.json`.
fn folder(tokenizer: &str, model_type: &str, files: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    let files = files.as_object().unwrap();
    if !files.keys().any(|name| name.starts_with("vocab.")) {
        write("tokenizer.json", tokenizer);
    }
    write(
        "config.json",
        &json!({ "model_type": model_type }).to_string(),
    );
    for (name, content) in files {
        match content {
            Value::String(text) => write(name, text),
            other => write(name, &other.to_string()),
        }
    }
    folder
}

fn encode(encoder: &TextEncoder, text: &str, pair: Option<&str>) -> EncodedText {
    let row = Row {
        place: Place {
            path: "train.jsonl".into(),
            line: Some(1),
        },
        label: Label::One("x".to_owned()),
        content: Text::Plain {
            text: text.to_owned(),
            pair: pair.map(str::to_owned),
        },
    };
    encoder.encode(&[&row]).unwrap().0.texts.remove(0)
}

fn ids(values: &Value) -> Vec<u32> {
    serde_json::from_value(values.clone()).unwrap()
}

#[test]
fn tokens_are_those_of_transformers() {
    let fixture = fixture();
    let length = fixture["max_length"].as_u64().unwrap() as usize;
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() >= 30);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let text = |key: &str| case[key].as_str().unwrap();
        let base = fixture["bases"][text("base")].as_str().unwrap();
        let folder = folder(base, text("model_type"), &case["files"]);
        let encoder = TextEncoder::from_folder(folder.path(), 1_000, 64, length)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let texts = fixture["texts"].as_array().unwrap();
        for (text, expected) in texts.iter().zip(case["texts"].as_array().unwrap()) {
            let text = text.as_str().unwrap();
            let found = encode(&encoder, text, None).ids;
            assert_eq!(found, ids(expected), "{name}: `{text}`");
        }
        for (index, pair) in fixture["pairs"].as_array().unwrap().iter().enumerate() {
            let [first, second] = [&pair[0], &pair[1]].map(|text| text.as_str().unwrap());
            let found = encode(&encoder, first, Some(second));
            assert_eq!(found.ids, ids(&case["pairs"][index]), "{name}: {pair}");
            // MPNet and decoders have no token types.
            if let Some(types) = case.get("pair_types") {
                assert_eq!(found.type_ids, ids(&types[index]), "{name}: {pair}");
            }
        }
    }
}

fn refused(base: &str, model_type: &str, files: Value) -> String {
    let fixture = fixture();
    let base = fixture["bases"][base].as_str().unwrap();
    let folder = folder(base, model_type, &files);
    let error = TextEncoder::from_folder(folder.path(), 1_000, 64, 16).unwrap_err();
    assert!(
        matches!(
            error,
            TaskError::TokenizerSetting { .. } | TaskError::InvalidTokenizer { .. }
        ),
        "{error}"
    );
    error.to_string()
}

/// Covers files that transformers 4 and 5 read differently, and files that cannot be honoured at all.
#[test]
fn files_that_contradict_each_other_are_refused() {
    let of =
        |settings: Value| refused("bert", "bert", json!({ "tokenizer_config.json": settings }));
    for (settings, phrase) in [
        (
            json!({"cls_token": "[MASK]"}),
            "its class puts `[MASK]` and `[SEP]` around texts",
        ),
        (
            json!({"sep_token": {"content": "[X]"}}),
            "`sep_token` is `[X]`, which the vocabulary lacks",
        ),
        (
            json!({"tokenizer_class": "T5Tokenizer"}),
            "`T5Tokenizer` is not supported",
        ),
        (
            json!({"tokenizer_class": "RobertaTokenizer"}),
            "class builds byte-level BPE",
        ),
        (
            json!({"tokenizer_class": 3}),
            "`tokenizer_class` must be a name",
        ),
        (
            json!({"do_lower_case": "no"}),
            "`do_lower_case` must be true or false, not `\"no\"`",
        ),
        (
            json!({"truncation_side": "middle"}),
            "`truncation_side` must be left or right",
        ),
        (
            json!({"added_tokens_decoder": {"7": {"content": "[ENT]"}}}),
            "`[ENT]` has the id 7, but",
        ),
        (
            json!({"added_tokens_decoder": {"x": "[ENT]"}}),
            "has `x` as an id",
        ),
        (
            json!({"additional_special_tokens": [7]}),
            "`7` is not a token",
        ),
    ] {
        let message = of(settings);
        assert!(message.contains(phrase), "{message}");
        assert!(message.contains("tokenizer_config.json`: "), "{message}");
    }
    for (base, settings, phrase) in [
        (
            "llama",
            json!({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "add_bos_token": false}),
            "`add_bos_token` is false here, but `tokenizer.json` adds `<s>`",
        ),
        (
            "gemma",
            json!({"tokenizer_class": "GemmaTokenizer", "eos_token": "<eos>", "add_eos_token": true}),
            "`add_eos_token` is true here, but `tokenizer.json` does not add `<eos>`",
        ),
    ] {
        let message = refused(base, base, json!({ "tokenizer_config.json": settings }));
        assert!(message.contains(phrase), "{message}");
    }
    let prefix = json!({"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true});
    let message = refused(
        "roberta",
        "roberta",
        json!({ "tokenizer_config.json": prefix }),
    );
    assert!(
        message.contains("`add_prefix_space` is true here and false in"),
        "{message}"
    );
    let settings = json!({"tokenizer_config.json": {"add_prefix_space": false}});
    let message = refused("xlm-roberta", "xlm-roberta", settings);
    assert!(
        message.contains("`add_prefix_space` says otherwise"),
        "{message}"
    );
    let message = refused("bert", "bert", json!({"special_tokens_map.json": "[1]"}));
    assert!(
        message.contains("special_tokens_map.json`: it is not a JSON object"),
        "{message}"
    );
    let message = refused("bert", "roberta", json!({"vocab.txt": "a\nb\n"}));
    assert!(
        message.contains("tokenizer.json` cannot be used"),
        "{message}"
    );
}

#[test]
fn the_files_that_decided_are_named() {
    let fixture = fixture();
    let base = fixture["bases"]["bert"].as_str().unwrap();
    let files = json!({"tokenizer_config.json": {"do_lower_case": true}, "sentence_bert_config.json": {"max_seq_length": 5}});
    let folder = folder(base, "bert", &files);
    let encoder = TextEncoder::from_folder(folder.path(), 1_000, 64, 16).unwrap();
    assert_eq!(
        encoder.files(),
        [
            "tokenizer.json",
            "tokenizer_config.json",
            "sentence_bert_config.json"
        ]
    );
}
