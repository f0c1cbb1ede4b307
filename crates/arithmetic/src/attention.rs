//! What an attention computes between its two linear layers.

use std::sync::Arc;

use crate::{Norm, RelativePositions, Rotation};

/// A multi-head self-attention: softmax(scale Q K^T) V for every example and head, where a token attends to its example's
/// tokens within the span. Everything else is what only some architectures have.
#[derive(Debug, Clone)]
pub struct Attention {
    /// The number of heads of the queries.
    pub heads: usize,
    /// The number of heads of the keys and values, a divisor of that. Neighbouring heads of the queries share one (grouped
    /// queries: Ainslie et al., 2023).
    pub key_heads: usize,
    /// The width of a head.
    pub head_width: usize,
    /// The factor of the scores.
    pub scale: f32,
    /// The tokens that a token attends to.
    pub span: Span,
    /// The bound c of the scores, if they are c tanh(score / c).
    pub cap: Option<f32>,
    /// What the distances between tokens add to the scores.
    pub relative: Option<Arc<RelativePositions>>,
    /// The norms of each head of the queries and of the keys.
    pub norms: Option<[Norm; 2]>,
    /// The rotation of queries and keys by their positions, after the norms.
    pub rotation: Option<Arc<Rotation>>,
}

/// The tokens that a token attends to: those at most so many places before and behind it, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The number of places before the token.
    pub before: Option<usize>,
    /// The number of places behind the token.
    pub behind: Option<usize>,
}

impl Attention {
    /// The attention of Vaswani et al. (2017) over all tokens, with the scale 1 / sqrt(width of a head).
    #[must_use]
    pub fn plain(width: usize, heads: usize) -> Self {
        let head_width = width / heads;
        Self {
            heads,
            key_heads: heads,
            head_width,
            scale: (head_width as f32).powf(-0.5),
            span: Span::default(),
            cap: None,
            relative: None,
            norms: None,
            rotation: None,
        }
    }

    /// The width of all queries, and of what the attention computes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// The width of all queries, keys and values, side by side.
    #[must_use]
    pub fn projected_width(&self) -> usize {
        (self.heads + 2 * self.key_heads) * self.head_width
    }
}

impl Span {
    /// A token and all before it.
    pub const CAUSAL: Self = Self {
        before: None,
        behind: Some(0),
    };

    /// A token and those before it, so many together.
    #[must_use]
    pub fn causal_window(tokens: usize) -> Self {
        Self {
            before: Some(tokens.saturating_sub(1)),
            ..Self::CAUSAL
        }
    }

    /// The places that the token at `place` attends to in an example of `tokens`.
    #[must_use]
    pub fn of(self, place: usize, tokens: usize) -> std::ops::Range<usize> {
        let begin = self.before.map_or(0, |before| place.saturating_sub(before));
        let end = self
            .behind
            .map_or(tokens, |behind| tokens.min(place + behind + 1));
        begin..end
    }

    /// Whether every token of examples of so many tokens attends to all others.
    #[must_use]
    pub fn is_all(self, tokens: usize) -> bool {
        let covers = |places: Option<usize>| places.is_none_or(|places| places + 1 >= tokens);
        covers(self.before) && covers(self.behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_by_hand() {
        let window = Span {
            before: Some(2),
            behind: Some(1),
        };
        let of = |span: Span| (0..5).map(|place| span.of(place, 5)).collect::<Vec<_>>();
        assert_eq!(of(Span::default()), vec![0..5; 5]);
        assert_eq!(of(Span::CAUSAL), [0..1, 0..2, 0..3, 0..4, 0..5]);
        assert_eq!(of(window), [0..2, 0..3, 0..4, 1..5, 2..5]);
        assert_eq!(of(Span::causal_window(2)), [0..1, 0..2, 1..3, 2..4, 3..5]);
        assert!(Span::default().is_all(5) && Span::CAUSAL.is_all(1));
        assert!(window.is_all(2) && !window.is_all(3) && !Span::CAUSAL.is_all(2));
    }
}
