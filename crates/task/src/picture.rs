//! Decodes one picture.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::error::MAX_PIXELS;
use crate::{Place, TaskError};

/// The number of bytes that a decoder may allocate: 16 for each of [`MAX_PIXELS`], twice the largest pixel.
const MAX_ALLOCATION: u64 = 16 * MAX_PIXELS;

/// A picture in RGB, interleaved, rows from the top: (height, width, 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixels: Vec<u8>,
}

/// Decodes a picture, whose format is recognised by its content and not by its name. JPEGs whose colours have half the
/// resolution differ from those of libjpeg by half a level on average, all other pictures by next to nothing.
pub(crate) fn decode(bytes: &[u8], place: &Place) -> Result<Picture, TaskError> {
    let broken = |message: String| TaskError::BrokenPicture {
        place: place.clone(),
        message,
    };
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| broken(error.to_string()))?;
    // The decoder would replace the missing part of a JPEG by grey.
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_is_whole(bytes) {
        return Err(broken("it is truncated".to_owned()));
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let mut decoder = reader
        .into_decoder()
        .map_err(|error| broken(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    check_size(place, u64::from(width), u64::from(height))?;
    if width == 0 || height == 0 {
        return Err(broken("it has no pixels".to_owned()));
    }
    // Unreadable metadata are ignored.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut decoded =
        DynamicImage::from_decoder(decoder).map_err(|error| broken(error.to_string()))?;
    decoded.apply_orientation(orientation);
    Ok(Picture {
        width: decoded.width(),
        height: decoded.height(),
        pixels: to_rgb(decoded),
    })
}

/// Whether the marker that ends a JPEG occurs anywhere after the start of the first scan. It cannot occur by chance
/// within a scan, whose bytes FF are followed by 00 or a restart marker. Before the scan it may end a preview (ITU
/// T.81, B.1.1).
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        match bytes.get(at..at + 4) {
            // This is a fill byte.
            Some([0xff, 0xff, ..]) => at += 1,
            Some([0xff, 0xda, ..]) => break,
            // These markers have no content.
            Some([0xff, 0x01 | 0xd0..=0xd8, ..]) => at += 2,
            Some(&[0xff, _, high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
            // This function does not judge the content, as long as there is some.
            Some(_) => break,
            None => return false,
        }
    }
    bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9])
}

/// Refuses a picture with more than [`MAX_PIXELS`].
pub(crate) fn check_size(place: &Place, width: u64, height: u64) -> Result<(), TaskError> {
    if width.saturating_mul(height) > MAX_PIXELS {
        return Err(TaskError::PictureTooLarge {
            place: place.clone(),
            width,
            height,
        });
    }
    Ok(())
}

/// Converts to RGB like Pillow's `convert("RGB")`: grey goes to all three channels, alpha is dropped without blending,
/// and of 16 bits the upper 8 remain. (Pillow keeps the upper 8 bits of colours only; it clips 16-bit grey to white.)
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
        let path = "task/train/cat/1.png".into();
        decode(bytes, &Place { path, line: None })
    }

    fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// A picture whose corners all differ.
    fn corners() -> DynamicImage {
        let colours = [[250, 10, 10], [10, 250, 10], [10, 10, 250], [250, 250, 10]];
        let colour = |column: u32, row: u32| Rgb(colours[(column / 16 + 2 * (row / 8)) as usize]);
        DynamicImage::ImageRgb8(RgbImage::from_fn(32, 16, colour))
    }

    /// The same JPEG with an Exif segment that specifies its orientation.
    fn turned(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
    }

    /// As in Pillow's `exif_transpose`, 3 is upside down, 6 and 8 are a quarter turn to the right and left, 2 and 4 are
    /// mirrored.
    #[test]
    fn pictures_are_turned_as_their_metadata_say() {
        let jpeg = written(&corners(), ImageFormat::Jpeg);
        let plain = image::load_from_memory(&jpeg).unwrap();
        let rgb = |picture: DynamicImage| {
            (
                picture.width(),
                picture.height(),
                picture.into_rgb8().into_raw(),
            )
        };
        for (orientation, expected) in [
            (1, plain.clone()),
            (2, plain.fliph()),
            (3, plain.rotate180()),
            (4, plain.flipv()),
            (6, plain.rotate90()),
            (8, plain.rotate270()),
            (77, plain.clone()),
        ] {
            let found = decode_bytes(&turned(&jpeg, orientation)).unwrap();
            assert_eq!(
                (found.width, found.height, found.pixels),
                rgb(expected),
                "{orientation}"
            );
        }
    }

    /// The picture may be cut anywhere; the decoder alone would return one with a grey part.
    #[test]
    fn a_truncated_jpeg_is_refused() {
        let jpeg = turned(&written(&corners(), ImageFormat::Jpeg), 1);
        assert!(decode_bytes(&[&jpeg[..], b"more behind it"].concat()).is_ok());
        for length in 3..jpeg.len() {
            let message = decode_bytes(&jpeg[..length]).unwrap_err().to_string();
            assert!(message.contains("is truncated"), "{length}: {message}");
        }
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
        // This is only the header of a PNG of 20,000 x 20,000 pixels. Decoding would fail, but the size is read first.
        let mut bytes = written(
            &DynamicImage::ImageRgb8(RgbImage::new(1, 1)),
            ImageFormat::Png,
        );
        bytes[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        assert_eq!(
            decode_bytes(&bytes).unwrap_err().to_string(),
            "the picture `task/train/cat/1.png` has 20000 x 20000 pixels, but the limit is 64 megapixels; \
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
