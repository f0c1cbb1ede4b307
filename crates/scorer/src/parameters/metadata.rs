use std::collections::BTreeMap;
use std::path::Path;

use adaplace_search_space::PlacementHash;
use adaplace_task::{ProblemKind, Scale};
use serde::{Deserialize, Serialize};

use crate::ScoreError;

/// The origin of trained adapters, as the header of their file tells it. Each entry may be missing.
///
/// The header holds texts: the classes are a JSON array, the scale a JSON object, and the length is written in digits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct Metadata {
    /// The placement that was trained.
    pub placement: Option<PlacementHash>,
    /// The hash of the backbone's weights.
    pub weights_sha256: Option<String>,
    /// The names of the classes, in the order of the head's rows.
    pub classes: Option<Vec<String>>,
    /// The kind of problem, if it is not a classification.
    pub problem: Option<ProblemKind>,
    /// What the numbers that the head predicts were standardised by.
    pub scale: Option<Scale>,
    /// The number of tokens to which texts were cut.
    pub max_length: Option<usize>,
}

const PLACEMENT: &str = "placement";
const WEIGHTS: &str = "weights_sha256";
const CLASSES: &str = "classes";
const PROBLEM: &str = "problem";
const SCALE: &str = "scale";
const MAX_LENGTH: &str = "max_length";

impl Metadata {
    /// Checks that the adapters in the file at `path` were trained for this placement and these weights. Connections and
    /// ranks alone do not reveal adapters of another scale or backbone.
    ///
    /// # Errors
    /// [`ScoreError::AnotherOrigin`] with both values of the first entry that differs.
    pub fn check_origin(
        &self,
        placement: PlacementHash,
        weights_sha256: &str,
        path: &Path,
    ) -> Result<(), ScoreError> {
        let trained_for = self.placement.map(|placement| placement.to_string());
        for (entry, found, expected) in [
            (PLACEMENT, trained_for, placement.to_string()),
            (
                WEIGHTS,
                self.weights_sha256.clone(),
                weights_sha256.to_owned(),
            ),
        ] {
            if let Some(found) = found.filter(|found| *found != expected) {
                return Err(ScoreError::AnotherOrigin {
                    path: path.to_owned(),
                    entry,
                    found,
                    expected,
                });
            }
        }
        Ok(())
    }
}

impl From<Metadata> for BTreeMap<String, String> {
    fn from(metadata: Metadata) -> Self {
        let classes = metadata.classes.map(|classes| {
            serde_json::to_string(&classes).expect("a list of texts can be written as JSON")
        });
        let scale = metadata.scale.map(|scale| {
            serde_json::to_string(&scale).expect("two numbers can be written as JSON")
        });
        let entries = [
            (PLACEMENT, metadata.placement.map(|hash| hash.to_string())),
            (WEIGHTS, metadata.weights_sha256),
            (CLASSES, classes),
            (PROBLEM, metadata.problem.map(|problem| problem.to_string())),
            (SCALE, scale),
            (MAX_LENGTH, metadata.max_length.map(|max| max.to_string())),
        ];
        let given = entries
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        given.collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for Metadata {
    type Error = String;

    fn try_from(mut entries: BTreeMap<String, String>) -> Result<Self, String> {
        let mut take = |key: &'static str| entries.remove(key);
        let damaged = |key: &str, text: &str| format!("`{key}` is `{text}`");
        let metadata = Self {
            placement: take(PLACEMENT)
                .map(|text| text.parse().map_err(|_| damaged(PLACEMENT, &text)))
                .transpose()?,
            weights_sha256: take(WEIGHTS),
            classes: take(CLASSES)
                .map(|text| serde_json::from_str(&text).map_err(|_| damaged(CLASSES, &text)))
                .transpose()?,
            problem: take(PROBLEM)
                .map(|text| text.parse().map_err(|_| damaged(PROBLEM, &text)))
                .transpose()?,
            scale: take(SCALE)
                .map(|text| serde_json::from_str(&text).map_err(|_| damaged(SCALE, &text)))
                .transpose()?,
            max_length: take(MAX_LENGTH)
                .map(|text| text.parse().map_err(|_| damaged(MAX_LENGTH, &text)))
                .transpose()?,
        };
        match entries.keys().next() {
            Some(key) => Err(format!("`{key}` is unknown")),
            None => Ok(metadata),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Metadata {
        Metadata {
            placement: Some("9da5f4b26fbc61ea".parse().unwrap()),
            weights_sha256: Some("ab".repeat(32)),
            classes: Some(vec!["a".to_owned(), "ü\"".to_owned()]),
            problem: None,
            scale: None,
            max_length: Some(64),
        }
    }

    /// A head for numbers says what kind of problem it is for, and their scale.
    #[test]
    fn the_header_of_a_regression() {
        let of_numbers = Metadata {
            problem: Some(ProblemKind::Regression),
            scale: Some(Scale {
                mean: 2.5,
                deviation: 1.5,
            }),
            ..Metadata::default()
        };
        let text = serde_json::to_string(&of_numbers).unwrap();
        let expected = r#"{"problem":"regression","scale":"{\"mean\":2.5,\"deviation\":1.5}"}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Metadata>(&text).unwrap(), of_numbers);
    }

    /// Other programs depend on the names and the forms of the entries.
    #[test]
    fn the_header_has_the_documented_entries_and_reads_back() {
        let text = serde_json::to_string(&example()).unwrap();
        let expected = format!(
            r#"{{"classes":"[\"a\",\"ü\\\"\"]","max_length":"64","placement":"9da5f4b26fbc61ea","weights_sha256":"{}"}}"#,
            "ab".repeat(32)
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Metadata>(&text).unwrap(), example());
        let nothing = Metadata::default();
        assert_eq!(serde_json::to_string(&nothing).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Metadata>("{}").unwrap(), nothing);
    }

    #[test]
    fn entries_that_say_nothing_are_refused() {
        for (key, value, message) in [
            ("placement", "9->2", "`placement` is `9->2`"),
            ("classes", "3", "`classes` is `3`"),
            ("max_length", "-1", "`max_length` is `-1`"),
            ("task", "tiny", "`task` is unknown"),
        ] {
            let entries = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(Metadata::try_from(entries).unwrap_err(), message);
        }
    }

    #[test]
    fn another_origin_is_named_and_a_missing_entry_says_nothing() {
        let (path, own) = (Path::new("adapters.safetensors"), example());
        let placement = own.placement.unwrap();
        let weights = "ab".repeat(32);
        assert!(own.check_origin(placement, &weights, path).is_ok());
        let nothing = Metadata::default();
        assert!(nothing.check_origin(placement, "cd", path).is_ok());
        let other: PlacementHash = "0123456789abcdef".parse().unwrap();
        for (placement, weights, part) in [
            (other, weights.as_str(), "another placement"),
            (placement, "cd", "another weights_sha256"),
        ] {
            let error = own.check_origin(placement, weights, path).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(part), "{message}");
            assert!(message.contains("`adapters.safetensors`"), "{message}");
        }
    }
}
