//! Matrix products over slices, by the `gemm` crate.

use gemm::Parallelism;

/// A matrix over a slice: entry (row, column) stands at `row * row_stride + column * column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    layout: Layout,
}

/// As [`Matrix`], to be written to.
pub(crate) struct MatrixMut<'a> {
    data: &'a mut [f32],
    layout: Layout,
}

#[derive(Clone, Copy)]
struct Layout {
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Layout {
    fn checked(self, length: usize) -> Self {
        let last = self.rows.saturating_sub(1) * self.row_stride
            + self.columns.saturating_sub(1) * self.column_stride;
        assert!(
            self.rows == 0 || self.columns == 0 || last < length,
            "a matrix of {} x {} with strides {} and {} does not fit in {length} values",
            self.rows,
            self.columns,
            self.row_stride,
            self.column_stride
        );
        self
    }
}

impl<'a> Matrix<'a> {
    /// Rows one behind the other.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that begin `row_stride` values apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let layout = Layout {
            rows,
            columns,
            row_stride,
            column_stride: 1,
        };
        Self {
            data,
            layout: layout.checked(data.len()),
        }
    }

    pub(crate) fn transposed(self) -> Self {
        let layout = Layout {
            rows: self.layout.columns,
            columns: self.layout.rows,
            row_stride: self.layout.column_stride,
            column_stride: self.layout.row_stride,
        };
        Self {
            data: self.data,
            layout,
        }
    }
}

impl<'a> MatrixMut<'a> {
    /// Rows one behind the other.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that begin `row_stride` values apart; rows must not overlap.
    pub(crate) fn strided(
        data: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        assert!(
            row_stride >= columns,
            "the rows of a result must not overlap"
        );
        let layout = Layout {
            rows,
            columns,
            row_stride,
            column_stride: 1,
        };
        let layout = layout.checked(data.len());
        Self { data, layout }
    }
}

/// What happens to the values that the result had before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Previous {
    Overwrite,
    Add,
}

/// result = scale * left right, or result += scale * left right; on all threads of the current rayon pool.
pub(crate) fn multiply_parallel(
    result: MatrixMut<'_>,
    previous: Previous,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
) {
    run(result, previous, left, right, scale, Parallelism::Rayon(0));
}

/// As [`multiply_parallel`], on the current thread alone: for products that are too small to split.
pub(crate) fn multiply(
    result: MatrixMut<'_>,
    previous: Previous,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
) {
    run(result, previous, left, right, scale, Parallelism::None);
}

fn run(
    result: MatrixMut<'_>,
    previous: Previous,
    left: Matrix<'_>,
    right: Matrix<'_>,
    scale: f32,
    parallelism: Parallelism,
) {
    let (to, l, r) = (result.layout, left.layout, right.layout);
    assert!(
        (to.rows, l.columns, r.columns) == (l.rows, r.rows, to.columns),
        "a product of {} x {} and {} x {} does not give {} x {}",
        l.rows,
        l.columns,
        r.rows,
        r.columns,
        to.rows,
        to.columns
    );
    // SAFETY: the constructors checked that every entry of the three matrices lies inside its slice, the slices
    // live through the call, the result's rows do not overlap, and `&mut` keeps the result apart from the operands.
    unsafe {
        gemm::gemm(
            to.rows,
            to.columns,
            l.columns,
            result.data.as_mut_ptr(),
            to.column_stride as isize,
            to.row_stride as isize,
            previous == Previous::Add,
            left.data.as_ptr(),
            l.column_stride as isize,
            l.row_stride as isize,
            right.data.as_ptr(),
            r.column_stride as isize,
            r.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// a_ij = i + 2j, b_ij = 3i - j: (a b)_ij = sum_k (i + 2k)(3k - j), which has a closed form.
    #[test]
    fn product_of_polynomial_matrices() {
        let (m, n, k) = (37_usize, 29_usize, 21_usize);
        let a: Vec<f32> = (0..m * k).map(|x| (x / k + 2 * (x % k)) as f32).collect();
        let b: Vec<f32> = (0..k * n)
            .map(|x| 3.0 * (x / n) as f32 - (x % n) as f32)
            .collect();
        let mut c = vec![1.0_f32; m * n];
        multiply(
            MatrixMut::new(&mut c, m, n),
            Previous::Add,
            Matrix::new(&a, m, k),
            Matrix::new(&b, k, n),
            2.0,
        );
        let (count, sum, squares) = (
            k as f32,
            (k * (k - 1) / 2) as f32,
            ((k - 1) * k * (2 * k - 1) / 6) as f32,
        );
        for i in 0..m {
            for j in 0..n {
                let (i_value, j_value) = (i as f32, j as f32);
                let product = 3.0 * i_value * sum - i_value * j_value * count + 6.0 * squares
                    - 2.0 * j_value * sum;
                assert_eq!(c[i * n + j], 1.0 + 2.0 * product, "({i}, {j})");
            }
        }
    }

    #[test]
    fn transposing_both_operands_transposes_the_product() {
        let a: Vec<f32> = (0..12).map(|x| (x as f32).sin()).collect();
        let b: Vec<f32> = (0..20).map(|x| (x as f32).cos()).collect();
        let (mut c, mut c_transposed) = (vec![0.0; 15], vec![0.0; 15]);
        let (a, b) = (Matrix::new(&a, 3, 4), Matrix::new(&b, 4, 5));
        multiply(MatrixMut::new(&mut c, 3, 5), Previous::Overwrite, a, b, 1.0);
        let result = MatrixMut::new(&mut c_transposed, 5, 3);
        multiply(
            result,
            Previous::Overwrite,
            b.transposed(),
            a.transposed(),
            1.0,
        );
        for i in 0..3 {
            for j in 0..5 {
                assert!((c[i * 5 + j] - c_transposed[j * 3 + i]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let a: Vec<f32> = (0..200 * 96).map(|x| (x as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..96 * 150).map(|x| (x as f32 * 0.11).cos()).collect();
        let product = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut c = vec![0.0; 200 * 150];
            pool.install(|| {
                multiply_parallel(
                    MatrixMut::new(&mut c, 200, 150),
                    Previous::Overwrite,
                    Matrix::new(&a, 200, 96),
                    Matrix::new(&b, 96, 150),
                    1.0,
                );
            });
            c
        };
        let one = product(1);
        assert_eq!(one, product(2));
        assert_eq!(one, product(5));
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_slice_that_is_too_short_is_refused() {
        let _ = Matrix::new(&[0.0; 5], 2, 3);
    }
}
