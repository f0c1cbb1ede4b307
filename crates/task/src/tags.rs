//! What tags of words mark.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The entities that tags mark.
///
/// Tags such as `B-PER` and `I-PER` mark entities that may have several words (IOB1, IOB2, IOBES or BILOU). A tag without
/// such a prefix marks a single word, as a part of speech does. The tag `O` marks nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagScheme {
    /// Each tag's place in an entity and the number of its type, by class. `None` for the tag that marks nothing.
    tags: Vec<Option<(Place, u32)>>,
}

/// The place of a word in its entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    Begin,
    Inside,
    End,
    Single,
}

/// An entity: some words with the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entity {
    /// The number of its type.
    pub kind: u32,
    /// Its first word.
    pub first: u32,
    /// Its last word.
    pub last: u32,
}

/// The tag that marks nothing.
pub(crate) const OUTSIDE: &str = "O";

impl TagScheme {
    /// The scheme of these tags.
    #[must_use]
    pub fn of(classes: &[String]) -> Self {
        let marks = || classes.iter().filter(|class| *class != OUTSIDE);
        let prefixed = marks().all(|class| split(class).is_some());
        let found: Vec<Option<(Place, &str)>> = classes
            .iter()
            .map(|class| match class == OUTSIDE {
                true => None,
                false => split(class)
                    .filter(|_| prefixed)
                    .or(Some((Place::Single, class))),
            })
            .collect();
        let types: BTreeSet<&str> = found.iter().flatten().map(|(_, kind)| *kind).collect();
        let numbered = |(place, kind): (Place, &str)| {
            let number = types.iter().take_while(|other| **other < kind).count();
            (place, number as u32)
        };
        Self {
            tags: found.iter().map(|one| one.map(numbered)).collect(),
        }
    }

    /// The number of tags.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.tags.len()
    }

    /// The entities of a sequence of words with these classes, as `seqeval` finds them by default: an entity also begins
    /// where the type changes, and where an inside tag follows a word outside. The tags `L` and `U` of BILOU count as `E`
    /// and `S`.
    pub fn entities(&self, classes: impl Iterator<Item = u32>) -> Vec<Entity> {
        let mut found = Vec::new();
        let mut open: Option<Entity> = None;
        let mut before: Option<(Place, u32)> = None;
        for (word, class) in (0..).zip(classes) {
            let tag = self.tags[class as usize];
            if continues(before, tag) {
                if let Some(entity) = &mut open {
                    entity.last = word;
                }
            } else {
                found.extend(open.take());
                open = tag.map(|(_, kind)| Entity {
                    kind,
                    first: word,
                    last: word,
                });
            }
            before = tag;
        }
        found.extend(open);
        found
    }
}

/// Whether a word continues the entity of the word before it.
fn continues(before: Option<(Place, u32)>, tag: Option<(Place, u32)>) -> bool {
    let (Some((before, kind)), Some((place, own))) = (before, tag) else {
        return false;
    };
    kind == own
        && matches!(before, Place::Begin | Place::Inside)
        && matches!(place, Place::Inside | Place::End)
}

/// The place and the type of a tag such as `B-PER`, or `B` if there are no types.
fn split(class: &str) -> Option<(Place, &str)> {
    let (place, kind) = class.split_once('-').unwrap_or((class, ""));
    let place = match place {
        "B" => Place::Begin,
        "I" | "M" => Place::Inside,
        "E" | "L" => Place::End,
        "S" | "U" => Place::Single,
        _ => return None,
    };
    Some((place, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entities of tags, each as type, first and last word.
    fn entities(tags: &[&str]) -> Vec<(u32, u32, u32)> {
        let names: BTreeSet<&str> = tags.iter().copied().collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let class = |tag: &&str| names.iter().position(|name| name == tag).unwrap() as u32;
        let found = TagScheme::of(&names).entities(tags.iter().map(class));
        let parts = |one: &Entity| (one.kind, one.first, one.last);
        found.iter().map(parts).collect()
    }

    #[test]
    fn entities_of_every_scheme_by_hand() {
        // Types are numbered in alphabetic order.
        let iob2 = ["B-LOC", "I-LOC", "O", "B-PER", "B-PER", "I-LOC"];
        assert_eq!(
            entities(&iob2),
            [(0, 0, 1), (1, 3, 3), (1, 4, 4), (0, 5, 5)]
        );
        let iob1 = ["I-LOC", "I-LOC", "B-LOC", "O", "I-LOC"];
        assert_eq!(entities(&iob1), [(0, 0, 1), (0, 2, 2), (0, 4, 4)]);
        let iobes = ["S-X", "S-X", "B-X", "I-X", "E-X", "B-X", "E-X"];
        let expected = [(0, 0, 0), (0, 1, 1), (0, 2, 4), (0, 5, 6)];
        assert_eq!(entities(&iobes), expected);
        let bilou = ["U-X", "U-X", "B-X", "I-X", "L-X", "B-X", "L-X"];
        assert_eq!(entities(&bilou), expected);
        assert_eq!(entities(&["B", "I", "O", "I"]), [(0, 0, 1), (0, 3, 3)]);
    }

    /// Tags without prefixes mark single words, also if some of them look like prefixes.
    #[test]
    fn single_words() {
        let speech = ["DET", "NOUN", "NOUN", "O"];
        assert_eq!(entities(&speech), [(0, 0, 0), (1, 1, 1), (1, 2, 2)]);
        assert_eq!(entities(&["B-X", "I-X", "X"]).len(), 3);
        assert_eq!(entities(&["O", "O"]), []);
    }
}
