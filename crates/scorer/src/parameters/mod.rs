//! The trained values of a placement in one vector, with their names and shapes.

mod file;
mod layout;
mod metadata;

use adaplace_search_space::{Connection, Placement};
use rand::Rng;
use rand::distr::Uniform;

use crate::seeds;

pub(crate) use layout::{HEAD_BIAS, HEAD_WEIGHT, Layout, PlacedAdapter};
pub use metadata::Metadata;

/// The linear head on the pooled features: logits = features W^T + b.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The weight W, (classes, width) in row-major order.
    pub weight: Vec<f32>,
    /// The bias b, one value for each class.
    pub bias: Vec<f32>,
}

/// The adapters of a placement and the head after them.
///
/// All values are in one vector, so that an optimiser and sums of gradients are plain loops. A gradient with respect to
/// them has the same form.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    placement: Placement,
    layout: Layout,
    values: Vec<f32>,
}

/// A tensor of [`Parameters`], in the form for files and other libraries.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// The name: that of [`Placement::tensors`], or `head.weight` or `head.bias` for the head.
    pub name: String,
    /// The shape.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub values: Vec<f32>,
}

impl Head {
    /// A head that gives the same logits for every input.
    #[must_use]
    pub fn zero(classes: usize, width: usize) -> Self {
        Self {
            weight: vec![0.0; classes * width],
            bias: vec![0.0; classes],
        }
    }
}

impl Parameters {
    /// Untrained adapters: W_down and b_down are uniform in +-1/sqrt(width), W_up and b_up zero, so they change nothing
    /// yet. The same connection starts with the same adapter in every placement of a seed and repetition. A head without
    /// classes leaves the predictions to the backbone's own head over its vocabulary.
    #[must_use]
    pub fn initial(
        placement: &Placement,
        width: usize,
        head: &Head,
        seed: u64,
        repetition: u32,
    ) -> Self {
        let bound = (width as f32).powf(-0.5);
        let range = Uniform::new(-bound, bound).expect("a width is finite and above 0");
        let layout = Layout::new(placement, width, head.bias.len());
        let mut values = vec![0.0; layout.len()];
        for &PlacedAdapter { connection, place } in &layout.adapters {
            let mut generator = seeds::adapter(seed, repetition, connection);
            let adapter = place.of_mut(&mut values);
            let down = adapter.down_weight.iter_mut().chain(adapter.down_bias);
            down.for_each(|value| *value = generator.sample(range));
        }
        let mut parameters = Self {
            placement: placement.clone(),
            layout,
            values,
        };
        parameters.set_head(head);
        parameters
    }

    /// A head without adapters, on states of this width.
    #[must_use]
    pub fn of_head(width: usize, head: &Head) -> Self {
        Self::initial(&Placement::new(), width, head, 0, 0)
    }

    /// Adapters of `placement` and a head of `classes` from their tensors. `tensor` returns the values for a name and a
    /// shape, in row-major order.
    ///
    /// # Errors
    /// The first error of `tensor`.
    ///
    /// # Panics
    /// If `tensor` returns a number of values that does not match the shape.
    pub fn from_tensors<E>(
        placement: &Placement,
        width: usize,
        classes: usize,
        mut tensor: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let layout = Layout::new(placement, width, classes);
        let mut values = vec![0.0; layout.len()];
        for (name, shape, range, order) in layout.tensors(placement) {
            let read = tensor(&name, &shape)?;
            order.write(&read, &shape, &mut values[range]);
        }
        Ok(Self {
            placement: placement.clone(),
            layout,
            values,
        })
    }

    /// All tensors: those of the adapters in canonical order, then the head's, if there is a class.
    #[must_use]
    pub fn tensors(&self) -> Vec<NamedTensor> {
        let tensors = self.layout.tensors(&self.placement);
        tensors
            .map(|(name, shape, range, order)| NamedTensor {
                values: order.read(&self.values[range], &shape),
                name,
                shape,
            })
            .collect()
    }

    /// The placement of the adapters.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The connections, in canonical order.
    pub fn connections(&self) -> impl Iterator<Item = Connection> + Clone {
        self.placement.connections()
    }

    /// The width of the hidden states.
    #[must_use]
    pub fn width(&self) -> usize {
        self.layout.head.width
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.layout.head.classes
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> Head {
        let (weight, bias) = self.layout.head.of(&self.values);
        Head {
            weight: weight.to_vec(),
            bias: bias.to_vec(),
        }
    }

    /// The same adapters with another head for the same number of classes.
    ///
    /// # Panics
    /// If the head has another size.
    #[must_use]
    pub fn with_head(mut self, head: &Head) -> Self {
        self.set_head(head);
        self
    }

    fn set_head(&mut self, head: &Head) {
        let (weight, bias) = self.layout.head.of_mut(&mut self.values);
        weight.copy_from_slice(&head.weight);
        bias.copy_from_slice(&head.bias);
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The values in the layout's order.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Other values, or gradients with respect to these, in the same layout.
    pub(crate) fn with_values(&self, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), self.values.len());
        Self {
            placement: self.placement.clone(),
            layout: self.layout.clone(),
            values,
        }
    }
}
