//! The hash of the data for training and validation.

use sha2::{Digest, Sha256};

use crate::{Examples, Inputs, Labels, TokenLabel};

/// The hex SHA-256 of the class names and, for each of `parts`, the labels and encoded inputs. Every list is preceded
/// by its length, so different contents are never written in the same way.
pub(crate) fn fingerprint(classes: &[String], parts: &[&Examples]) -> String {
    let mut hash = Hash(Sha256::new());
    hash.count(classes.len());
    for class in classes {
        hash.bytes(class.as_bytes());
    }
    for part in parts {
        hash.labels(part);
        match &part.inputs {
            Inputs::Text(texts) => {
                hash.bytes(b"text");
                hash.count(texts.texts.len());
                for text in &texts.texts {
                    hash.numbers(&text.ids);
                    hash.numbers(&text.type_ids);
                }
            }
            Inputs::Images(images) => {
                hash.bytes(b"images");
                hash.count(images.height);
                hash.count(images.width);
                hash.bytes(&images.pixels);
                for level in images.levels.as_flattened() {
                    hash.0.update(level.to_bits().to_le_bytes());
                }
            }
        }
    }
    let digest = hash.0.finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Hash(Sha256);

impl Hash {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    /// The labels and weights. A list of classes without weights has no name, as before there were other labels.
    fn labels(&mut self, part: &Examples) {
        match &part.labels {
            Labels::Classes(classes) => self.numbers(classes),
            Labels::Numbers { numbers, .. } => {
                self.bytes(b"numbers");
                self.count(numbers.len());
                for number in numbers {
                    self.0.update(number.to_bits().to_le_bytes());
                }
            }
            Labels::Sets { sets, .. } => {
                self.bytes(b"sets");
                self.count(sets.len());
                for set in sets {
                    self.numbers(set);
                }
            }
            Labels::Tags { tags, .. } => {
                self.bytes(b"tags");
                self.tokens(tags);
            }
            Labels::Completions(tokens) => {
                self.bytes(b"completions");
                self.tokens(tokens);
            }
        }
        let all: Vec<usize> = (0..part.len()).collect();
        if let Some(weights) = part.weights_at(&all) {
            self.bytes(b"weights");
            self.fractions(&weights);
        }
    }

    fn tokens(&mut self, of_examples: &[Vec<TokenLabel>]) {
        self.count(of_examples.len());
        for tokens in of_examples {
            let numbers = tokens.iter().flat_map(|one| [one.token, one.class]);
            self.numbers(&numbers.collect::<Vec<u32>>());
        }
    }

    fn fractions(&mut self, fractions: &[f32]) {
        self.count(fractions.len());
        for fraction in fractions {
            self.0.update(fraction.to_bits().to_le_bytes());
        }
    }

    fn numbers(&mut self, numbers: &[u32]) {
        self.count(numbers.len());
        for number in numbers {
            self.0.update(number.to_le_bytes());
        }
    }
}
