//! Pillow's resizing, exact to the last level.
//!
//! Other libraries use the same filters but round differently, so some pixels differ by a level. The steps are those of
//! Pillow's `Resample.c`: each output pixel is a weighted mean of the input pixels under the filter, which is stretched
//! if the picture shrinks (Turkowski 1990, "Filters for Common Resampling Tasks"). The weights are fixed-point numbers
//! with 22 bits after the point. Rows are resized first and their levels rounded to 8 bits, then columns.

use std::f64::consts::PI;

use crate::picture::Picture;

/// A height and a width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) height: u32,
    pub(crate) width: u32,
}

/// The size to which pictures are resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResizeTarget {
    /// Exactly this size, so that the aspect ratio may change.
    Exact(Size),
    /// The shorter edge gets this length, and the aspect ratio stays the same.
    ShortestEdge(u32),
}

/// Where the middle is if there are more pixels on one of its sides than on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OddMargin {
    /// One pixel further up and left (Hugging Face's `center_crop`).
    SmallerFirst,
    /// Half of it is rounded to the nearest even number (torchvision's `CenterCrop`).
    RoundedToEven,
}

impl OddMargin {
    /// The number of pixels before a crop that leaves out `margin` pixels; negative numbers are added.
    pub(crate) fn before(self, margin: i64) -> i64 {
        let smaller = margin.div_euclid(2);
        match self {
            Self::RoundedToEven if margin > 0 && margin % 4 == 3 => smaller + 1,
            Self::SmallerFirst | Self::RoundedToEven => smaller,
        }
    }
}

/// A crop of the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crop {
    pub(crate) size: Size,
    pub(crate) odd_margin: OddMargin,
}

/// The filters of Pillow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// The nearest pixel.
    Nearest,
    Lanczos,
    Bilinear,
    Bicubic,
    Box,
    Hamming,
}

/// The number of bits after the point of a weight. Sums of weights and levels stay within 32 bits.
const PRECISION: u32 = 32 - 8 - 2;

impl Filter {
    /// The filters in the order of their numbers in Pillow.
    pub(crate) const NUMBERED: [Self; 6] = [
        Self::Nearest,
        Self::Lanczos,
        Self::Bilinear,
        Self::Bicubic,
        Self::Box,
        Self::Hamming,
    ];

    /// Half the width of the filter, in output pixels if the picture shrinks, else in input pixels.
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight at a distance of `x`, before all weights are divided by their sum.
    fn weight(self, x: f64) -> f64 {
        let sinc = |x: f64| {
            if x == 0.0 {
                1.0
            } else {
                (x * PI).sin() / (x * PI)
            }
        };
        let distance = x.abs();
        match self {
            Self::Nearest => 0.0,
            Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bilinear => (1.0 - distance).max(0.0),
            Self::Hamming if distance >= 1.0 => 0.0,
            Self::Hamming => sinc(distance) * (0.54 + 0.46 * (distance * PI).cos()),
            // The parameter a is -0.5.
            Self::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => {
                (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5
            }
            Self::Bicubic => 0.0,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

/// The composition of one output pixel: the weights of neighbouring input pixels, starting at `first`.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The picture at another size.
pub(crate) fn resize(picture: Picture, width: u32, height: u32, filter: Filter) -> Picture {
    if filter == Filter::Nearest {
        return nearest(&picture, width, height);
    }
    let rows = resize_rows(picture, width, filter);
    resize_columns(rows, height, filter)
}

fn taps(source: u32, target: u32, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(source) / f64::from(target);
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let of_pixel = |pixel: u32| {
        let centre = (f64::from(pixel) + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let end = ((centre + support + 0.5) as usize).min(source as usize);
        let weights: Vec<f64> = (first..end)
            .map(|place| filter.weight((place as f64 - centre + 0.5) / stretch))
            .collect();
        let sum: f64 = weights.iter().sum();
        let whole = |weight: f64| (weight / sum * f64::from(1 << PRECISION)).round() as i32;
        Taps {
            first,
            weights: weights.into_iter().map(whole).collect(),
        }
    };
    (0..target).map(of_pixel).collect()
}

/// A sum of weighted levels as a level.
fn level(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

fn resize_rows(picture: Picture, width: u32, filter: Filter) -> Picture {
    if picture.width == width {
        return picture;
    }
    let taps = taps(picture.width, width, filter);
    let mut pixels = Vec::with_capacity(3 * taps.len() * picture.height as usize);
    for row in picture.pixels.chunks_exact(3 * picture.width as usize) {
        for Taps { first, weights } in &taps {
            let mut sums = [HALF; 3];
            for (pixel, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                for (sum, &level) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(level) * weight;
                }
            }
            pixels.extend(sums.map(level));
        }
    }
    Picture {
        width,
        pixels,
        ..picture
    }
}

fn resize_columns(picture: Picture, height: u32, filter: Filter) -> Picture {
    if picture.height == height {
        return picture;
    }
    let length = 3 * picture.width as usize;
    let taps = taps(picture.height, height, filter);
    let mut pixels = Vec::with_capacity(length * taps.len());
    let mut sums = vec![0; length];
    for Taps { first, weights } in taps {
        sums.fill(HALF);
        let rows = picture.pixels[first * length..].chunks_exact(length);
        for (row, weight) in rows.zip(weights) {
            for (sum, &level) in sums.iter_mut().zip(row) {
                *sum += i32::from(level) * weight;
            }
        }
        pixels.extend(sums.iter().map(|&sum| level(sum)));
    }
    Picture {
        height,
        pixels,
        ..picture
    }
}

fn nearest(picture: &Picture, width: u32, height: u32) -> Picture {
    // Pillow adds up step by step, which rounds differently from a product.
    let places = |source: u32, target: u32| -> Vec<usize> {
        let scale = f64::from(source) / f64::from(target);
        let centres = std::iter::successors(Some(0.5 * scale), |centre| Some(centre + scale));
        let places = centres.map(|centre| (centre as usize).min(source as usize - 1));
        places.take(target as usize).collect()
    };
    let columns = places(picture.width, width);
    let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
    for row in places(picture.height, height) {
        let row = &picture.pixels[3 * row * picture.width as usize..];
        for column in &columns {
            pixels.extend_from_slice(&row[3 * column..][..3]);
        }
    }
    Picture {
        width,
        height,
        pixels,
    }
}
