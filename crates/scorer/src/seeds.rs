//! Random generators, one for each purpose.
//!
//! For a given study and repetition, a connection starts from the same adapter and the examples come in the same order
//! in every placement, so comparisons between placements are paired.

use adaplace_search_space::Connection;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The generator of the initial adapter of `connection`.
pub(crate) fn adapter(seed: u64, repetition: u32, connection: Connection) -> ChaCha8Rng {
    let Connection { source, target } = connection;
    generator("adapter", seed, repetition, &[source, target])
}

/// The generator of the order of the training examples.
pub(crate) fn example_order(seed: u64, repetition: u32) -> ChaCha8Rng {
    generator("example-order", seed, repetition, &[])
}

/// A generator seeded by the SHA-256 of purpose, seed, repetition and details, so nearby seeds lead to unrelated
/// streams.
fn generator(purpose: &str, seed: u64, repetition: u32, details: &[u16]) -> ChaCha8Rng {
    let mut hasher = Sha256::new();
    hasher.update(purpose.as_bytes());
    hasher.update([0]);
    hasher.update(seed.to_le_bytes());
    hasher.update(repetition.to_le_bytes());
    for detail in details {
        hasher.update(detail.to_le_bytes());
    }
    ChaCha8Rng::from_seed(hasher.finalize().into())
}
