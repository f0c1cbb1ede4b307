use image::RgbImage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{NOISE, TARGET, draw_one, free_place, other_colour};
use crate::Shape;
use crate::drawing::{Canvas, Pose};

/// The number of classes, for 1 to 6 objects.
pub(super) const CLASSES: u32 = 6;

const SHAPES: [Shape; 4] = [Shape::Disc, Shape::Square, Shape::Triangle, Shape::Cross];

pub(super) fn name(class: u32) -> String {
    (class + 1).to_string()
}

/// Sizes and the number of other objects are random, so neither the red area nor the number of all objects reveals the
/// count.
pub(super) fn draw(class: u32, random: &mut ChaCha8Rng) -> RgbImage {
    let mut canvas = Canvas::new(random);
    let wanted = class as usize + 1;
    let others = random.random_range(0..=3_u32) as usize;
    let poses = loop {
        let poses = places(wanted + others, random);
        if let Some(poses) = poses {
            break poses;
        }
    };
    for (index, pose) in poses.iter().enumerate() {
        let colour = match index < wanted {
            true => TARGET,
            false => other_colour(random),
        };
        let place = (pose.x, pose.y, pose.radius);
        draw_one(&mut canvas, &SHAPES, place, colour, random);
    }
    canvas.finish(NOISE, random)
}

/// Places apart from each other, or `None` if the first ones leave no room.
fn places(count: usize, random: &mut ChaCha8Rng) -> Option<Vec<Pose>> {
    let mut poses = Vec::with_capacity(count);
    for _ in 0..count {
        let radius = random.random_range(36..=68);
        poses.push(free_place(radius, 8, &poses, random)?);
    }
    Some(poses)
}
