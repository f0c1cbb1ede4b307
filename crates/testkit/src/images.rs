//! A small image classification task.

use std::path::Path;

use image::{Rgb, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::files;
use crate::weights::standard_normal;

/// The shapes, one per class; a fifth class is the first shape again in another colour, and so on.
const SHAPES: [&str; 4] = ["cross", "disc", "gradient", "square"];

/// What [`image_task`] writes: noisy pictures of a shape of random place, size and brightness, one shape per class,
/// equally frequent in every part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageTask {
    /// Number of classes, 2 to 12.
    pub classes: usize,
    /// Number of training examples.
    pub train: usize,
    /// Number of validation examples, or no such part.
    pub validation: Option<usize>,
    /// Number of test examples, or no such part.
    pub test: Option<usize>,
    /// Height and width of the pictures in pixels, at least 8.
    pub size: u32,
    /// Determines all pictures.
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
/// When the folder cannot be written, or `classes` or `size` is out of range.
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
        // a seed is drawn for every part, so that leaving one out changes no other
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
        // how much of the foreground is seen here, 0 to 1
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
            (tint * level + 12.0 * standard_normal(random)).clamp(0.0, 255.0) as u8
        });
        Rgb(pixel)
    })
}
