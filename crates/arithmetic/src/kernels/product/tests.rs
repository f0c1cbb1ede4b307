use super::*;

fn waves(count: usize, step: f32) -> Vec<f32> {
    (0..count).map(|x| (x as f32 * step).sin()).collect()
}

/// With a_ij = i + 2j and b_ij = 3i - j, (a b)_ij = sum_k (i + 2k)(3k - j) has a closed form.
#[test]
fn product_of_polynomial_matrices() {
    for set in InstructionSet::available() {
        for (m, n, k) in [
            (37, 29, 21),
            (8, 48, 1),
            (1, 1, 3),
            (5, 100, 30),
            (3, 16, 0),
        ] {
            let a: Vec<f32> = (0..m * k).map(|x| (x / k + 2 * (x % k)) as f32).collect();
            let b: Vec<f32> = (0..k * n)
                .map(|x| 3.0 * (x / n) as f32 - (x % n) as f32)
                .collect();
            let bias: Vec<f32> = (0..n).map(|x| x as f32).collect();
            let right = Packed::new(set, Matrix::new(&b, k, n));
            let mut c = vec![1.0_f32; m * n];
            multiply(
                set,
                MatrixMut::new(&mut c, m, n),
                Start::ResultAndBias(&bias),
                Matrix::new(&a, m, k),
                &right,
                2.0,
            );
            let below = |power: i32| (0..k).map(|k| (k as f32).powi(power)).sum::<f32>();
            let (count, sum, squares) = (k as f32, below(1), below(2));
            for i in 0..m {
                for j in 0..n {
                    let (row, column) = (i as f32, j as f32);
                    let product =
                        3.0 * row * sum - row * column * count + 6.0 * squares - 2.0 * column * sum;
                    let expected = 1.0 + column + 2.0 * product;
                    assert_eq!(c[i * n + j], expected, "{set:?} ({i}, {j}) of {m} x {n}");
                }
            }
        }
    }
}

/// Compares every start, strided operands on both sides, a result inside a wider matrix, and more than one block of the
/// depth with sums in f64.
#[test]
fn strided_operands_and_every_start() {
    let (m, n, k) = (13, 35, DEPTH_BLOCK + 7);
    let (a, b) = (waves(m * k, 0.37), waves(k * n, 0.11));
    let bias = waves(n, 0.7);
    let stride = n + 6;
    for set in InstructionSet::available() {
        let right = Packed::new(set, Matrix::new(&b, n, k).transposed());
        for (start, before, biased) in [
            (Start::Nothing, 0.0, 0.0),
            (Start::Bias(&bias), 0.0, 1.0),
            (Start::Result, 1.0, 0.0),
            (Start::ResultAndBias(&bias), 1.0, 1.0),
        ] {
            let original = waves(m * stride, 0.5);
            let mut c = original.clone();
            let left = Matrix::new(&a, k, m).transposed();
            let result = MatrixMut::strided(&mut c[3..], m, n, stride);
            multiply(set, result, start, left, &right, 0.5);
            for i in 0..m {
                for j in 0..n {
                    let place = 3 + i * stride + j;
                    let product: f64 = (0..k)
                        .map(|k_| f64::from(a[k_ * m + i]) * f64::from(b[j * k + k_]))
                        .sum();
                    let expected = before * f64::from(original[place])
                        + biased * f64::from(bias[j])
                        + 0.5 * product;
                    assert!((f64::from(c[place]) - expected).abs() < 2e-5, "{set:?}");
                }
                for gap in n..stride.min(original.len() - 3 - i * stride) {
                    let place = 3 + i * stride + gap;
                    assert_eq!(c[place], original[place], "the gaps stay as they are");
                }
            }
        }
    }
}

/// A row has the same bits alone, among others and at another place of a tile.
#[test]
fn a_row_depends_on_itself_alone() {
    let (m, n, k) = (19, 50, 500);
    let (a, b) = (waves(m * k, 0.37), waves(k * n, 0.11));
    for set in InstructionSet::available() {
        let right = Packed::new(set, Matrix::new(&b, k, n));
        let product = |rows: std::ops::Range<usize>| {
            let mut c = vec![0.0; rows.len() * n];
            let left = Matrix::new(&a[rows.start * k..rows.end * k], rows.len(), k);
            let result = MatrixMut::new(&mut c, rows.len(), n);
            multiply(set, result, Start::Nothing, left, &right, 1.0);
            c
        };
        let all = product(0..m);
        for rows in [0..1, 3..19, 7..12] {
            assert_eq!(product(rows.clone()), all[rows.start * n..rows.end * n]);
        }
    }
}

#[test]
#[should_panic(expected = "does not give")]
fn shapes_that_do_not_fit_are_refused() {
    let set = InstructionSet::detect();
    let right = Packed::new(set, Matrix::new(&[0.0; 12], 3, 4));
    let mut c = [0.0; 10];
    let left = Matrix::new(&[0.0; 6], 2, 3);
    multiply(
        set,
        MatrixMut::new(&mut c, 2, 5),
        Start::Nothing,
        left,
        &right,
        1.0,
    );
}
