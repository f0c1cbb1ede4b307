use std::ops::Range;

/// The position of one adapter in the vector of all trained values: W_down (rank, width), b_down, W_up^T (rank, width)
/// and b_up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdapterPlace {
    /// The position of the first value.
    pub begin: usize,
    /// The width of the hidden states.
    pub width: usize,
    /// The width of the bottleneck.
    pub rank: usize,
    /// The factor of the adapter's output.
    pub scale: f32,
}

/// The values of one adapter, or the gradients with respect to them.
#[derive(Debug)]
pub struct AdapterValues<T> {
    /// W_down, (rank, width).
    pub down_weight: T,
    /// b_down.
    pub down_bias: T,
    /// The transposed matrix W_up^T, (rank, width).
    pub up_weight: T,
    /// b_up.
    pub up_bias: T,
}

impl AdapterPlace {
    /// The number of values.
    #[must_use]
    pub fn size(&self) -> usize {
        2 * self.rank * self.width + self.rank + self.width
    }

    /// The adapter's part of all values.
    #[must_use]
    pub fn of<'a>(&self, values: &'a [f32]) -> AdapterValues<&'a [f32]> {
        let weight = self.rank * self.width;
        let (down_weight, rest) = values[self.begin..].split_at(weight);
        let (down_bias, rest) = rest.split_at(self.rank);
        let (up_weight, rest) = rest.split_at(weight);
        AdapterValues {
            down_weight,
            down_bias,
            up_weight,
            up_bias: &rest[..self.width],
        }
    }

    /// The adapter's part of all values, to be changed.
    #[must_use]
    pub fn of_mut<'a>(&self, values: &'a mut [f32]) -> AdapterValues<&'a mut [f32]> {
        let weight = self.rank * self.width;
        let (down_weight, rest) = values[self.begin..].split_at_mut(weight);
        let (down_bias, rest) = rest.split_at_mut(self.rank);
        let (up_weight, rest) = rest.split_at_mut(weight);
        AdapterValues {
            down_weight,
            down_bias,
            up_weight,
            up_bias: &mut rest[..self.width],
        }
    }
}

/// The position of the head in the vector of all trained values: W (classes, width) and b.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadPlace {
    /// The position of the first value.
    pub begin: usize,
    /// The width of the features.
    pub width: usize,
    /// The number of classes.
    pub classes: usize,
}

impl HeadPlace {
    /// The number of values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.classes * (self.width + 1)
    }

    /// The head's weight and bias among all values.
    #[must_use]
    pub fn of<'a>(&self, values: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        let (weight, rest) = values[self.begin..].split_at(self.classes * self.width);
        (weight, &rest[..self.classes])
    }

    /// The head's weight and bias among all values, to be changed.
    #[must_use]
    pub fn of_mut<'a>(&self, values: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        let (weight, rest) = values[self.begin..].split_at_mut(self.classes * self.width);
        (weight, &mut rest[..self.classes])
    }
}

/// The heads of several models of the same task, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadPlaces {
    /// The first head.
    pub first: HeadPlace,
    /// The number of models.
    pub models: usize,
}

impl HeadPlaces {
    /// The place of each head.
    pub fn each(&self) -> impl Iterator<Item = HeadPlace> + use<> {
        let Self { first, models } = *self;
        (0..models).map(move |model| HeadPlace {
            begin: first.begin + model * first.size(),
            ..first
        })
    }
}

/// An adapter, and the rows of a state that it adds to: those of its model.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterBlock {
    /// The position of its values.
    pub place: AdapterPlace,
    /// The rows.
    pub rows: Range<usize>,
}

/// The values of several models that are trained together, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimiserPlan {
    /// The highest learning rate and the number of neighbouring values to which it applies, starting with the first value.
    pub rates: Vec<(f64, usize)>,
    /// The positions of each model's values.
    pub models: Vec<Vec<Range<usize>>>,
    /// The decoupled weight decay, as a share of the learning rate.
    pub weight_decay: f64,
    /// The largest norm of the gradient of all values of a model together.
    pub clip: f64,
}
