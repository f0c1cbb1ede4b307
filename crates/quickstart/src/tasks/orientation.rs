use image::RgbImage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{NOISE, TARGET, draw_one, free_place, other_colour};
use crate::Shape;
use crate::drawing::{Canvas, SIDE, UNITS, vary};

/// The number of directions.
pub(super) const CLASSES: u32 = 8;

/// The angle between two directions in degrees.
const STEP: i32 = 360 / CLASSES as i32;
/// The largest deviation of a pointer from its direction in degrees.
const DEVIATION: i32 = 14;

const OTHERS: [Shape; 3] = [Shape::Disc, Shape::Square, Shape::Cross];

pub(super) fn name(class: u32) -> String {
    (class as i32 * STEP).to_string()
}

/// The pointer may be anywhere, and there are up to two small objects of other colours.
pub(super) fn draw(class: u32, random: &mut ChaCha8Rng) -> RgbImage {
    let mut canvas = Canvas::new(random);
    let radius = random.random_range(96..=150);
    let place = radius..=SIDE as i32 * UNITS - radius;
    let pose = crate::Pose {
        x: random.random_range(place.clone()),
        y: random.random_range(place),
        radius,
        turn: class as i32 * STEP + random.random_range(-DEVIATION..=DEVIATION),
    };
    canvas.draw(Shape::Pointer, &pose, vary(TARGET, random));
    for _ in 0..random.random_range(0..=2) {
        let radius = random.random_range(24..=48);
        if let Some(other) = free_place(radius, 0, &[pose], random) {
            let place = (other.x, other.y, radius);
            let colour = other_colour(random);
            draw_one(&mut canvas, &OTHERS, place, colour, random);
        }
    }
    canvas.finish(NOISE, random)
}
