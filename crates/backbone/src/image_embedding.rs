//! The embedding of pictures in ViT and related models.

use adaplace_arithmetic::Norm;

use crate::bicubic::Bicubic;
use crate::checkpoint::Checkpoint;
use crate::layers::normalize;
use crate::projection::Projection;
use crate::{BackboneError, InputDescription};

/// The largest height and width, in pixels: far above any model, and small enough that its square is a number of
/// tokens.
pub(crate) const LARGEST_IMAGE: usize = 16_384;

/// Embeds the extra tokens and then the patches, each with its position, and registers, which have none, between them. A
/// layer norm may follow.
#[derive(Debug, Clone)]
pub(crate) struct ImageEmbedding {
    model_type: &'static str,
    /// The convolution over patches, from (channels * patch * patch).
    projection: Projection,
    /// The extra tokens, (extra, width).
    extra_tokens: Vec<f32>,
    /// The registers, (registers, width).
    registers: Vec<f32>,
    interpolation: Bicubic,
    /// The positions for the image size of the checkpoint, (extra + patches, width).
    stored_positions: Vec<f32>,
    /// The positions for the image size that is read, (extra + patches, width).
    positions: Vec<f32>,
    geometry: Geometry,
    norm: Option<Norm>,
}

/// The weights of an embedding.
pub(crate) struct ImageWeights {
    /// The convolution over patches, (width, channels, patch, patch) and (width).
    pub(crate) projection: (Vec<f32>, Vec<f32>),
    /// The tokens that come before the patches and have positions, (extra, width).
    pub(crate) extra_tokens: Vec<f32>,
    /// The tokens between them and the patches that have none, (registers, width).
    pub(crate) registers: Vec<f32>,
    /// (extra + patches, width).
    pub(crate) positions: Vec<f32>,
    pub(crate) interpolation: Bicubic,
    /// What follows.
    pub(crate) norm: Option<Norm>,
}

/// What comes before the patches.
pub(crate) struct Tokens<'a> {
    /// The names of the first tokens, in order. The first one is read out.
    pub(crate) extra: &'a [&'a str],
    /// Whether the stored positions begin with those of these tokens. If not, nothing is added to them.
    pub(crate) placed: bool,
    /// The number of registers, which have none (Darcet et al., 2024).
    pub(crate) registers: usize,
    /// The interpolation of the patches' positions.
    pub(crate) interpolation: Bicubic,
}

/// The sizes in pixels, and the number of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) image_size: usize,
    pub(crate) patch_size: usize,
    pub(crate) channels: usize,
}

impl Geometry {
    /// The number of patches along a side.
    pub(crate) fn grid(self) -> usize {
        self.image_size / self.patch_size
    }
}

impl ImageEmbedding {
    /// Reads the embedding from a checkpoint.
    pub(crate) fn take(
        checkpoint: &mut Checkpoint,
        model_type: &'static str,
        tokens: &Tokens<'_>,
        geometry: Geometry,
        width: usize,
    ) -> Result<Self, BackboneError> {
        let Geometry {
            patch_size: patch,
            channels,
            ..
        } = geometry;
        let mut extra_tokens = Vec::new();
        for name in tokens.extra {
            extra_tokens.extend(checkpoint.take(&format!("embeddings.{name}"), &[1, 1, width])?);
        }
        let registers = match tokens.registers {
            0 => Vec::new(),
            count => checkpoint.take("embeddings.register_tokens", &[1, count, width])?,
        };
        let of_patches = geometry.grid().pow(2);
        let (before, unplaced) = match tokens.placed {
            true => (tokens.extra.len(), 0),
            false => (0, tokens.extra.len()),
        };
        let mut positions = vec![0.0; unplaced * width];
        let shape = [1, before + of_patches, width];
        positions.extend(checkpoint.take("embeddings.position_embeddings", &shape)?);
        let projection = checkpoint.take(
            "embeddings.patch_embeddings.projection.weight",
            &[width, channels, patch, patch],
        )?;
        let bias = checkpoint.take("embeddings.patch_embeddings.projection.bias", &[width])?;
        let weights = ImageWeights {
            projection: (projection, bias),
            extra_tokens,
            registers,
            positions,
            interpolation: tokens.interpolation,
            norm: None,
        };
        Ok(Self::new(model_type, weights, geometry))
    }

    pub(crate) fn new(model_type: &'static str, weights: ImageWeights, geometry: Geometry) -> Self {
        let (projection, bias) = weights.projection;
        Self {
            model_type,
            projection: Projection::new(&projection, bias),
            extra_tokens: weights.extra_tokens,
            registers: weights.registers,
            interpolation: weights.interpolation,
            stored_positions: weights.positions.clone(),
            positions: weights.positions,
            geometry,
            norm: weights.norm,
        }
    }

    /// The number of patches along a side.
    pub(crate) fn grid(&self) -> usize {
        self.geometry.grid()
    }

    fn width(&self) -> usize {
        self.projection.outputs()
    }

    pub(crate) fn description(&self) -> InputDescription {
        let Geometry {
            image_size,
            patch_size,
            channels,
        } = self.geometry;
        InputDescription::Image {
            image_size,
            patch_size,
            channels,
            extra_tokens: (self.extra_tokens.len() + self.registers.len()) / self.width(),
        }
    }

    /// Switches to pictures of this size, for which the positions of the patches are interpolated from the stored ones.
    pub(crate) fn set_image_size(&mut self, image_size: usize) -> Result<(), BackboneError> {
        let patch_size = self.geometry.patch_size;
        if !(patch_size..=LARGEST_IMAGE).contains(&image_size)
            || !image_size.is_multiple_of(patch_size)
        {
            return Err(BackboneError::ImageSize {
                image_size,
                patch_size,
                largest: LARGEST_IMAGE,
            });
        }
        self.geometry.image_size = image_size;
        let (of_extra, of_patches) = self.stored_positions.split_at(self.extra_tokens.len());
        let stored = (of_patches.len() / self.width()).isqrt();
        let grid = self.geometry.grid();
        self.positions = if stored == grid {
            self.stored_positions.clone()
        } else {
            let resized = self
                .interpolation
                .resize(of_patches, stored, grid, self.width());
            [of_extra, &resized].concat()
        };
        Ok(())
    }

    /// Maps pixels of this shape, (images, channels, height, width), to tokens, (images x (extra + patches), width).
    pub(crate) fn forward(
        &self,
        shape: [usize; 4],
        pixels: &[f32],
    ) -> Result<Vec<f32>, BackboneError> {
        let [images, channels, height, width] = shape;
        let Geometry {
            image_size: size,
            channels: channels_read,
            ..
        } = self.geometry;
        if (channels, height, width) != (channels_read, size, size) {
            return Err(BackboneError::Inputs {
                model_type: self.model_type,
                expected: format!("images of {channels_read} x {size} x {size}"),
                found: format!("images of {channels} x {height} x {width}"),
            });
        }
        let projected = self.project(images, pixels);
        let (of_extra, of_patches) = self.positions.split_at(self.extra_tokens.len());
        let of_image = self.positions.len() + self.registers.len();
        let mut tokens = Vec::with_capacity(images * of_image);
        let at = |(&x, &position): (&f32, &f32)| x + position;
        for projected in projected.chunks_exact(of_patches.len()) {
            tokens.extend(self.extra_tokens.iter().zip(of_extra).map(at));
            tokens.extend_from_slice(&self.registers);
            tokens.extend(projected.iter().zip(of_patches).map(at));
        }
        if let Some(norm) = &self.norm {
            tokens
                .chunks_exact_mut(self.width())
                .for_each(|row| normalize(norm, row));
        }
        Ok(tokens)
    }

    /// The products of all patches with the projection, (images x patches, width).
    fn project(&self, images: usize, pixels: &[f32]) -> Vec<f32> {
        let Geometry {
            image_size: size,
            patch_size: patch,
            channels,
        } = self.geometry;
        let grid = self.geometry.grid();
        let mut patches = Vec::with_capacity(images * grid * grid * channels * patch * patch);
        for image in pixels.chunks_exact(channels * size * size) {
            for (y, x) in (0..grid).flat_map(|y| (0..grid).map(move |x| (y, x))) {
                for channel in image.chunks_exact(size * size) {
                    let lines = channel.chunks_exact(size).skip(y * patch).take(patch);
                    patches.extend(lines.flat_map(|line| &line[x * patch..(x + 1) * patch]));
                }
            }
        }
        self.projection.forward(&patches)
    }
}
