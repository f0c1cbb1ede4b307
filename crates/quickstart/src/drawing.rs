//! Anti-aliased pictures of shapes.
//!
//! All random numbers are integers, and everything computed from them uses only additions, products and quotients, for
//! which IEEE 754 specifies the rounding. So a picture has the same pixels on every machine.

use image::{Rgb, RgbImage};
use rand::Rng;

use crate::Shape;

/// The height and width of a picture in pixels.
pub const SIDE: u32 = 32;

/// The number of units in a pixel. Lengths are given in these units.
pub const UNITS: i32 = 16;

/// The number of sample points of a pixel in each direction.
const SAMPLES: u32 = 4;

/// Red, green and blue.
pub type Colour = [u8; 3];

/// Colours that are easy to tell apart.
pub const COLOURS: [Colour; 6] = [
    [220, 50, 50],
    [50, 190, 70],
    [70, 90, 230],
    [225, 205, 60],
    [205, 70, 205],
    [70, 205, 215],
];

/// The position, size and rotation of a shape. Lengths are in parts of a pixel ([`UNITS`]), from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pose {
    /// The column of the centre.
    pub x: i32,
    /// The row of the centre.
    pub y: i32,
    /// Half the extent.
    pub radius: i32,
    /// The clockwise rotation, in degrees.
    pub turn: i32,
}

impl Pose {
    /// Whether two shapes are at least `gap` apart, in parts of a pixel.
    #[must_use]
    pub fn is_apart(&self, other: &Self, gap: i32) -> bool {
        let distance = self.radius + other.radius + gap;
        (self.x - other.x).pow(2) + (self.y - other.y).pow(2) >= distance.pow(2)
    }
}

/// A picture that is being drawn.
#[derive(Debug, Clone)]
pub struct Canvas {
    levels: Vec<[f32; 3]>,
    /// The shape on top of each pixel, as its number in the order of drawing, from 1, or 0 for the background.
    on_top: Vec<usize>,
    drawn: usize,
}

impl Canvas {
    /// A canvas with a dark background, uniform or with a gradient.
    #[must_use]
    pub fn new(random: &mut impl Rng) -> Self {
        let mut colour = || {
            let grey = random.random_range(15..=70);
            std::array::from_fn(|_| (grey + random.random_range(0..=25)) as f32)
        };
        let (from, to): ([f32; 3], [f32; 3]) = (colour(), colour());
        let (right, down) = direction(random.random_range(0..360));
        let pixels = (0..SIDE).flat_map(|row| (0..SIDE).map(move |column| (column, row)));
        let levels = pixels.map(|(column, row)| {
            let offset = |pixel: u32| (pixel as f32 + 0.5) / SIDE as f32 - 0.5;
            let share = (offset(column) * right + offset(row) * down) * 0.7 + 0.5;
            std::array::from_fn(|channel| mix(from[channel], to[channel], share))
        });
        Self::of(levels.collect())
    }

    fn of(levels: Vec<[f32; 3]>) -> Self {
        Self {
            on_top: vec![0; levels.len()],
            levels,
            drawn: 0,
        }
    }

    /// The shape visible at each pixel, row by row, as its number in the order of drawing, from 1, or 0 for the
    /// background.
    #[must_use]
    pub fn on_top(&self) -> &[usize] {
        &self.on_top
    }

    /// Draws a shape over what is already there.
    pub fn draw(&mut self, shape: Shape, pose: &Pose, colour: Colour) {
        self.drawn += 1;
        let (cosine, sine) = direction(pose.turn);
        let pixels = |length: i32| length as f32 / UNITS as f32;
        let (x, y, radius) = (pixels(pose.x), pixels(pose.y), pixels(pose.radius));
        let range = |centre: f32| {
            let first = (centre - radius).max(0.0) as u32;
            first..(centre + radius + 1.0).clamp(0.0, SIDE as f32) as u32
        };
        for row in range(y) {
            for column in range(x) {
                let places =
                    (0..SAMPLES).flat_map(|down| (0..SAMPLES).map(move |right| (right, down)));
                let covered = places.filter(|&(right, down)| {
                    let place =
                        |pixel: u32, step: u32| pixel as f32 + (step as f32 + 0.5) / SAMPLES as f32;
                    let dx = (place(column, right) - x) / radius;
                    let dy = (place(row, down) - y) / radius;
                    shape.contains(dx * cosine + dy * sine, dy * cosine - dx * sine)
                });
                let share = covered.count() as f32 / (SAMPLES * SAMPLES) as f32;
                let pixel = (row * SIDE + column) as usize;
                if share >= 0.5 {
                    self.on_top[pixel] = self.drawn;
                }
                for (level, wanted) in self.levels[pixel].iter_mut().zip(colour) {
                    *level = mix(*level, f32::from(wanted), share);
                }
            }
        }
    }

    /// The picture with noise on every channel of every pixel: the sum of two numbers drawn from -`strength` to
    /// `strength`.
    #[must_use]
    pub fn finish(self, strength: i32, random: &mut impl Rng) -> RgbImage {
        let mut levels = self.levels.into_iter();
        RgbImage::from_fn(SIDE, SIDE, |_, _| {
            let pixel = levels.next().unwrap_or_default();
            Rgb(pixel.map(|level| {
                let mut noise = || random.random_range(-strength..=strength);
                (level + (noise() + noise()) as f32).clamp(0.0, 255.0) as u8
            }))
        })
    }
}

/// A colour similar to this one.
#[must_use]
pub fn vary(colour: Colour, random: &mut impl Rng) -> Colour {
    colour.map(|level| level.saturating_add_signed(random.random_range(-25..=25)))
}

fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

/// The cosine and sine, computed from their series because the functions of the system differ between machines.
fn direction(degrees: i32) -> (f32, f32) {
    let angle = f64::from(degrees.rem_euclid(360) - 180) * std::f64::consts::PI / 180.0;
    // Half a turn less keeps the series short, and changes the sign of both.
    let (mut cosine, mut sine, mut term) = (0.0, 0.0, -1.0);
    for power in 0..15 {
        let even = f64::from(2 * power);
        cosine += term;
        sine += term * angle / (even + 1.0);
        term *= -angle * angle / ((even + 1.0) * (even + 2.0));
    }
    (cosine as f32, sine as f32)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn directions_are_cosine_and_sine() {
        for degrees in -400..400 {
            let (cosine, sine) = direction(degrees);
            let angle = f64::from(degrees).to_radians();
            assert!((f64::from(cosine) - angle.cos()).abs() < 1e-6, "{degrees}");
            assert!((f64::from(sine) - angle.sin()).abs() < 1e-6, "{degrees}");
        }
    }

    /// A disc of 8 pixels' radius (0.9 of it, as its shape says) covers pi (0.9 * 8)^2 pixels.
    #[test]
    fn edges_are_covered_in_part() {
        let mut canvas = Canvas::of(vec![[0.0; 3]; (SIDE * SIDE) as usize]);
        let pose = Pose {
            x: 16 * UNITS,
            y: 16 * UNITS,
            radius: 8 * UNITS,
            turn: 0,
        };
        canvas.draw(Shape::Disc, &pose, [200, 100, 0]);
        let sum: f32 = canvas.levels.iter().map(|levels| levels[0] / 200.0).sum();
        let expected = std::f32::consts::PI * 7.2 * 7.2;
        assert!((sum - expected).abs() < 0.01 * expected, "{sum}");
        let seen = canvas.on_top().iter().filter(|&&shape| shape == 1).count();
        assert!((seen as f32 - expected).abs() < 0.03 * expected, "{seen}");
        assert!(canvas.levels.iter().any(|levels| levels[0] == 200.0));
        assert!(
            canvas
                .levels
                .iter()
                .any(|&[red, ..]| red > 0.0 && red < 200.0)
        );
    }

    /// After a turn of 90 degrees, what pointed to the right points down.
    #[test]
    fn turns_are_clockwise() {
        let middle = |turn| {
            let mut canvas = Canvas::of(vec![[0.0; 3]; (SIDE * SIDE) as usize]);
            let (x, y, radius) = (16 * UNITS, 16 * UNITS, 10 * UNITS);
            canvas.draw(Shape::Pointer, &Pose { x, y, radius, turn }, [255; 3]);
            let tip = |column: usize, row: usize| canvas.levels[row * SIDE as usize + column][0];
            (tip(20, 16), tip(16, 20))
        };
        let (right, down) = middle(0);
        assert!(right > 200.0 && down == 0.0);
        let (right, down) = middle(90);
        assert!(right == 0.0 && down > 200.0);
    }

    #[test]
    fn noise_stays_within_its_strength() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let canvas = Canvas::of(vec![[100.0; 3]; (SIDE * SIDE) as usize]);
        let picture = canvas.finish(6, &mut random);
        let levels: Vec<u8> = picture.into_raw();
        assert!(levels.iter().all(|level| (88..=112).contains(level)));
        assert!(levels.contains(&92) && levels.contains(&108));
    }
}
