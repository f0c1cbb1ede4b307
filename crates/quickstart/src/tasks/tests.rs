//! The labels can be recovered from the pixels alone.

use std::collections::BTreeSet;

use super::*;

/// Whether each pixel is clearly red: neither background nor another colour.
fn red(picture: &RgbImage) -> Vec<bool> {
    let is_red = |pixel: &image::Rgb<u8>| {
        let [red, green, blue] = pixel.0.map(i32::from);
        red - green.max(blue) > 50
    };
    picture.pixels().map(is_red).collect()
}

/// The number of groups of adjacent red pixels.
fn components(picture: &RgbImage) -> u32 {
    let side = SIDE as usize;
    let mut left = red(picture);
    let mut found = 0;
    for start in 0..left.len() {
        let mut reached = vec![start];
        let mut size = 0;
        while let Some(pixel) = reached.pop() {
            if std::mem::take(&mut left[pixel]) {
                size += 1;
                let (row, column) = (pixel / side, pixel % side);
                let rows = row.saturating_sub(1)..=(row + 1).min(side - 1);
                reached.extend(rows.flat_map(|row| {
                    let columns = column.saturating_sub(1)..=(column + 1).min(side - 1);
                    columns.map(move |column| row * side + column)
                }));
            }
        }
        found += u32::from(size > 0);
    }
    found
}

/// The centres of the red pixels, in pixels from the upper left corner.
fn points(picture: &RgbImage) -> Vec<(f64, f64)> {
    let positions = red(picture).into_iter().enumerate().filter(|(_, red)| *red);
    let centre = |pixel: u32| f64::from(pixel) + 0.5;
    positions
        .map(|(pixel, _)| (centre(pixel as u32 % SIDE), centre(pixel as u32 / SIDE)))
        .collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// The direction in which the red pixels point: along their longer axis, towards the side where they extend further
/// from their middle.
fn direction_of(points: &[(f64, f64)]) -> f64 {
    let centre_x = mean(points.iter().map(|&(x, _)| x));
    let centre_y = mean(points.iter().map(|&(_, y)| y));
    let offsets = points.iter().map(|&(x, y)| (x - centre_x, y - centre_y));
    let (xx, yy, xy) = (
        mean(offsets.clone().map(|(x, _)| x * x)),
        mean(offsets.clone().map(|(_, y)| y * y)),
        mean(offsets.clone().map(|(x, y)| x * y)),
    );
    let axis = 0.5 * (2.0 * xy).atan2(xx - yy);
    let third = mean(offsets.map(|(x, y)| (x * axis.cos() + y * axis.sin()).powi(3)));
    let turned = if third < 0.0 { 180.0 } else { 0.0 };
    (axis.to_degrees() + turned).rem_euclid(360.0)
}

/// The share of pictures whose class can be recovered from the pixels.
fn recovered(task: DrawnTask, class_of: impl Fn(&RgbImage) -> u32) -> f64 {
    let right = |index: &u32| {
        let picture = task.picture(DrawnPart::Test, *index, 1);
        class_of(&picture) == task.class(*index)
    };
    (0..300).filter(right).count() as f64 / 300.0
}

#[test]
fn red_objects_can_be_counted() {
    let share = recovered(DrawnTask::Counting, |picture| components(picture) - 1);
    assert!(share >= 0.97, "{share}");
}

#[test]
fn the_red_object_stands_in_its_cell() {
    let share = recovered(DrawnTask::Location, |picture| {
        let points = points(picture);
        let cell = |middle: f64| (middle * 4.0 / f64::from(SIDE)) as u32;
        let column = cell(mean(points.iter().map(|&(x, _)| x)));
        4 * cell(mean(points.iter().map(|&(_, y)| y))) + column
    });
    assert!(share >= 0.97, "{share}");
}

#[test]
fn pointers_point_where_they_should() {
    let share = recovered(DrawnTask::Orientation, |picture| {
        (direction_of(&points(picture)) / 45.0).round() as u32 % 8
    });
    assert!(share >= 0.97, "{share}");
}

#[test]
fn classes_are_as_frequent_as_one_another_and_have_names_of_their_own() {
    for task in DrawnTask::ALL {
        let names: BTreeSet<String> = (0..task.classes()).map(|c| task.class_name(c)).collect();
        assert_eq!(names.len() as u32, task.classes());
        for part in DrawnPart::ALL {
            let mut counts = vec![0_u32; task.classes() as usize];
            (0..part.pictures()).for_each(|index| counts[task.class(index) as usize] += 1);
            let (least, most) = (counts.iter().min(), counts.iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1, "{task:?} {part:?}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_pictures_and_no_picture_twice() {
    for task in DrawnTask::ALL {
        let mut seen = BTreeSet::new();
        for part in DrawnPart::ALL {
            for index in 0..100 {
                let picture = task.picture(part, index, 5);
                assert_eq!(picture, task.picture(part, index, 5));
                assert_ne!(picture, task.picture(part, index, 6));
                assert!(seen.insert(picture.into_raw()), "{part:?} {index}");
            }
        }
    }
}
