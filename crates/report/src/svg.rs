//! Positions and lengths in drawings.

use std::fmt;

/// A position or length in a drawing, in pixels. It is rounded to a tenth, which is not visible.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Px(pub(crate) f64);

impl fmt::Display for Px {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The sum has no negative zero.
        write!(formatter, "{}", (10.0 * self.0).round() / 10.0 + 0.0)
    }
}

/// The corners of a `polyline` or `polygon`.
pub(crate) fn corners(places: impl IntoIterator<Item = (Px, Px)>) -> String {
    let places = places.into_iter().map(|(x, y)| format!("{x},{y}"));
    places.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_a_tenth_at_most() {
        let shown = [0.0, -0.01, 12.0, 12.34, -7.26].map(|number| Px(number).to_string());
        assert_eq!(shown, ["0", "0", "12", "12.3", "-7.3"]);
        assert_eq!(
            corners([(Px(0.0), Px(1.25)), (Px(2.0), Px(3.0))]),
            "0,1.3 2,3"
        );
    }
}
