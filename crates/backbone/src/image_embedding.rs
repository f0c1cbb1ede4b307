//! The embedding of pictures in ViT and related models.

use candle_core::Tensor;

use crate::bicubic;
use crate::checkpoint::Checkpoint;
use crate::layers::tensor;
use crate::{BackboneError, InputDescription};

/// The largest height and width, in pixels: far above any model, and small enough that its square is a number of
/// tokens.
pub(crate) const LARGEST_IMAGE: usize = 16_384;

/// Embeds the extra tokens and then the patches, each with its position.
#[derive(Debug)]
pub(crate) struct ImageEmbedding {
    model_type: &'static str,
    /// The convolution over patches as one product, (channels * patch * patch, width).
    projection: Tensor,
    bias: Tensor,
    /// The extra tokens, (1, extra, width).
    extra_tokens: Tensor,
    /// The positions for the image size of the checkpoint, (1, extra + patches, width).
    stored_positions: Tensor,
    /// The positions for the image size that is read, (1, extra + patches, width).
    positions: Tensor,
    geometry: Geometry,
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
    fn grid(self) -> usize {
        self.image_size / self.patch_size
    }
}

impl ImageEmbedding {
    /// Reads the embedding from a checkpoint. `extra` names the tokens that come before the patches, in order.
    pub(crate) fn take(
        checkpoint: &mut Checkpoint,
        model_type: &'static str,
        extra: &[&str],
        geometry: Geometry,
        width: usize,
    ) -> Result<Self, BackboneError> {
        let Geometry {
            patch_size: patch,
            channels,
            ..
        } = geometry;
        let mut extra_tokens = Vec::new();
        for name in extra {
            extra_tokens.extend(checkpoint.take(&format!("embeddings.{name}"), &[1, 1, width])?);
        }
        let tokens = geometry.grid().pow(2) + extra.len();
        let positions = checkpoint.take("embeddings.position_embeddings", &[1, tokens, width])?;
        let positions = tensor(positions, &[1, tokens, width])?;
        let projection = checkpoint.take(
            "embeddings.patch_embeddings.projection.weight",
            &[width, channels, patch, patch],
        )?;
        let bias = checkpoint.take("embeddings.patch_embeddings.projection.bias", &[width])?;
        Ok(Self {
            model_type,
            projection: tensor(projection, &[width, channels * patch * patch])?
                .t()?
                .contiguous()?,
            bias: tensor(bias, &[width])?,
            extra_tokens: tensor(extra_tokens, &[1, extra.len(), width])?,
            stored_positions: positions.clone(),
            positions,
            geometry,
        })
    }

    pub(crate) fn description(&self) -> Result<InputDescription, BackboneError> {
        let Geometry {
            image_size,
            patch_size,
            channels,
        } = self.geometry;
        Ok(InputDescription::Image {
            image_size,
            patch_size,
            channels,
            extra_tokens: self.extra_tokens.dim(1)?,
        })
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
        let (_, extra, width) = self.extra_tokens.dims3()?;
        let patches = self.stored_positions.dim(1)? - extra;
        let (stored, grid) = (patches.isqrt(), self.geometry.grid());
        self.positions = if stored == grid {
            self.stored_positions.clone()
        } else {
            let of_extra = self.stored_positions.narrow(1, 0, extra)?;
            let of_patches = self.stored_positions.narrow(1, extra, patches)?;
            let values = of_patches.flatten_all()?.to_vec1::<f32>()?;
            let resized = bicubic::resize(&values, stored, grid, width);
            Tensor::cat(&[&of_extra, &tensor(resized, &[1, grid * grid, width])?], 1)?
        };
        Ok(())
    }

    /// Maps pixels (rows, channels, height, width) to tokens (rows, extra + patches, width).
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor, BackboneError> {
        let (rows, channels, height, width) = pixels.dims4()?;
        let Geometry {
            image_size: size,
            patch_size: patch,
            channels: channels_read,
        } = self.geometry;
        if (channels, height, width) != (channels_read, size, size) {
            return Err(BackboneError::Inputs {
                model_type: self.model_type,
                expected: format!("images of {channels_read} x {size} x {size}"),
                found: format!("images of {channels} x {height} x {width}"),
            });
        }
        let grid = self.geometry.grid();
        let patches = pixels
            .reshape(&[rows, channels, grid, patch, grid, patch][..])?
            .permute(&[0, 2, 4, 1, 3, 5][..])?
            .reshape((rows * grid * grid, channels * patch * patch))?;
        let projected = patches
            .matmul(&self.projection)?
            .broadcast_add(&self.bias)?
            .reshape((rows, grid * grid, self.bias.dim(0)?))?;
        let (_, extra, width) = self.extra_tokens.dims3()?;
        let extra_tokens = self.extra_tokens.broadcast_as((rows, extra, width))?;
        let tokens = Tensor::cat(&[&extra_tokens.contiguous()?, &projected], 1)?;
        Ok(tokens.broadcast_add(&self.positions)?)
    }
}
