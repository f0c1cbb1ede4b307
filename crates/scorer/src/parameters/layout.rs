use std::ops::Range;

use adaplace_search_space::{Connection, Placement};

/// The positions of the values of adapters and head: for each adapter W_down (rank, width), b_down, W_up^T (rank,
/// width) and b_up, and after all of them the head's W (classes, width) and b.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    pub(crate) adapters: Vec<AdapterPlace>,
    pub(crate) width: usize,
    pub(crate) classes: usize,
    /// The position of the head.
    pub(crate) head: usize,
}

/// One adapter of a layout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AdapterPlace {
    pub(crate) connection: Connection,
    rank: usize,
    scale: f32,
    begin: usize,
}

/// The values of one adapter, or the gradients with respect to them.
pub(crate) struct AdapterValues<T> {
    pub(crate) down_weight: T,
    pub(crate) down_bias: T,
    /// The transposed matrix W_up^T, (rank, width).
    pub(crate) up_weight: T,
    pub(crate) up_bias: T,
    pub(crate) scale: f32,
}

/// The order of a tensor's values in the vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// In row-major order.
    Rows,
    /// In column-major order.
    Columns,
}

impl Order {
    /// The values in row-major order.
    pub(crate) fn read(self, own: &[f32], shape: &[usize]) -> Vec<f32> {
        match (self, shape) {
            (Self::Columns, &[rows, columns]) => (0..rows * columns)
                .map(|index| own[index % columns * rows + index / columns])
                .collect(),
            _ => own.to_vec(),
        }
    }

    /// Writes values that are in row-major order.
    pub(crate) fn write(self, values: &[f32], shape: &[usize], own: &mut [f32]) {
        match (self, shape) {
            // The transpose of a matrix in column-major order is in row-major order.
            (Self::Columns, &[rows, columns]) => {
                own.copy_from_slice(&self.read(values, &[columns, rows]));
            }
            _ => own.copy_from_slice(values),
        }
    }
}

impl Layout {
    pub(crate) fn new(placement: &Placement, width: usize, classes: usize) -> Self {
        let mut begin = 0;
        let adapters = placement.iter().map(|(connection, spec)| {
            let place = AdapterPlace {
                connection,
                rank: usize::from(spec.rank),
                scale: spec.scale,
                begin,
            };
            begin += spec.parameters(width as u32) as usize;
            place
        });
        Self {
            adapters: adapters.collect(),
            width,
            classes,
            head: begin,
        }
    }

    /// The number of trained values.
    pub(crate) fn len(&self) -> usize {
        self.head + self.classes * (self.width + 1)
    }

    /// The name, shape, position and order of every tensor.
    pub(crate) fn tensors(
        &self,
        placement: &Placement,
    ) -> impl Iterator<Item = (String, Vec<usize>, Range<usize>, Order)> {
        let mut begin = 0;
        let head = [
            ("head.weight".to_owned(), vec![self.classes, self.width]),
            ("head.bias".to_owned(), vec![self.classes]),
        ];
        let all = placement.tensors(self.width).chain(head);
        all.map(move |(name, shape)| {
            let end = begin + shape.iter().product::<usize>();
            let range = std::mem::replace(&mut begin, end)..end;
            let order = match name.ends_with("up.weight") {
                true => Order::Columns,
                false => Order::Rows,
            };
            (name, shape, range, order)
        })
    }

    /// The head's weight and bias.
    pub(crate) fn head<'a>(&self, values: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        values[self.head..].split_at(self.classes * self.width)
    }

    /// The values of the adapter at `place`.
    pub(crate) fn adapter<'a>(
        &self,
        place: &AdapterPlace,
        values: &'a [f32],
    ) -> AdapterValues<&'a [f32]> {
        let weight = place.rank * self.width;
        let (down_weight, rest) = values[place.begin..].split_at(weight);
        let (down_bias, rest) = rest.split_at(place.rank);
        let (up_weight, rest) = rest.split_at(weight);
        AdapterValues {
            down_weight,
            down_bias,
            up_weight,
            up_bias: &rest[..self.width],
            scale: place.scale,
        }
    }

    /// The mutable values of the adapter at `place`.
    pub(crate) fn adapter_mut<'a>(
        &self,
        place: &AdapterPlace,
        values: &'a mut [f32],
    ) -> AdapterValues<&'a mut [f32]> {
        let weight = place.rank * self.width;
        let (down_weight, rest) = values[place.begin..].split_at_mut(weight);
        let (down_bias, rest) = rest.split_at_mut(place.rank);
        let (up_weight, rest) = rest.split_at_mut(weight);
        AdapterValues {
            down_weight,
            down_bias,
            up_weight,
            up_bias: &mut rest[..self.width],
            scale: place.scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (2, 3) in columns: 1 4 2 5 3 6 is [[1, 2, 3], [4, 5, 6]].
    #[test]
    fn a_matrix_in_columns_by_hand() {
        let own = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
        let rows = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(Order::Columns.read(&own, &[2, 3]), rows);
        let mut written = [0.0; 6];
        Order::Columns.write(&rows, &[2, 3], &mut written);
        assert_eq!(written, own);
        assert_eq!(Order::Rows.read(&own, &[2, 3]), own);
    }
}
