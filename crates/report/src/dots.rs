//! Single values behind curves.

use crate::legend::Key;
use crate::numbers::grouped;
use crate::thinning::{evenly, fences};

/// Single values. If there are many, only some are drawn. Outliers are omitted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dots {
    /// Name and colour.
    pub(crate) key: Key,
    /// The values.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Dots {
    /// An even choice of the dots, and the number of omitted outliers.
    pub(crate) fn chosen(&self) -> (Vec<(f64, f64)>, usize) {
        let fences = fences(self.points.iter().map(|&(_, y)| y));
        let inside: Vec<(f64, f64)> = self
            .points
            .iter()
            .copied()
            .filter(|(x, y)| x.is_finite() && fences.contains(y))
            .collect();
        let chosen = evenly(inside.len(), &[]);
        let outside = self.points.len() - inside.len();
        (
            chosen.into_iter().map(|index| inside[index]).collect(),
            outside,
        )
    }

    /// A sentence about omitted dots, if there are any.
    pub(crate) fn left_out(&self, drawn: usize, outside: usize) -> Option<String> {
        let Self { key, points } = self;
        let count = |number: usize| grouped(number as u64);
        let mut text = match drawn + outside < points.len() {
            true => format!(
                "Of {} dots ({}), {} are drawn, chosen evenly.",
                count(points.len()),
                key.name,
                count(drawn)
            ),
            false => String::new(),
        };
        if outside > 0 {
            let space = if text.is_empty() { "" } else { " " };
            text.push_str(&format!("{space}Outliers not shown: {}.", count(outside)));
        }
        (!text.is_empty()).then_some(text)
    }
}
