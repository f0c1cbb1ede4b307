use std::sync::OnceLock;

/// The rotation of queries and keys by their positions (RoPE: Su et al., 2021).
///
/// The values p and p + P of a head, for p below the number of pairs P, are the coordinates of a point, which is turned by
/// the angle `frequency_p` x position and multiplied by a factor. Values from 2 P on stay as they are.
#[derive(Debug)]
pub struct Rotation {
    pairs: usize,
    angles: Angles,
    factor: f32,
    /// The cosines and sines of [`BLOCK`] positions each, computed when the first of them is needed.
    blocks: Box<[OnceLock<Vec<f32>>]>,
}

#[derive(Debug)]
enum Angles {
    /// The angle of each pair for each position before, in radians.
    Frequencies(Vec<f32>),
    /// The angles of every position, (positions, pairs), in radians.
    Listed(Vec<f32>),
}

/// The number of positions whose angles are computed together.
const BLOCK: usize = 64;

impl Rotation {
    /// The rotation by these frequencies, one for each pair in radians a position, at positions below `positions`.
    #[must_use]
    pub fn new(frequencies: Vec<f32>, factor: f32, positions: usize) -> Self {
        let pairs = frequencies.len();
        Self::by(pairs, Angles::Frequencies(frequencies), factor, positions)
    }

    /// The rotation by these angles in radians, (positions, pairs) by rows.
    #[must_use]
    pub fn by_angles(pairs: usize, angles: Vec<f32>) -> Self {
        let positions = angles.len() / pairs;
        Self::by(pairs, Angles::Listed(angles), 1.0, positions)
    }

    fn by(pairs: usize, angles: Angles, factor: f32, positions: usize) -> Self {
        let blocks = 0..positions.div_ceil(BLOCK);
        Self {
            pairs,
            angles,
            factor,
            blocks: blocks.map(|_| OnceLock::new()).collect(),
        }
    }

    /// The usual frequencies of heads of `width` values: base^(-2 p / width).
    #[must_use]
    pub fn frequencies(base: f64, width: usize) -> Vec<f32> {
        let exponents = (0..width / 2).map(|pair| (2 * pair) as f32 / width as f32);
        exponents
            .map(|exponent| 1.0 / (base as f32).powf(exponent))
            .collect()
    }

    /// The number of pairs P.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// The cosines and the sines at a position, P each, times the factor.
    ///
    /// # Panics
    /// If the position is not below the number of positions.
    #[must_use]
    pub fn at(&self, position: usize) -> (&[f32], &[f32]) {
        let pairs = self.pairs();
        let block = position / BLOCK;
        let values = self.blocks[block].get_or_init(|| self.block(block * BLOCK));
        values[position % BLOCK * 2 * pairs..][..2 * pairs].split_at(pairs)
    }

    fn block(&self, begin: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(BLOCK * 2 * self.pairs);
        let factor = f64::from(self.factor);
        for position in begin..begin + BLOCK {
            let angles = self.angles(position);
            values.extend(angles.iter().map(|angle| (angle.cos() * factor) as f32));
            values.extend(angles.iter().map(|angle| (angle.sin() * factor) as f32));
        }
        values
    }

    /// The angles at a position. There are none behind the last listed one.
    fn angles(&self, position: usize) -> Vec<f64> {
        match &self.angles {
            // The angle is rounded to f32 as it is in the models' own training.
            Angles::Frequencies(frequencies) => frequencies
                .iter()
                .map(|frequency| f64::from(frequency * position as f32))
                .collect(),
            Angles::Listed(angles) => angles
                .chunks_exact(self.pairs)
                .nth(position)
                .map(|angles| angles.iter().copied().map(f64::from).collect())
                .unwrap_or_default(),
        }
    }

    /// Turns the rows of some heads at a position.
    #[inline(always)]
    pub(crate) fn turn(&self, position: usize, head: &mut [f32]) {
        let (cosines, sines) = self.at(position);
        let (first, rest) = head.split_at_mut(self.pairs());
        for (((x, y), &cosine), &sine) in first.iter_mut().zip(rest).zip(cosines).zip(sines) {
            (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
        }
    }

    /// Replaces the gradient with respect to a turned head by the one with respect to the head.
    #[inline(always)]
    pub(crate) fn turn_backward(&self, position: usize, gradient: &mut [f32]) {
        let (cosines, sines) = self.at(position);
        let (first, rest) = gradient.split_at_mut(self.pairs());
        for (((x, y), &cosine), &sine) in first.iter_mut().zip(rest).zip(cosines).zip(sines) {
            (*x, *y) = (*x * cosine + *y * sine, *y * cosine - *x * sine);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::FRAC_PI_2;

    /// A quarter turn at position 1, and none at 0. The last value is in no pair.
    #[test]
    fn quarter_turns_by_hand() {
        let rotation = Rotation::new(vec![FRAC_PI_2, 0.0], 2.0, 4);
        let turned = |position| {
            let mut head = [1.0, 2.0, 3.0, 4.0, 5.0];
            rotation.turn(position, &mut head);
            head
        };
        let close = |found: [f32; 5], expected: [f32; 5]| {
            let pairs = found.iter().zip(expected);
            assert!(
                pairs.clone().all(|(x, y)| (x - y).abs() < 1e-5),
                "{found:?}"
            );
        };
        close(turned(0), [2.0, 4.0, 6.0, 8.0, 5.0]);
        close(turned(1), [-6.0, 4.0, 2.0, 8.0, 5.0]);
        let mut gradient = [1.0, 2.0, 3.0, 4.0, 5.0];
        rotation.turn_backward(1, &mut gradient);
        close(gradient, [6.0, 4.0, -2.0, 8.0, 5.0]);
    }

    #[test]
    fn listed_angles_are_those_of_frequencies() {
        let frequencies = Rotation::frequencies(100.0, 6);
        let angles = (0..70).flat_map(|position| {
            let frequencies = frequencies.iter();
            frequencies.map(move |frequency| frequency * position as f32)
        });
        let listed = Rotation::by_angles(3, angles.collect());
        let computed = Rotation::new(frequencies, 1.0, 70);
        for position in 0..70 {
            assert_eq!(listed.at(position), computed.at(position));
        }
    }

    /// Products of turned heads depend on the distance alone, also across the borders of blocks.
    #[test]
    fn scores_depend_on_the_distance() {
        let rotation = Rotation::new(Rotation::frequencies(10_000.0, 8), 1.0, 300);
        let head = |seed: f32| -> Vec<f32> { (0..8).map(|i| (seed + i as f32).sin()).collect() };
        let score = |query: usize, key: usize| -> f32 {
            let (mut q, mut k) = (head(0.3), head(1.7));
            rotation.turn(query, &mut q);
            rotation.turn(key, &mut k);
            q.iter().zip(&k).map(|(q, k)| q * k).sum()
        };
        let near = score(5, 2);
        for shift in [1, 60, 63, 290] {
            assert!((score(5 + shift, 2 + shift) - near).abs() < 1e-4);
        }
        assert!((score(6, 2) - near).abs() > 1e-2);
    }
}
