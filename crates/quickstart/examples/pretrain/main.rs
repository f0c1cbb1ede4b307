//! Trains the backbone of the quickstart from scratch, on pictures drawn during the training.
//!
//! ```sh
//! RAYON_NUM_THREADS=1 cargo run -p adaplace-quickstart --example pretrain -- --out crates/quickstart/weights
//! ```
//!
//! It is an ordinary training with candle: every weight is a variable, including patch embedding, class token and
//! positions, and the forward pass is the composition of candle's operations that also defines the frozen backbone
//! ([`adaplace_backbone::composition`]). It writes `model.safetensors` in f16. With the weights as they are in the
//! file, it then reports the accuracy on pictures it was trained on and on pictures it was not. The same seed leads to
//! the same file on the same machine. candle and the drawing are also optimised in the dev profile, so `--release`
//! gains little.
//!
//! Options: `--steps N`, `--batch-size N`, `--learning-rate RATE`, `--seed N`, `--out DIR`.

mod operations;
#[cfg(test)]
mod tests;
mod training;
mod vit;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use training::{Settings, held_out_accuracy, train, training_accuracy};
use vit::{HEAD, PATCH_HEAD, Weights};

/// Every step allocates and frees the same large tensors. This allocator reuses their memory instead of returning it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number of steps over which the reported loss is averaged.
const REPORT: usize = 100;
/// The number of batches over which accuracies are computed.
const EVALUATED: usize = 64;

fn main() -> Result<()> {
    let (settings, out) = arguments()?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create `{}`", out.display()))?;
    let start = Instant::now();
    let mut sum = 0.0;
    let mut weights = train(&settings, |step, loss| {
        sum += loss;
        if (step + 1) % REPORT == 0 {
            let (mean, seconds) = (sum / REPORT as f32, start.elapsed().as_secs_f64());
            println!("step {}: loss {mean:.3} after {seconds:.0} s", step + 1);
            sum = 0.0;
        }
    })?;
    round(&mut weights);
    write(&weights, &out.join("model.safetensors"))?;
    let training = training_accuracy(&weights, &settings, EVALUATED)?;
    let held_out = held_out_accuracy(&weights, &settings, EVALUATED)?;
    println!(
        "accuracy on the first pictures of the training: {:.2} %",
        100.0 * training
    );
    println!("accuracy on others: {:.2} %", 100.0 * held_out);
    Ok(())
}

fn arguments() -> Result<(Settings, PathBuf)> {
    let mut settings = Settings {
        steps: 2000,
        batch_size: 32,
        learning_rate: 1.5e-3,
        seed: 0,
    };
    let mut out = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("`{option}` needs a value"))?;
        let wrong = || format!("`{value}` is not a value of `{option}`");
        match option.as_str() {
            "--steps" => settings.steps = value.parse().with_context(wrong)?,
            "--batch-size" => settings.batch_size = value.parse().with_context(wrong)?,
            "--learning-rate" => settings.learning_rate = value.parse().with_context(wrong)?,
            "--seed" => settings.seed = value.parse().with_context(wrong)?,
            "--out" => out = Some(PathBuf::from(value)),
            _ => bail!("there is no option `{option}`"),
        }
    }
    Ok((settings, out.context("`--out DIR` is needed")?))
}

/// Rounds the weights to the numbers that the file can hold.
fn round(weights: &mut Weights) {
    for weight in &mut weights.0 {
        let values = weight.values.iter_mut();
        values.for_each(|value| *value = f16::from_f32(*value).to_f32());
    }
}

/// Writes the backbone alone, since the heads are no longer needed.
fn write(weights: &Weights, path: &Path) -> Result<()> {
    let of_a_head = |name: &str| name.starts_with(HEAD) || name.starts_with(PATCH_HEAD);
    let backbone = weights.0.iter().filter(|weight| !of_a_head(&weight.name));
    let stored: Vec<(&str, &[usize], Vec<u8>)> = backbone
        .map(|weight| {
            let values = weight.values.iter();
            let bytes = values.flat_map(|&value| f16::from_f32(value).to_le_bytes());
            (
                weight.name.as_str(),
                weight.shape.as_slice(),
                bytes.collect(),
            )
        })
        .collect();
    let mut views = Vec::with_capacity(stored.len());
    for (name, shape, bytes) in &stored {
        views.push((*name, TensorView::new(Dtype::F16, shape.to_vec(), bytes)?));
    }
    safetensors::serialize_to_file(views, None, path)
        .with_context(|| format!("cannot write `{}`", path.display()))
}
