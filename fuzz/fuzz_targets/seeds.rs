//! Writes initial inputs to `corpus/TARGET`: valid files, each preceded by the byte that selects it. This is a target
//! itself, because everything that is built with libFuzzer's flags needs libFuzzer.
#![no_main]

use std::fs;
use std::path::Path;

use adaplace_fuzz::{PREPROCESSING, ROWS, STUDY, TOKENIZER, WEIGHTS, pictures, texts};

libfuzzer_sys::fuzz_target!(init: write(), |_input: &[u8]| {});

fn write() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seed = |target: &str, name: &str, content: &[u8]| {
        let folder = here.join("corpus").join(target);
        fs::create_dir_all(&folder).expect("the corpus can be made");
        fs::write(folder.join(name), content).expect("the corpus can be written");
    };
    // Each file is preceded by its index among `names`.
    let chosen = |target: &str, folder: &Path, names: &[&str]| {
        for (index, name) in names.iter().enumerate() {
            if let Ok(mut content) = fs::read(folder.join(name)) {
                content.insert(0, index as u8);
                seed(target, &name.replace('/', "-"), &content);
            }
        }
    };
    let (texts, pictures) = (texts(), pictures());
    chosen("tokenizer", &texts.path().join("backbone"), &TOKENIZER);
    chosen("weights", &texts.path().join("backbone"), &WEIGHTS);
    chosen(
        "preprocessing",
        &pictures.path().join("backbone"),
        &PREPROCESSING,
    );
    let study = here.join("../results/minilm-trec6-single");
    for (index, name) in STUDY.iter().enumerate() {
        let content = fs::read_to_string(study.join(name)).expect("a file of the study");
        // The whole of a long journal is too slow to be mutated.
        let few: String = content
            .lines()
            .take(8)
            .map(|line| format!("{line}\n"))
            .collect();
        let few = if index == 0 { few } else { content };
        seed("study", name, &[&[index as u8], few.as_bytes()].concat());
    }

    let rows = fs::read_to_string(texts.path().join("task/train.jsonl")).expect("rows");
    let few: String = rows
        .lines()
        .take(6)
        .map(|line| format!("{line}\n"))
        .collect();
    seed("rows", "few.jsonl", format!("\0{few}").as_bytes());
    let csv = "text,text_pair,label\nbaba,\"dane \"\"dane\"\"\",1\n\"a\nb\",,0\nbaba;dane,x,2\ndane,y,1\n";
    for index in [1, 2] {
        let content = if ROWS[index] == "tsv" {
            csv.replace(',', "\t")
        } else {
            csv.to_owned()
        };
        let mut bytes = content.into_bytes();
        bytes.insert(0, index as u8);
        seed("rows", ROWS[index], &bytes);
    }
    let parquet = here.join("../crates/task/tests/fixtures/parquet");
    for entry in fs::read_dir(parquet).expect("fixtures").flatten() {
        let mut content = fs::read(entry.path()).expect("a fixture");
        if entry
            .path()
            .extension()
            .is_some_and(|ending| ending == "parquet")
        {
            content.insert(0, 3);
            seed("rows", &entry.file_name().to_string_lossy(), &content);
        }
    }
    for (index, path) in ["train/cross-red/0000.png", "validation/cross-red/0000.png"]
        .iter()
        .enumerate()
    {
        let content = fs::read(pictures.path().join("task").join(path)).expect("a picture");
        seed("pictures", &format!("{index}.png"), &content);
    }
    for folder in [
        "../search-spaces",
        "../results/minilm-trec6-single/placements",
    ] {
        for entry in fs::read_dir(here.join(folder))
            .expect("files of the project")
            .flatten()
        {
            let content = fs::read(entry.path()).expect("a file of the project");
            seed("placement", &entry.file_name().to_string_lossy(), &content);
        }
    }
}
