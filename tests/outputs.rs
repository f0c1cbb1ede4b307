//! What the program prints, word for word. Results are not part of it: their digits are replaced, and other tests derive
//! them.
//!
//! After a change that is meant, `cargo insta review` or `INSTA_UPDATE=always cargo test` takes the new text.

use crate::common::{EVALUATE, Lab, SEARCH, TRAIN};

/// The text with a `0` for every number.
fn without_results(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        let digit = character.is_ascii_digit() || (character == '.' && plain.ends_with('0'));
        match digit {
            true if plain.ends_with('0') => {}
            true => plain.push('0'),
            false => plain.push(character),
        }
    }
    // The sign and the widths of columns depend on the numbers, and not every system tells the memory.
    let words = plain.replace("-0", "0").replace("+0", "0");
    let words = words.replace(
        " with 0 MiB of memory (0 s and 0 MiB expected)",
        " (0 s expected)",
    );
    let lines = words.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn help(command: &str) -> String {
    let lab = Lab::text();
    lab.run(&format!("{command} --help")).succeeded().stdout
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(help(""));
}

#[test]
fn help_of_search() {
    insta::assert_snapshot!(help("search"));
}

#[test]
fn help_of_compare() {
    insta::assert_snapshot!(help("compare"));
}

#[test]
fn inspect() {
    let lab = Lab::text();
    let ended = lab.run("inspect backbone --tokens 32").succeeded();
    let text = without_results(&ended.stdout);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("weights sha"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn search() {
    let lab = Lab::text();
    let ended = lab.run(SEARCH).succeeded();
    // Whether connections are redundant is a result.
    let text = without_results(&ended.stdout);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("nearly redundant"))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn train_and_evaluate() {
    let lab = Lab::text();
    lab.placement("placement.toml", &[(0, 1)], 2, 1.0);
    let trained = lab.run(&format!("{TRAIN} --out trained")).succeeded();
    let evaluated = lab.run(EVALUATE).succeeded();
    insta::assert_snapshot!(without_results(&format!(
        "{}\n{}",
        trained.stdout, evaluated.stdout
    )));
}

#[test]
fn audit() {
    let lab = Lab::text();
    let audit = "audit --backbone backbone --task task --rank 2 --steps 12 --batch-size 8 --train-examples 24";
    let ended = lab.run(audit).succeeded();
    // The order of the predictors is a result.
    let text = without_results(&ended.stdout);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"));
}
