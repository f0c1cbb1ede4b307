//! Decoding one picture.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use crate::TaskError;

/// Pictures of more pixels are refused before they are decoded.
pub(crate) const MAX_PIXELS: u64 = 64_000_000;

/// What a decoder may allocate: 16 bytes for each of [`MAX_PIXELS`], twice the largest pixel.
const MAX_ALLOCATION: u64 = 16 * MAX_PIXELS;

/// RGB, interleaved, rows from the top: (height, width, 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixels: Vec<u8>,
}

/// Reads a picture file; its content, not its name, says in which format it is.
pub(crate) fn read(path: &Path) -> Result<Picture, TaskError> {
    let file = File::open(path).map_err(|source| TaskError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    decode(BufReader::new(file), path)
}

fn decode(reader: impl BufRead + Seek, path: &Path) -> Result<Picture, TaskError> {
    let broken = |message: String| TaskError::BrokenPicture {
        path: path.to_owned(),
        message,
    };
    let mut reader = ImageReader::new(reader)
        .with_guessed_format()
        .map_err(|error| broken(error.to_string()))?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let decoder = reader
        .into_decoder()
        .map_err(|error| broken(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    check_size(path, u64::from(width), u64::from(height))?;
    if width == 0 || height == 0 {
        return Err(broken("it has no pixels".to_owned()));
    }
    let decoded = DynamicImage::from_decoder(decoder).map_err(|error| broken(error.to_string()))?;
    Ok(Picture {
        width,
        height,
        pixels: to_rgb(decoded),
    })
}

/// Refuses what has more than [`MAX_PIXELS`].
pub(crate) fn check_size(path: &Path, width: u64, height: u64) -> Result<(), TaskError> {
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(TaskError::PictureTooLarge {
            path: path.to_owned(),
            width,
            height,
        });
    }
    Ok(())
}

/// As `convert("RGB")` of Pillow: grey goes to all three channels, alpha is dropped without blending, of 16 bits the
/// upper 8 remain. (Pillow keeps the upper 8 bits of colours only; it clips 16 bit grey to white.)
fn to_rgb(picture: DynamicImage) -> Vec<u8> {
    let upper = |level: u16| (level >> 8) as u8;
    match picture {
        DynamicImage::ImageLuma16(grey) => grey.iter().flat_map(|&v| [upper(v); 3]).collect(),
        DynamicImage::ImageLumaA16(grey) => grey
            .pixels()
            .flat_map(|pixel| [upper(pixel.0[0]); 3])
            .collect(),
        DynamicImage::ImageRgb16(colour) => colour.iter().map(|&v| upper(v)).collect(),
        DynamicImage::ImageRgba16(colour) => colour
            .pixels()
            .flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2]].map(upper))
            .collect(),
        other => other.into_rgb8().into_raw(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
    use proptest::prelude::*;

    use super::*;

    fn decode_bytes(bytes: &[u8]) -> Result<Picture, TaskError> {
        decode(Cursor::new(bytes), Path::new("task/train/cat/1.png"))
    }

    fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn of_sixteen_bits_the_upper_eight_remain() {
        let grey = ImageBuffer::from_fn(2, 1, |column, _| {
            Luma([[0x12ff_u16, 0xff80][column as usize]])
        });
        let bytes = written(&DynamicImage::ImageLuma16(grey), ImageFormat::Png);
        assert_eq!(
            decode_bytes(&bytes).unwrap().pixels,
            [0x12, 0x12, 0x12, 0xff, 0xff, 0xff]
        );
        let colour = ImageBuffer::from_fn(1, 1, |_, _| Rgb([0x0180_u16, 0x7fff, 0xfe00]));
        let bytes = written(&DynamicImage::ImageRgb16(colour), ImageFormat::Png);
        assert_eq!(decode_bytes(&bytes).unwrap().pixels, [0x01, 0x7f, 0xfe]);
    }

    #[test]
    fn a_huge_picture_is_refused_by_its_header() {
        // only the header of a PNG of 20,000 x 20,000 pixels: decoding it would fail, its size is read first
        let mut bytes = written(
            &DynamicImage::ImageRgb8(RgbImage::new(1, 1)),
            ImageFormat::Png,
        );
        bytes[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(
            decode_bytes(&bytes).unwrap_err().to_string(),
            "the picture `task/train/cat/1.png` has 20000 x 20000 pixels, the limit is 64 megapixels; \
             scale it down or remove it"
        );
    }

    /// The checksum of PNG chunks, bit by bit (RFC 2083, appendix 15).
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| {
                (sum >> 1) ^ (0xedb8_8320 * (sum & 1))
            })
        })
    }

    #[test]
    fn a_broken_picture_is_named() {
        for bytes in [&b""[..], b"no picture at all", &TINY_PNG[..40]] {
            let message = decode_bytes(bytes).unwrap_err().to_string();
            assert!(
                message.starts_with("the picture `task/train/cat/1.png` cannot be decoded: "),
                "{message}"
            );
        }
    }

    const TINY_PNG: &[u8] =
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDAT";

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_bytes(&bytes);
        }

        #[test]
        fn damaged_pictures_never_panic(
            format in 0_usize..5, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Gif, ImageFormat::WebP];
            let picture = RgbImage::from_fn(9, 7, |x, y| Rgb([(x * 28) as u8, (y * 36) as u8, (x * y) as u8]));
            let mut bytes = written(&DynamicImage::ImageRgb8(picture), formats[format]);
            for (index, value) in changes {
                let index = index.index(bytes.len());
                bytes[index] = value;
            }
            let _ = decode_bytes(&bytes);
        }
    }
}
