//! A safetensors file of which one tensor at a time is read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use adaplace_arithmetic::{ArithmeticError, Unread, Weights};
use half::{bf16, f16};
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::BackboneError;

/// The largest header that is read, as in the library.
const LARGEST_HEADER: u64 = 100_000_000;

/// The number of bytes that are read and converted at a time.
const PIECE: usize = 1 << 20;

/// An open file. A tensor is read from the same file even if another one takes its place in the folder.
#[derive(Debug)]
pub(crate) struct WeightFile {
    pub(crate) path: PathBuf,
    file: Mutex<File>,
    /// When its content was changed last, and how long it is.
    state: (Option<SystemTime>, u64),
}

/// A tensor in a file.
#[derive(Debug, Clone)]
pub(crate) struct StoredTensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Where its bytes are in the file.
    pub(crate) bytes: Range<u64>,
}

impl StoredTensor {
    /// Its three parts of as many rows each, which follow one another in the file; `None` if it does not divide so.
    pub(crate) fn thirds(&self, names: [String; 3]) -> Option<Vec<Self>> {
        let (&rows, columns) = self.shape.split_first()?;
        if !rows.is_multiple_of(3) {
            return None;
        }
        let length = (self.bytes.end - self.bytes.start) / 3;
        let part = |(place, name)| {
            let start = self.bytes.start + place * length;
            Self {
                name,
                dtype: self.dtype,
                shape: [&[rows / 3], columns].concat(),
                bytes: start..start + length,
            }
        };
        Some((0..).zip(names).map(part).collect())
    }
}

impl WeightFile {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, Vec<StoredTensor>), BackboneError> {
        let reads = |source| BackboneError::Read {
            path: path.clone(),
            source,
        };
        let damaged = |source| BackboneError::Damaged {
            path: path.clone(),
            source,
        };
        let mut file = File::open(&path).map_err(reads)?;
        let state = state(&file).map_err(reads)?;
        let (_, length) = state;
        let mut head = Vec::new();
        file.by_ref()
            .take(8)
            .read_to_end(&mut head)
            .map_err(reads)?;
        if let Ok(size) = <[u8; 8]>::try_from(&head[..]) {
            let size = u64::from_le_bytes(size).min(LARGEST_HEADER + 1);
            file.by_ref()
                .take(size)
                .read_to_end(&mut head)
                .map_err(reads)?;
        }
        // The library checks all of a header before it misses the data behind it.
        match SafeTensors::read_metadata(&head) {
            Ok(_) | Err(SafeTensorError::MetadataIncompleteBuffer) => {}
            Err(error) => return Err(damaged(error)),
        }
        let metadata: Metadata = serde_json::from_slice(&head[8..])
            .map_err(|error| damaged(SafeTensorError::InvalidHeaderDeserialization(error)))?;
        let begin = head.len() as u64;
        let tensors: Vec<StoredTensor> = metadata
            .offset_keys()
            .into_iter()
            .filter_map(|name| {
                let info = metadata.info(&name)?;
                let (start, end) = info.data_offsets;
                Some(StoredTensor {
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                    bytes: begin + start as u64..begin + end as u64,
                    name,
                })
            })
            .collect();
        let ends = tensors.iter().map(|tensor| tensor.bytes.end);
        if ends.max().unwrap_or(begin) != length {
            return Err(damaged(SafeTensorError::MetadataIncompleteBuffer));
        }
        let file = Mutex::new(file);
        Ok((Self { path, file, state }, tensors))
    }

    /// Reads a tensor piece by piece, each of which `see` is told as f32. The values keep their type if they have 16 bits, and
    /// become f32 if not. `None` if the type is not supported.
    pub(crate) fn read(
        &self,
        tensor: &StoredTensor,
        see: &mut dyn FnMut(&[f32]),
    ) -> Result<Option<Weights>, BackboneError> {
        self.visit(tensor, see, true)
    }

    /// Reads a tensor like [`Self::read`], but does not keep its values. Whether the type is supported.
    pub(crate) fn scan(
        &self,
        tensor: &StoredTensor,
        see: &mut dyn FnMut(&[f32]),
    ) -> Result<bool, BackboneError> {
        Ok(self.visit(tensor, see, false)?.is_some())
    }

    fn visit(
        &self,
        tensor: &StoredTensor,
        see: &mut dyn FnMut(&[f32]),
        keep: bool,
    ) -> Result<Option<Weights>, BackboneError> {
        Ok(Some(match tensor.dtype {
            Dtype::F64 => Weights::F32(self.values(tensor, see, keep, |value: [u8; 8]| {
                // This rounds to nearest.
                let value = f64::from_le_bytes(value) as f32;
                (value, value)
            })?),
            Dtype::F32 => Weights::F32(self.values(tensor, see, keep, |value| {
                let value = f32::from_le_bytes(value);
                (value, value)
            })?),
            Dtype::F16 => Weights::F16(self.values(tensor, see, keep, |value| {
                let value = f16::from_le_bytes(value);
                (value, value.to_f32())
            })?),
            Dtype::BF16 => Weights::Bf16(self.values(tensor, see, keep, |value| {
                let value = bf16::from_le_bytes(value);
                (value, value.to_f32())
            })?),
            _ => return Ok(None),
        }))
    }

    /// The values that `value` reads from so many bytes each, and tells as f32 as well; none if they are not kept.
    fn values<T, const BYTES: usize>(
        &self,
        tensor: &StoredTensor,
        see: &mut dyn FnMut(&[f32]),
        keep: bool,
        value: impl Fn([u8; BYTES]) -> (T, f32),
    ) -> Result<Vec<T>, BackboneError> {
        let reads = |source| BackboneError::Read {
            path: self.path.clone(),
            source,
        };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Range { start, end } = tensor.bytes;
        file.seek(SeekFrom::Start(start)).map_err(reads)?;
        let mut left = (end - start) as usize;
        let mut values = Vec::with_capacity(if keep { left / BYTES } else { 0 });
        let (mut bytes, mut seen) = (Vec::new(), Vec::new());
        while left > 0 {
            bytes.resize(left.min(PIECE), 0);
            left -= bytes.len();
            file.read_exact(&mut bytes).map_err(reads)?;
            seen.clear();
            for &bytes in bytes.as_chunks::<BYTES>().0 {
                let (stored, wide) = value(bytes);
                if keep {
                    values.push(stored);
                }
                seen.push(wide);
            }
            see(&seen);
        }
        Ok(values)
    }
}

fn state(file: &File) -> io::Result<(Option<SystemTime>, u64)> {
    let metadata = file.metadata()?;
    Ok((metadata.modified().ok(), metadata.len()))
}

/// A tensor that is read whenever it is needed.
#[derive(Debug)]
pub(crate) struct UnreadTensor {
    pub(crate) file: Arc<WeightFile>,
    pub(crate) tensor: StoredTensor,
}

impl Unread for UnreadTensor {
    fn read(&self) -> Result<Weights, ArithmeticError> {
        let Self { file, tensor } = self;
        let again = |reason: String| {
            let path = file.path.display();
            ArithmeticError(format!(
                "the weights in `{path}` cannot be read again: {reason}"
            ))
        };
        let now = state(&file.file.lock().unwrap_or_else(PoisonError::into_inner));
        if now.map_err(|error| again(error.to_string()))? != file.state {
            return Err(again("the file has changed; start again".to_owned()));
        }
        let weights = file.read(tensor, &mut |_| {});
        let weights = weights.map_err(|error| ArithmeticError(error.to_string()))?;
        weights.ok_or_else(|| again(format!("`{}` has no supported type", tensor.name)))
    }
}
