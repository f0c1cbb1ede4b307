//! Spans of characters as tags of words.

/// Some characters of a text with a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first character.
    pub(super) start: usize,
    /// The one behind the last.
    pub(super) end: usize,
    pub(super) label: String,
}

/// The words of a text and their tags in IOB2. A word is a run of letters and digits, or another character that is not a
/// space, so words do not depend on the spans. A word belongs to the first span that shares a character with it.
pub(super) fn tagged(text: &str, spans: &[Span]) -> (Vec<String>, Vec<String>) {
    let mut spans: Vec<&Span> = spans.iter().collect();
    spans.sort_by_key(|span| (span.start, span.end));
    let mut before: Option<usize> = None;
    let tag = |word: &Word| {
        let shares = |span: &&Span| span.start < word.end && word.start < span.end;
        let found = spans.iter().position(shares);
        let place = match (found, before) {
            (Some(found), Some(before)) if found == before => "I",
            _ => "B",
        };
        before = found;
        found.map_or_else(
            || crate::tags::OUTSIDE.to_owned(),
            |found| format!("{place}-{}", spans[found].label),
        )
    };
    let words = words(text);
    let tags = words.iter().map(tag).collect();
    (words.into_iter().map(|word| word.text).collect(), tags)
}

/// A word and its place in the text, in characters.
struct Word {
    start: usize,
    end: usize,
    text: String,
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut within = false;
    for (place, character) in text.chars().enumerate() {
        let joins = character.is_alphanumeric();
        match words.last_mut() {
            Some(word) if within && joins => {
                word.end = place + 1;
                word.text.push(character);
            }
            _ if !character.is_whitespace() => words.push(Word {
                start: place,
                end: place + 1,
                text: character.to_string(),
            }),
            _ => {}
        }
        within = joins;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: usize, end: usize, label: &str) -> Span {
        let label = label.to_owned();
        Span { start, end, label }
    }

    #[test]
    fn spans_become_tags() {
        let text = "Zoë Baird's visit to New York, NY.";
        let spans = [span(21, 29, "LOC"), span(31, 33, "LOC"), span(0, 9, "PER")];
        let (words, tags) = tagged(text, &spans);
        let expected = [
            ("Zoë", "B-PER"),
            ("Baird", "I-PER"),
            ("'", "O"),
            ("s", "O"),
            ("visit", "O"),
            ("to", "O"),
            ("New", "B-LOC"),
            ("York", "I-LOC"),
            (",", "O"),
            ("NY", "B-LOC"),
            (".", "O"),
        ];
        let found: Vec<(&str, &str)> = words
            .iter()
            .map(String::as_str)
            .zip(tags.iter().map(String::as_str))
            .collect();
        assert_eq!(found, expected);
    }

    /// Two spans side by side are two entities, and half a word is the whole word.
    #[test]
    fn neighbours_and_halves() {
        let (_, tags) = tagged("red blue", &[span(0, 3, "C"), span(4, 6, "C")]);
        assert_eq!(tags, ["B-C", "B-C"]);
    }
}
