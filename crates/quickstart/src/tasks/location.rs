use image::RgbImage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{NOISE, TARGET, draw_one, free_place, other_colour};
use crate::Shape;
use crate::drawing::{Canvas, Pose, SIDE, UNITS};

/// The number of cells in each direction.
const GRID: u32 = 4;
pub(super) const CLASSES: u32 = GRID * GRID;

/// The height and width of a cell.
const CELL: i32 = SIDE as i32 * UNITS / GRID as i32;
/// The smallest distance of the centre from the edges of its cell.
const MARGIN: i32 = 24;

const SHAPES: [Shape; 4] = [Shape::Disc, Shape::Square, Shape::Triangle, Shape::Cross];

pub(super) fn name(class: u32) -> String {
    format!("row-{}-column-{}", class / GRID + 1, class % GRID + 1)
}

/// Sizes and shapes are random, and so are up to three other objects.
pub(super) fn draw(class: u32, random: &mut ChaCha8Rng) -> RgbImage {
    let mut canvas = Canvas::new(random);
    let mut within = |cell: u32| cell as i32 * CELL + random.random_range(MARGIN..=CELL - MARGIN);
    let (x, y) = (within(class % GRID), within(class / GRID));
    let radius = random.random_range(48..=80);
    let mut poses = vec![Pose {
        x,
        y,
        radius,
        turn: 0,
    }];
    draw_one(&mut canvas, &SHAPES, (x, y, radius), TARGET, random);
    for _ in 0..random.random_range(0..=3) {
        let radius = random.random_range(48..=80);
        if let Some(pose) = free_place(radius, 0, &poses, random) {
            let place = (pose.x, pose.y, radius);
            let colour = other_colour(random);
            draw_one(&mut canvas, &SHAPES, place, colour, random);
            poses.push(pose);
        }
    }
    canvas.finish(NOISE, random)
}
