//! The task on which the backbone was trained: to name the shape and colour of the largest object of a picture at its
//! class token, and those of the visible object at each patch.
//!
//! It must recognise both wherever the object is, whatever its size and rotation. Nothing in this task depends on where
//! the object is, how it is turned, or how many objects there are, which is what the tasks of the quickstart ask for.

use image::RgbImage;
use rand::Rng;

use crate::Shape;
use crate::drawing::{COLOURS, Canvas, Pose, SIDE, UNITS, vary};

/// The shapes that it learned to name.
pub const SHAPES: [Shape; 10] = [
    Shape::Disc,
    Shape::Ring,
    Shape::Square,
    Shape::Frame,
    Shape::Triangle,
    Shape::Cross,
    Shape::Bar,
    Shape::Crescent,
    Shape::Star,
    Shape::Tee,
];

/// The number of classes. Every shape in every colour is a class: colour times the number of shapes, plus shape.
pub const CLASSES: u32 = SHAPES.len() as u32 * COLOURS.len() as u32;

/// The height and width of a patch in pixels.
pub const PATCH: u32 = 4;

/// The number of pixels of a patch at which an object must be visible to be named there.
const NAMED: usize = 4;

/// A picture and its labels.
#[derive(Debug, Clone)]
pub struct Example {
    /// The picture itself.
    pub picture: RgbImage,
    /// The class of the largest object.
    pub class: u32,
    /// The class at every patch, row by row, or [`CLASSES`] for the background.
    pub patches: Vec<u32>,
}

impl Example {
    /// Draws some small objects, and over them a large one.
    pub fn draw(random: &mut impl Rng) -> Self {
        let mut canvas = Canvas::new(random);
        let small = random.random_range(0..=4);
        let mut classes = Vec::new();
        for _ in 0..small {
            classes.push(draw_object(&mut canvas, 28..=64, random));
        }
        let class = draw_object(&mut canvas, 80..=190, random);
        classes.push(class);
        let patches = name_patches(canvas.on_top(), &classes);
        let noise = random.random_range(2..=12);
        Self {
            picture: canvas.finish(noise, random),
            class,
            patches,
        }
    }
}

/// Draws an object anywhere in the picture, completely inside it, and returns its class.
fn draw_object(
    canvas: &mut Canvas,
    radii: std::ops::RangeInclusive<i32>,
    random: &mut impl Rng,
) -> u32 {
    let class = random.random_range(0..CLASSES);
    let shapes = SHAPES.len() as u32;
    let radius = random.random_range(radii);
    let place = radius..=SIDE as i32 * UNITS - radius;
    let pose = Pose {
        x: random.random_range(place.clone()),
        y: random.random_range(place),
        radius,
        turn: random.random_range(0..360),
    };
    let colour = vary(COLOURS[(class / shapes) as usize], random);
    canvas.draw(SHAPES[(class % shapes) as usize], &pose, colour);
    class
}

/// The class at every patch. Of two objects, the later one counts.
fn name_patches(on_top: &[usize], classes: &[u32]) -> Vec<u32> {
    let grid = SIDE / PATCH;
    let name = |patch: u32| {
        let (top, left) = (patch / grid * PATCH, patch % grid * PATCH);
        let pixels = (0..PATCH * PATCH).map(|pixel| {
            let (row, column) = (top + pixel / PATCH, left + pixel % PATCH);
            on_top[(row * SIDE + column) as usize]
        });
        let named = (1..=classes.len())
            .rev()
            .find(|&object| pixels.clone().filter(|&seen| seen == object).count() >= NAMED);
        named.map_or(CLASSES, |object| classes[object - 1])
    };
    (0..grid * grid).map(name).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The pixels in the middle of most named patches show the colour of the object.
    #[test]
    fn patches_are_named_by_what_is_seen_there() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let (mut right, mut named) = (0, 0);
        for _ in 0..100 {
            let example = Example::draw(&mut random);
            assert!(example.patches.contains(&example.class));
            for (patch, &class) in example.patches.iter().enumerate() {
                if class == CLASSES {
                    continue;
                }
                let (row, column) = (patch as u32 / 8 * PATCH, patch as u32 % 8 * PATCH);
                let colour = COLOURS[class as usize / SHAPES.len()];
                let distance = |pixel: [u8; 3]| {
                    let levels = pixel.into_iter().zip(colour);
                    levels.map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
                };
                let mut pixels = (0..16).map(|pixel| {
                    let place = (column + pixel % 4, row + pixel / 4);
                    example.picture.get_pixel(place.0, place.1).0
                });
                named += 1;
                right += u32::from(pixels.any(|pixel| distance(pixel) < 55));
            }
        }
        assert!(
            f64::from(right) > 0.97 * f64::from(named),
            "{right} of {named}"
        );
    }
}
