//! The colours of maps, in pages and in the terminal: viridis, from dark blue through green to yellow. Its lightness
//! rises evenly, so that it is readable in greyscale and without colour vision.

/// Nine points of viridis, evenly spread.
const POINTS: [[u8; 3]; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// The position of a value between the lowest (0) and the highest (1); 0 if all are equal.
#[must_use]
pub fn position(value: f64, lowest: f64, highest: f64) -> f64 {
    match highest > lowest {
        true => (value - lowest) / (highest - lowest),
        false => 0.0,
    }
}

/// The colour at a position from 0 to 1: red, green and blue in sRGB.
#[must_use]
pub fn colour(position: f64) -> [u8; 3] {
    let place = position.clamp(0.0, 1.0) * (POINTS.len() - 1) as f64;
    let below = (place as usize).min(POINTS.len() - 2);
    let part = place - below as f64;
    std::array::from_fn(|channel| {
        let from = f64::from(POINTS[below][channel]);
        let to = f64::from(POINTS[below + 1][channel]);
        (from + part * (to - from)).round() as u8
    })
}

/// Whether black is more readable than white on the colour: its luma (ITU-R BT.601) is above 140 of 255.
#[must_use]
pub fn is_light(colour: [u8; 3]) -> bool {
    luma(colour) > 140.0
}

fn luma(colour: [u8; 3]) -> f64 {
    let [red, green, blue] = colour.map(f64::from);
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_shares_of_the_range() {
        assert_eq!(position(3.0, 1.0, 5.0), 0.5);
        assert_eq!(position(2.0, 2.0, 2.0), 0.0);
    }

    #[test]
    fn points_are_met_and_mixed_between() {
        assert_eq!(colour(0.0), [68, 1, 84]);
        assert_eq!(colour(0.5), [33, 144, 141]);
        assert_eq!(colour(2.0), [253, 231, 37]);
        // Half-way between the first two: 69.5, 22.5, 103.
        assert_eq!(colour(1.0 / 16.0), [70, 23, 103]);
    }

    #[test]
    fn it_becomes_lighter_all_the_way() {
        let lumas: Vec<f64> = (0..=80)
            .map(|step| luma(colour(f64::from(step) / 80.0)))
            .collect();
        assert!(lumas.is_sorted());
        assert!(!is_light(colour(0.0)) && is_light(colour(1.0)));
    }
}
