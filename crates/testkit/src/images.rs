//! A small image classification task.

use std::path::Path;

use image::{Rgb, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::files;

/// The shapes, one per class. A fifth class is the first shape again in another colour, and so on.
const SHAPES: [&str; 4] = ["cross", "disc", "gradient", "square"];

/// The description of what [`image_task`] writes: noisy pictures of a shape of random place, size and brightness, with
/// one shape per class and all classes equally frequent in every part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTask {
    /// The number of classes, 2 to 12.
    pub classes: usize,
    /// The number of training examples.
    pub train: usize,
    /// The number of validation examples, or `None` for no validation part.
    pub validation: Option<usize>,
    /// The number of test examples, or `None` for no test part.
    pub test: Option<usize>,
    /// The height and width of the pictures in pixels, at least 8.
    pub size: u32,
    /// The seed of all pictures.
    pub seed: u64,
}

impl Default for ImageTask {
    fn default() -> Self {
        ImageTask {
            classes: 3,
            train: 60,
            validation: Some(30),
            test: Some(30),
            size: 16,
            seed: 0,
        }
    }
}

/// Writes an image task folder of PNG files, `PART/CLASS/0000.png`.
///
/// # Panics
/// If the folder cannot be written, or if `classes` or `size` is out of range.
pub fn image_task(folder: &Path, task: &ImageTask) {
    assert!((2..=12).contains(&task.classes), "2 to 12 classes");
    assert!(task.size >= 8, "pictures of at least 8 pixels");
    let mut random = ChaCha8Rng::seed_from_u64(task.seed);
    let parts = [
        ("train", Some(task.train)),
        ("validation", task.validation),
        ("test", task.test),
    ];
    for (name, size) in parts {
        // Each part has its own seed, so leaving one out does not change the others.
        let mut part_random = ChaCha8Rng::seed_from_u64(random.random());
        for index in 0..size.unwrap_or(0) {
            let class = index % task.classes;
            let class_folder = folder.join(name).join(class_name(class));
            files::make_folder(&class_folder);
            let path = class_folder.join(format!("{index:04}.png"));
            draw(task.size, class, &mut part_random)
                .save(&path)
                .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        }
    }
}

fn class_name(class: usize) -> String {
    let colour = ["red", "green", "blue"][class / SHAPES.len()];
    format!("{}-{colour}", SHAPES[class % SHAPES.len()])
}

fn draw(size: u32, class: usize, random: &mut impl Rng) -> RgbImage {
    let extent = size as f32;
    let radius = extent * random.random_range(0.2..0.35);
    let (centre_x, centre_y) = (
        random.random_range(radius..extent - radius),
        random.random_range(radius..extent - radius),
    );
    let background = random.random_range(20.0..120.0);
    let foreground = random.random_range(140.0..240.0);
    let tinted_channel = class / SHAPES.len();
    RgbImage::from_fn(size, size, |column, row| {
        let (dx, dy) = (column as f32 + 0.5 - centre_x, row as f32 + 0.5 - centre_y);
        // The share of the pixel that is foreground, between 0 and 1.
        let share = match class % SHAPES.len() {
            0 => {
                f32::from(dx.abs().min(dy.abs()) < radius / 3.0 && dx.abs().max(dy.abs()) < radius)
            }
            1 => f32::from(dx.hypot(dy) < radius),
            2 => ((dx + dy) / extent).clamp(-0.5, 0.5) + 0.5,
            _ => f32::from(dx.abs().max(dy.abs()) < radius),
        };
        let level = background + share * (foreground - background);
        let pixel: [u8; 3] = std::array::from_fn(|channel| {
            let tint = if channel == tinted_channel { 1.0 } else { 0.6 };
            (tint * level + 12.0 * random.sample::<f32, _>(StandardNormal)).clamp(0.0, 255.0) as u8
        });
        Rgb(pixel)
    })
}
