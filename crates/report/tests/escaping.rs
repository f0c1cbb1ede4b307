//! Every string in the files of a study or comparison stays text in the page. It never becomes an element or attribute.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use adaplace_report::{comparison_report, study_report};
use adaplace_study::StudyError;

/// All characters with a meaning in HTML that may be in the name of a folder.
const NAME: &str = "<script>alert(\"&'\")<b>";

/// [`NAME`] as a string in JSON or TOML.
const QUOTED: &str = "\"<script>alert(\\\"&'\\\")<b>\"";

/// [`NAME`] escaped in HTML.
const SEEN: &str = "&lt;script&gt;alert(&quot;&amp;'&quot;)&lt;b&gt;";

type Report = fn(&Path) -> Result<String, StudyError>;

fn committed(path: &str) -> String {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
    fs::read_to_string(results.join(path)).unwrap()
}

/// The committed study with the audit of its connections, in a folder of that name.
fn study(parent: &Path) -> PathBuf {
    let folder = parent.join(NAME);
    fs::create_dir(&folder).unwrap();
    for file in [
        "study.toml",
        "gradient-map.json",
        "ranking.json",
        "journal.jsonl",
    ] {
        let content = committed(&format!("minilm-trec6-single/{file}"));
        fs::write(folder.join(file), content).unwrap();
    }
    let audit = committed("audit/minilm-trec6/audit.json");
    fs::write(folder.join("audit.json"), audit).unwrap();
    folder
}

/// The number of times that the page shows [`NAME`]; none if the files cannot be read.
#[track_caller]
fn occurrences(folder: &Path, report: Report) -> Option<usize> {
    let page = report(folder).ok()?;
    for part in [NAME, "<script", "alert(\"", "&'", "\"&"] {
        assert!(!page.contains(part), "{part} in the page");
    }
    Some(page.matches(SEEN).count())
}

/// Replaces each string of a file in turn by [`NAME`] and returns the strings for which the page shows it. A journal
/// has the same strings in every line, except for hashes, which no page shows.
fn shown(folder: &Path, file: &str, report: Report) -> BTreeSet<String> {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap();
    let before = occurrences(folder, report);
    assert!(before.is_some(), "{file} as it is");
    let strings = match file.ends_with(".jsonl") {
        true => text.lines().next().unwrap(),
        false => &text,
    };
    let strings: BTreeSet<&str> = strings.split('"').skip(1).step_by(2).collect();
    let is_shown = |string: &&str| {
        let changed = text.replace(&format!("\"{string}\""), QUOTED);
        fs::write(&path, changed).unwrap();
        // Keys and names of a fixed set are rejected, and there is no page.
        occurrences(folder, report) > before
    };
    let shown = strings.into_iter().filter(is_shown);
    let shown = shown.map(str::to_owned).collect();
    fs::write(&path, text).unwrap();
    shown
}

/// Makes [`NAME`] the reason of a failure in the first line of a journal.
fn fail_first(journal: &Path) {
    let text = fs::read_to_string(journal).unwrap();
    let (before, rest) = text.split_once("{\"score\":").unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    let failed = format!("{before}{{\"failed\":{QUOTED}{after}");
    fs::write(journal, failed).unwrap();
}

#[test]
fn a_study_shows_names_as_text() {
    let parent = tempfile::tempdir().unwrap();
    let folder = study(parent.path());
    let page = study_report(&folder).unwrap();
    assert!(page.contains(&format!("<h1>{SEEN}</h1>")), "its own name");
    let settings = shown(&folder, "study.toml", study_report);
    assert!(settings.contains("../shared/backbones/minilm-l6"));
    let map = shown(&folder, "gradient-map.json", study_report);
    assert!(map.contains("bert") && map.contains("trec6"), "{map:?}");
    shown(&folder, "audit.json", study_report);
    shown(&folder, "ranking.json", study_report);
    // The ranking of a finished study would not match.
    fs::remove_file(folder.join("ranking.json")).unwrap();
    fail_first(&folder.join("journal.jsonl"));
    shown(&folder, "journal.jsonl", study_report);
}

#[test]
fn a_comparison_shows_names_as_text() {
    let parent = tempfile::tempdir().unwrap();
    let folder = study(parent.path());
    let settings = committed("minilm-trec6-single/study.toml");
    let (_, sources) = settings.split_once("[backbone]").unwrap();
    let settings = format!(
        "format = 'adaplace.comparison/1'\nstrategies = [{{name = 'random'}}]\n[comparison]\nseed = 0\nseeds = 5\n\
         budget_steps = 4096\nsteps = 64\nproposals = 8\nmetric = 'accuracy'\nstatistic = 'rank'\nrandom_parallel = 16\n\
         final_steps = 512\nlearning_rates = [0.003]\n[backbone]{sources}"
    );
    fs::write(folder.join("comparison.toml"), settings).unwrap();
    let result = folder.join("comparison.json");
    fs::write(&result, committed("compare/minilm-trec6.json")).unwrap();
    let names = shown(&folder, "comparison.json", comparison_report);
    assert!(names.contains("greedy"), "{names:?}");
    let settings = shown(&folder, "comparison.toml", comparison_report);
    assert!(settings.contains("../shared/data/text/trec6"));
    // Without its result it is unfinished.
    fs::remove_file(result).unwrap();
    fail_first(&folder.join("journal.jsonl"));
    shown(&folder, "journal.jsonl", comparison_report);
}
