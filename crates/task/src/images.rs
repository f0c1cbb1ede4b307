//! The picture preprocessing of a backbone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{ResizeOptions, Resizer};
use rayon::prelude::*;

use crate::picture::{self, Picture};
use crate::preprocessing::{Preprocessing, ResizeTarget, Size};
use crate::rows::Row;
use crate::{Images, TaskError};

/// The picture preprocessing of a backbone folder.
#[derive(Clone, Debug)]
pub struct ImageEncoder {
    preprocessing: Arc<Preprocessing>,
    levels: Arc<[[f32; 256]; 3]>,
    image_size: usize,
}

impl ImageEncoder {
    /// Reads `preprocessor_config.json` of a backbone that takes square pictures of `image_size` pixels a side with
    /// `channels` channels. The file means what it means to Hugging Face's image processors: resize as Pillow does,
    /// centre crop, `(level * rescale_factor - mean) / std`; a missing key means what `ViTImageProcessor` does.
    ///
    /// # Errors
    /// When the file is missing or says something that cannot be done, makes pictures of another size than
    /// `image_size`, or `channels` is not 3.
    pub fn from_folder(
        backbone_folder: &Path,
        image_size: usize,
        channels: usize,
    ) -> Result<Self, TaskError> {
        let path = preprocessing_path(backbone_folder);
        if channels != 3 {
            return Err(TaskError::InvalidPreprocessing {
                path,
                message: format!(
                    "it makes pictures of 3 channels, but the backbone takes {channels}; only 3 are supported"
                ),
            });
        }
        let Some(preprocessing) = read(&path)? else {
            return Err(TaskError::InvalidPreprocessing {
                path,
                message: "it does not exist; take it from where the backbone came from".to_owned(),
            });
        };
        if let Some(size) = preprocessing.fixed_size()
            && !is_square_of(size, image_size)
        {
            return Err(TaskError::PreprocessedSize {
                path,
                height: u64::from(size.height),
                width: u64::from(size.width),
                image_size,
            });
        }
        Ok(ImageEncoder {
            levels: Arc::new(preprocessing.levels),
            preprocessing: Arc::new(preprocessing),
            image_size,
        })
    }

    /// Height and width of the squares that `preprocessor_config.json` makes of every picture; nothing where there is no
    /// such file, or it makes no squares of one size.
    ///
    /// # Errors
    /// When the file says something that cannot be done.
    pub fn picture_size(backbone_folder: &Path) -> Result<Option<usize>, TaskError> {
        let preprocessing = read(&preprocessing_path(backbone_folder))?;
        let size = preprocessing.and_then(|preprocessing| preprocessing.fixed_size());
        Ok(size
            .filter(|size| size.height == size.width)
            .map(|size| size.height as usize))
    }

    /// Decodes, resizes and crops the pictures, in parallel on the current rayon pool.
    pub(crate) fn encode(&self, rows: &[&Row<()>]) -> Result<Images, TaskError> {
        let pictures: Result<Vec<Picture>, TaskError> = rows
            .par_iter()
            .map(|row| self.encode_picture(&row.place.path))
            .collect::<Vec<_>>()
            // collected in order first: the error reported is that of the first wrong picture, whatever the threads do
            .into_iter()
            .collect();
        let mut pixels = Vec::with_capacity(rows.len() * 3 * self.image_size * self.image_size);
        for picture in pictures? {
            pixels.extend_from_slice(&picture.pixels);
        }
        Ok(Images {
            count: rows.len(),
            height: self.image_size,
            width: self.image_size,
            pixels,
            levels: Arc::clone(&self.levels),
        })
    }

    fn encode_picture(&self, path: &Path) -> Result<Picture, TaskError> {
        let mut picture = picture::read(path)?;
        if let Some((target, algorithm)) = self.preprocessing.resize {
            let (width, height) = resized_size(target, &picture);
            // in between it has the new width and the old height
            picture::check_size(path, width, height.max(u64::from(picture.height)))?;
            let options = ResizeOptions::new().resize_alg(algorithm);
            picture = resize(picture, width as u32, height as u32, &options);
        }
        if let Some(size) = self.preprocessing.crop {
            picture = centre_crop(&picture, size);
        }
        let size = Size {
            height: picture.height,
            width: picture.width,
        };
        if !is_square_of(size, self.image_size) {
            return Err(TaskError::PictureSize {
                path: PathBuf::from(path),
                height: u64::from(size.height),
                width: u64::from(size.width),
                image_size: self.image_size,
            });
        }
        Ok(picture)
    }
}

fn preprocessing_path(backbone_folder: &Path) -> PathBuf {
    backbone_folder.join("preprocessor_config.json")
}

/// Nothing if there is no such file.
fn read(path: &Path) -> Result<Option<Preprocessing>, TaskError> {
    match fs::read(path) {
        Ok(content) => Preprocessing::parse(&content, path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TaskError::InvalidPreprocessing {
            path: path.to_owned(),
            message: error.to_string(),
        }),
    }
}

fn is_square_of(size: Size, length: usize) -> bool {
    size.height as usize == length && size.width as usize == length
}

/// Width and height after resizing; the longer edge is rounded down, as in Hugging Face's
/// `get_resize_output_image_size`.
fn resized_size(target: ResizeTarget, picture: &Picture) -> (u64, u64) {
    let (width, height) = (u64::from(picture.width), u64::from(picture.height));
    match target {
        ResizeTarget::Exact(size) => (u64::from(size.width), u64::from(size.height)),
        ResizeTarget::ShortestEdge(shortest) => {
            let shortest = u64::from(shortest);
            let longest = shortest * width.max(height) / width.min(height);
            match width <= height {
                true => (shortest, longest),
                false => (longest, shortest),
            }
        }
    }
}

/// Resizes as Pillow does: the rows first and then the columns, with levels rounded to 8 bits in between. (One call for
/// both would begin with the columns; on a sharp picture that makes a difference of several levels.)
fn resize(picture: Picture, width: u32, height: u32, options: &ResizeOptions) -> Picture {
    let source_height = picture.height;
    let across = resize_at_once(picture, width, source_height, options);
    resize_at_once(across, width, height, options)
}

fn resize_at_once(picture: Picture, width: u32, height: u32, options: &ResizeOptions) -> Picture {
    if (picture.width, picture.height) == (width, height) {
        return picture;
    }
    let mut pixels = vec![0; width as usize * height as usize * 3];
    // typed, because an image of any type would compile the resizing of every type
    let source = TypedImageRef::<U8x3>::from_buffer(picture.width, picture.height, &picture.pixels)
        .expect("a picture has three bytes per pixel");
    let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut pixels)
        .expect("there are three bytes per pixel");
    Resizer::new()
        .resize_typed(&source, &mut target, options)
        .expect("the whole source is used");
    Picture {
        width,
        height,
        pixels,
    }
}

/// The middle of the picture, one pixel further up and left where it cannot be exact; black where the picture is
/// smaller than `size`. As Hugging Face's `center_crop`.
fn centre_crop(picture: &Picture, size: Size) -> Picture {
    let top = (i64::from(picture.height) - i64::from(size.height)).div_euclid(2);
    let left = (i64::from(picture.width) - i64::from(size.width)).div_euclid(2);
    let (width, height) = (i64::from(picture.width), i64::from(picture.height));
    let mut pixels = Vec::with_capacity(size.height as usize * size.width as usize * 3);
    for row in top..top + i64::from(size.height) {
        for column in left..left + i64::from(size.width) {
            if (0..height).contains(&row) && (0..width).contains(&column) {
                let start = (row * width + column) as usize * 3;
                pixels.extend_from_slice(&picture.pixels[start..start + 3]);
            } else {
                pixels.extend_from_slice(&[0; 3]);
            }
        }
    }
    Picture {
        width: size.width,
        height: size.height,
        pixels,
    }
}

#[cfg(test)]
mod tests;
