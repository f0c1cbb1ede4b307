//! Benchmarks of the single kernels on one thread: products at the shapes of MiniLM-L6, and its two kinds of sublayers,
//! forward and backward. Throughput is in operations, where a multiply-add counts as two.

use std::hint::black_box;

use adaplace_arithmetic::kernels::{Matrix, MatrixMut, Packed, Start, multiply};
use adaplace_arithmetic::{InstructionSet, Precision};
use adaplace_backbone::{Backbone, SavedSublayer, SublayerScratch};
use adaplace_testkit::{TinyBert, tiny_bert};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const WIDTH: usize = 384;
const EXAMPLES: usize = 8;

fn waves(count: usize) -> Vec<f32> {
    (0..count).map(|x| (x as f32 * 0.37).sin()).collect()
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    for (rows, depth, columns) in [
        (256, 384, 384),
        (256, 384, 1536),
        (256, 1536, 384),
        (16, 32, 16),
    ] {
        let (left, right) = (waves(rows * depth), waves(depth * columns));
        let mut result = vec![0.0; rows * columns];
        group.throughput(Throughput::Elements((2 * rows * depth * columns) as u64));
        for set in InstructionSet::available() {
            let packed = Packed::new(set, Matrix::new(&right, depth, columns));
            let id = BenchmarkId::new(set.name(), format!("{rows}x{depth}x{columns}"));
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    let result = MatrixMut::new(black_box(&mut result), rows, columns);
                    let left = Matrix::new(black_box(&left), rows, depth);
                    multiply(set, result, Start::Nothing, left, &packed, 1.0);
                });
            });
        }
    }
}

/// One block with the shape of MiniLM-L6 and random weights.
fn block() -> Backbone {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let settings = TinyBert {
        blocks: 1,
        width: WIDTH,
        heads: 12,
        intermediate: 4 * WIDTH,
        ..TinyBert::default()
    };
    tiny_bert(folder.path(), &settings);
    Backbone::load(folder.path(), None).expect("the testkit's backbones are sound")
}

fn sublayers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sublayer");
    for precision in [Precision::F32, Precision::Bf16] {
        let backbone = block().with_precision(precision);
        for tokens in [10, 64] {
            let examples: Vec<usize> = (0..=EXAMPLES).map(|example| example * tokens).collect();
            let state = waves(EXAMPLES * tokens * WIDTH);
            let (mut result, mut gradient) = (Vec::new(), vec![0.0; state.len()]);
            let mut saved = SavedSublayer::default();
            let mut scratch = SublayerScratch::default();
            for (n, kind) in ["attention", "mlp"].into_iter().enumerate() {
                let chain = backbone
                    .chain()
                    .expect("the processor has room for the weights");
                let sublayer = &chain.sublayers()[n];
                let operations = backbone.sublayer_flops(tokens)[n] * EXAMPLES as u64;
                group.throughput(Throughput::Elements(operations));
                let id = |what| {
                    BenchmarkId::new(
                        format!("{kind} {what}"),
                        format!("{EXAMPLES}x{tokens} {precision}"),
                    )
                };
                group.bench_function(id("forward"), |bencher| {
                    bencher.iter(|| {
                        let saved = Some(&mut saved);
                        sublayer.forward(&state, &examples, &mut result, saved, &mut scratch)
                    });
                });
                group.bench_function(id("backward"), |bencher| {
                    bencher.iter(|| {
                        gradient.copy_from_slice(&state);
                        sublayer.backward(
                            &saved,
                            &examples,
                            &mut gradient,
                            &mut result,
                            false,
                            &mut scratch,
                        )
                    });
                });
            }
        }
    }
}

criterion_group!(benches, products, sublayers);
criterion_main!(benches);
