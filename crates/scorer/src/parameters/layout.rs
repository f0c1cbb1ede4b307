use std::ops::Range;

use adaplace_arithmetic::{AdapterPlace, HeadPlace};
use adaplace_search_space::{Connection, Placement};

/// The names of the head's tensors.
pub(crate) const HEAD_WEIGHT: &str = "head.weight";
pub(crate) const HEAD_BIAS: &str = "head.bias";

/// The positions of the values of adapters and head: the adapters in canonical order, and after all of them the head.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    pub(crate) adapters: Vec<PlacedAdapter>,
    pub(crate) head: HeadPlace,
}

/// One adapter of a layout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PlacedAdapter {
    pub(crate) connection: Connection,
    pub(crate) place: AdapterPlace,
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
                begin,
                width,
                rank: usize::from(spec.rank),
                scale: spec.scale,
            };
            begin += spec.parameters(width as u32) as usize;
            PlacedAdapter { connection, place }
        });
        Self {
            adapters: adapters.collect(),
            head: HeadPlace {
                begin,
                width,
                classes,
            },
        }
    }

    /// The number of trained values.
    pub(crate) fn len(&self) -> usize {
        self.head.begin + self.head.classes * (self.head.width + 1)
    }

    /// The name, shape, position and order of every tensor. A head without classes has none.
    pub(crate) fn tensors(
        &self,
        placement: &Placement,
    ) -> impl Iterator<Item = (String, Vec<usize>, Range<usize>, Order)> {
        let mut begin = 0;
        let HeadPlace { width, classes, .. } = self.head;
        let head = [
            (HEAD_WEIGHT.to_owned(), vec![classes, width]),
            (HEAD_BIAS.to_owned(), vec![classes]),
        ];
        let head = head.into_iter().filter(move |_| classes > 0);
        let all = placement.tensors(width).chain(head);
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
