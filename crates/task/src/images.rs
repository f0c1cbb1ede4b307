//! The picture preprocessing of a backbone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use crate::image_folder::PictureAt;
use crate::image_processor;
use crate::parquet::StoredPictures;
use crate::picture::{self, Picture};
use crate::preprocessing::Preprocessing;
use crate::resize::{Crop, ResizeTarget, Size, resize};
use crate::rows::Row;
use crate::{Images, Place, TaskError};

/// The number of pictures that are in memory undecoded, or in their original size, at the same time.
const AT_A_TIME: usize = 64;

/// The picture preprocessing of a backbone folder.
#[derive(Clone, Debug)]
pub struct ImageEncoder {
    preprocessing: Arc<Preprocessing>,
    levels: Arc<[[f32; 256]; 3]>,
    image_size: usize,
    /// The name of the file with the settings.
    file: String,
}

impl ImageEncoder {
    /// Reads `preprocessor_config.json`, `processor_config.json` or timm's `config.json` of a backbone that takes square pictures of
    /// `image_size` pixels a side with `channels` channels.
    ///
    /// The file has the meaning that it has for Hugging Face's image processors on Pillow: resize, centre crop,
    /// `(level * rescale_factor - mean) / std`. A missing key has the default of the class that the file names, or that
    /// `AutoImageProcessor` selects for the backbone's `model_type`.
    ///
    /// # Errors
    /// If the file is missing, cannot be honoured or makes pictures of another size than `image_size`, or if `channels`
    /// is not 3.
    pub fn from_folder(
        backbone_folder: &Path,
        image_size: usize,
        channels: usize,
    ) -> Result<Self, TaskError> {
        let path = image_processor::usual_path(backbone_folder);
        if channels != 3 {
            return Err(TaskError::InvalidPreprocessing {
                path,
                message: format!(
                    "it makes pictures of 3 channels, but the backbone takes {channels}; only 3 are supported"
                ),
            });
        }
        let Some(configuration) = image_processor::read(backbone_folder)? else {
            return Err(TaskError::InvalidPreprocessing {
                path,
                message: "it does not exist; get it from where the backbone came from".to_owned(),
            });
        };
        let preprocessing = Preprocessing::of(&configuration)?;
        let path = configuration.path;
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
            file: crate::layout::file_name(&path),
        })
    }

    /// The name of the backbone's file that determines the pixels of a picture.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The height and width of the squares into which the backbone's preprocessing turns every picture, and the file that
    /// says so. `None` if its folder does not specify it, or if the results are not squares of one size.
    ///
    /// # Errors
    /// If the file cannot be honoured.
    pub fn picture_size(backbone_folder: &Path) -> Result<Option<(usize, PathBuf)>, TaskError> {
        let Some(configuration) = image_processor::read(backbone_folder)? else {
            return Ok(None);
        };
        let size = Preprocessing::of(&configuration)?.fixed_size();
        Ok(size
            .filter(|size| size.height == size.width)
            .map(|size| (size.height as usize, configuration.path)))
    }

    /// Decodes, resizes and crops the pictures in parallel on the current rayon pool. Only a few at a time are in
    /// memory in their original size.
    pub(crate) fn encode(&self, rows: &[&Row<PictureAt>]) -> Result<Images, TaskError> {
        let size = 3 * self.image_size * self.image_size;
        let mut pixels = vec![0; rows.len() * size];
        let mut stored = StoredPictures::default();
        for (rows, pixels) in rows
            .chunks(AT_A_TIME)
            .zip(pixels.chunks_mut(AT_A_TIME * size))
        {
            let content = |row: &&Row<PictureAt>| match row.content {
                PictureAt::File => Ok(None),
                PictureAt::Columns(columns) => stored.read(&row.place, columns).map(Some),
            };
            let contents: Result<Vec<_>, TaskError> = rows.iter().map(content).collect();
            let encoded: Vec<Result<(), TaskError>> = rows
                .par_iter()
                .zip(contents?)
                .zip(pixels.par_chunks_mut(size))
                .map(|((row, content), pixels)| {
                    let picture = match content {
                        Some(bytes) => self.encode_picture(bytes.data(), &row.place)?,
                        None => self.encode_picture(&read(&row.place.path)?, &row.place)?,
                    };
                    pixels.copy_from_slice(&picture.pixels);
                    Ok(())
                })
                .collect();
            // Collecting the results in order makes the reported error that of the first broken picture, whatever the
            // threads do.
            encoded.into_iter().collect::<Result<(), TaskError>>()?;
        }
        Ok(Images {
            count: rows.len(),
            height: self.image_size,
            width: self.image_size,
            pixels,
            levels: Arc::clone(&self.levels),
        })
    }

    fn encode_picture(&self, bytes: &[u8], place: &Place) -> Result<Picture, TaskError> {
        let mut picture = picture::decode(bytes, place)?;
        if let Some((target, filter)) = self.preprocessing.resize {
            let (width, height) = resized_size(target, &picture);
            // Between the two passes the picture has the new width and the old height.
            picture::check_size(place, width, height.max(u64::from(picture.height)))?;
            picture = resize(picture, width as u32, height as u32, filter);
        }
        if let Some(crop) = self.preprocessing.crop {
            picture = centre_crop(&picture, crop);
        }
        let size = Size {
            height: picture.height,
            width: picture.width,
        };
        if !is_square_of(size, self.image_size) {
            return Err(TaskError::PictureSize {
                place: place.clone(),
                file: self.file.clone(),
                height: u64::from(size.height),
                width: u64::from(size.width),
                image_size: self.image_size,
            });
        }
        Ok(picture)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TaskError> {
    fs::read(path).map_err(|source| TaskError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn is_square_of(size: Size, length: usize) -> bool {
    size.height as usize == length && size.width as usize == length
}

/// The width and height after resizing. The longer edge is rounded down, as in Hugging Face's
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

/// The middle of the picture, and black where the picture is smaller than the crop.
fn centre_crop(picture: &Picture, Crop { size, odd_margin }: Crop) -> Picture {
    let top = odd_margin.before(i64::from(picture.height) - i64::from(size.height));
    let left = odd_margin.before(i64::from(picture.width) - i64::from(size.width));
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
