//! Three tasks in the style of VTAB's structured group (Zhai et al., 2019), in which the label is not the name of an
//! object.

mod counting;
mod location;
mod orientation;

use std::fs;
use std::path::Path;
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use image::RgbImage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::drawing::{COLOURS, Canvas, Colour, Pose, SIDE, UNITS, vary};
use crate::{QuickstartError, Shape};

/// A drawn task.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Display, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum DrawnTask {
    /// The number of red objects, from 1 to 6, among others in green and blue.
    Counting,
    /// The cell of a grid of 4 x 4 in which the centre of the only red object is.
    Location,
    /// The direction of a pointer, in steps of 45 degrees, clockwise from right.
    Orientation,
}

/// A part of a task, with its folder and its number of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawnPart {
    /// The training part with 600 pictures.
    Train,
    /// The validation part with 500 pictures.
    Validation,
    /// The test part with 500 pictures.
    Test,
}

impl DrawnPart {
    /// All parts of a task.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The name of the part's folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The number of pictures.
    #[must_use]
    pub fn pictures(self) -> u32 {
        match self {
            Self::Train => 600,
            Self::Validation | Self::Test => 500,
        }
    }
}

impl DrawnTask {
    /// All drawn tasks.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name of the task's folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(self) -> u32 {
        match self {
            Self::Counting => counting::CLASSES,
            Self::Location => location::CLASSES,
            Self::Orientation => orientation::CLASSES,
        }
    }

    /// The folder of a class.
    ///
    /// # Panics
    /// If there is no such class.
    #[must_use]
    pub fn class_name(self, class: u32) -> String {
        assert!(class < self.classes(), "there is no class {class}");
        match self {
            Self::Counting => counting::name(class),
            Self::Location => location::name(class),
            Self::Orientation => orientation::name(class),
        }
    }

    /// The class of a picture of any part. All classes are equally frequent, up to one picture.
    #[must_use]
    pub fn class(self, index: u32) -> u32 {
        index % self.classes()
    }

    /// A picture of a part. Every picture of every part of every task has its own random numbers.
    #[must_use]
    pub fn picture(self, part: DrawnPart, index: u32, seed: u64) -> RgbImage {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(((self as u64) << 40) | ((part as u64) << 32) | u64::from(index));
        let class = self.class(index);
        match self {
            Self::Counting => counting::draw(class, &mut random),
            Self::Location => location::draw(class, &mut random),
            Self::Orientation => orientation::draw(class, &mut random),
        }
    }

    /// Writes an image task, `PART/CLASS/0000.png`. Existing files are overwritten.
    ///
    /// # Errors
    /// If a folder or picture cannot be written.
    pub fn write(self, folder: &Path, seed: u64) -> Result<(), QuickstartError> {
        for part in DrawnPart::ALL {
            let part_folder = folder.join(part.name());
            for class in 0..self.classes() {
                let path = part_folder.join(self.class_name(class));
                fs::create_dir_all(&path)
                    .map_err(|source| QuickstartError::Write { path, source })?;
            }
            for index in 0..part.pictures() {
                let class = self.class_name(self.class(index));
                let path = part_folder.join(class).join(format!("{index:04}.png"));
                let picture = self.picture(part, index, seed);
                picture
                    .save(&path)
                    .map_err(|source| QuickstartError::Picture { path, source })?;
            }
        }
        Ok(())
    }
}

/// The colour of the objects that are asked for, if there are others.
const TARGET: Colour = COLOURS[0];
/// The colours of the other objects.
const OTHERS: [Colour; 2] = [COLOURS[1], COLOURS[2]];

/// The largest strength of the noise.
const NOISE: i32 = 6;

/// Draws one of these shapes, with a random rotation and variation of colour.
fn draw_one(
    canvas: &mut Canvas,
    shapes: &[Shape],
    (x, y, radius): (i32, i32, i32),
    colour: Colour,
    random: &mut ChaCha8Rng,
) {
    let shape = shapes[random.random_range(0..shapes.len() as u32) as usize];
    let turn = random.random_range(0..360);
    let pose = Pose { x, y, radius, turn };
    canvas.draw(shape, &pose, vary(colour, random));
}

/// A place completely inside the picture and `gap` apart from the others. `None` if too many were tried.
fn free_place(radius: i32, gap: i32, others: &[Pose], random: &mut ChaCha8Rng) -> Option<Pose> {
    let place = radius..=SIDE as i32 * UNITS - radius;
    (0..100)
        .map(|_| Pose {
            x: random.random_range(place.clone()),
            y: random.random_range(place.clone()),
            radius,
            turn: 0,
        })
        .find(|pose| others.iter().all(|other| pose.is_apart(other, gap)))
}

fn other_colour(random: &mut ChaCha8Rng) -> Colour {
    OTHERS[random.random_range(0..OTHERS.len() as u32) as usize]
}

#[cfg(test)]
mod tests;
