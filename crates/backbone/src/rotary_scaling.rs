//! How rotary positions are stretched for longer texts than a model was first trained on.

use std::f64::consts::TAU;

/// The frequencies of Llama 3.1: those of long waves are divided by a factor, those of short waves stay, and those between
/// are interpolated.
pub(crate) struct Llama3 {
    pub(crate) factor: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The number of positions of the first training.
    pub(crate) positions: f64,
}

impl Llama3 {
    pub(crate) fn frequency(&self, frequency: f32) -> f32 {
        let wave = TAU / f64::from(frequency);
        let slow = frequency / self.factor as f32;
        if wave > self.positions / self.low {
            return slow;
        }
        if wave < self.positions / self.high {
            return frequency;
        }
        let share = ((self.positions / wave - self.low) / (self.high - self.low)) as f32;
        (1.0 - share) * slow + share * frequency
    }
}

/// The frequencies of YaRN (Peng et al., 2024): those that turn often within the first training's positions stay, those that
/// turn less than about once are divided by the factor, and those between are interpolated along their number.
pub(crate) struct Yarn {
    pub(crate) factor: f64,
    /// The number of positions of the first training.
    pub(crate) positions: f64,
    /// The numbers of turns at which the interpolation begins and ends.
    pub(crate) turns: [f64; 2],
    /// Whether these places are rounded outwards to whole frequencies.
    pub(crate) rounded: bool,
}

impl Yarn {
    /// The usual numbers of turns.
    pub(crate) const TURNS: [f64; 2] = [32.0, 1.0];

    /// Changes the usual frequencies of `base`.
    pub(crate) fn stretch(&self, base: f64, frequencies: &mut [f32]) {
        let width = (2 * frequencies.len()) as f64;
        let place = |turns: f64| width * (self.positions / (turns * TAU)).ln() / (2.0 * base.ln());
        let [mut begin, mut end] = self.turns.map(place);
        if self.rounded {
            (begin, end) = (begin.floor(), end.ceil());
        }
        (begin, end) = (begin.max(0.0), end.min(width - 1.0));
        if begin == end {
            end += 0.001;
        }
        for (number, frequency) in frequencies.iter_mut().enumerate() {
            let share = ((number as f32 - begin as f32) / (end - begin) as f32).clamp(0.0, 1.0);
            *frequency = *frequency / self.factor as f32 * share + *frequency * (1.0 - share);
        }
    }

    /// What cosines and sines are multiplied by when positions are stretched by `factor`, where `weight` is 1 in the paper.
    pub(crate) fn attention_factor(factor: f64, weight: f64) -> f64 {
        match factor > 1.0 {
            true => 0.1 * weight * factor.ln() + 1.0,
            false => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a base of e and a width of 8, turns t within n positions are those of frequency 4 ln(n / (2 pi t)).
    #[test]
    fn frequencies_between_the_turns_are_interpolated() {
        let positions = TAU * 3.0_f64.exp();
        // Places 4 (3 - 2.75) = 1 and 4 (3 - 2.25) = 3, and 1.2 and 2.8, which are rounded to them.
        for (logarithms, rounded) in [([2.75_f64, 2.25], false), ([2.7, 2.3], true)] {
            let yarn = Yarn {
                factor: 4.0,
                positions,
                turns: logarithms.map(f64::exp),
                rounded,
            };
            let mut frequencies = [1.0; 4];
            yarn.stretch(std::f64::consts::E, &mut frequencies);
            for (found, expected) in frequencies.iter().zip([1.0, 1.0, 0.625, 0.25]) {
                assert!((found - expected).abs() < 1e-6, "{frequencies:?}");
            }
        }
        assert_eq!(Yarn::attention_factor(1.0, 1.0), 1.0);
        let of_e = Yarn::attention_factor(std::f64::consts::E, 2.0);
        assert!((of_e - 1.2).abs() < 1e-12);
    }
}
