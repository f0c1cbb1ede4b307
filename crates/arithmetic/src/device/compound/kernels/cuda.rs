//! A card of NVIDIA. NVRTC compiles the kernels once for each process.
#![expect(unsafe_code, reason = "kernels and cuBLAS take raw addresses")]

use std::ffi::c_void;
use std::sync::OnceLock;

use candle_core::cuda_backend::cudarc::cublas::result::{gemm_ex, gemm_strided_batched_ex};
use candle_core::cuda_backend::cudarc::cublas::sys::{
    cublasComputeType_t, cublasGemmAlgo_t, cublasOperation_t, cudaDataType,
};
use candle_core::cuda_backend::cudarc::driver::{DevicePtr, LaunchConfig, PushKernelArg};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::{CudaDevice, DType, Device, Storage, Tensor};

use super::{Argument, Grid, Kernels, Launcher, SOURCE};
use crate::device::products::{Operand, Products, Transposed};
use crate::device::rows::indices;
use crate::{ArithmeticError, Precision, Result};

/// A card of NVIDIA whose work is all in one stream, so that nothing but its order has to be kept.
#[derive(Debug, Clone)]
pub(in crate::device) struct Card(CudaDevice);

/// The card with this index.
///
/// Every thread of this program that uses the card puts its work into the same stream: candle's default is one stream
/// for each thread, between which nothing would wait.
pub(in crate::device) fn open(index: usize) -> candle_core::Result<Card> {
    let device = Device::new_cuda_with_stream(index)?;
    let card = device.as_cuda_device()?.clone();
    // SAFETY: all work on memory of this device is in its one stream, including that which gives the memory back.
    unsafe { card.disable_event_tracking() };
    Ok(Card(card))
}

/// The kernels for any card.
fn compiled() -> Result<&'static str> {
    static COMPILED: OnceLock<std::result::Result<String, String>> = OnceLock::new();
    let compile = || {
        let compiled = compile_ptx(SOURCE).map_err(|error| error.to_string())?;
        Ok(compiled.to_src())
    };
    match COMPILED.get_or_init(compile) {
        Ok(source) => Ok(source),
        Err(reason) => Err(failed(reason)),
    }
}

fn failed(error: impl std::fmt::Display) -> ArithmeticError {
    ArithmeticError(error.to_string())
}

impl Card {
    pub(in crate::device) fn device(&self) -> Device {
        Device::Cuda(self.0.clone())
    }

    /// The operations as kernels on this card.
    pub(in crate::device) fn kernels(&self) -> Kernels<Self> {
        Kernels(self.clone())
    }

    /// The number of bytes that are free.
    pub(in crate::device) fn free_memory(&self) -> Option<usize> {
        let (free, _) = self.0.cuda_stream().context().mem_get_info().ok()?;
        Some(free)
    }

    /// The address of the first value of a contiguous tensor on this card. It is valid for work in the card's stream
    /// while the tensor exists.
    fn address(&self, tensor: &Tensor) -> Result<u64> {
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            return Err(failed("a tensor is not on the card"));
        };
        if !layout.is_contiguous() {
            return Err(failed("a tensor is not contiguous"));
        }
        let stream = self.0.cuda_stream();
        let begin = match tensor.dtype() {
            DType::F32 => storage.as_cuda_slice::<f32>()?.device_ptr(&stream).0,
            DType::U32 => storage.as_cuda_slice::<u32>()?.device_ptr(&stream).0,
            DType::BF16 => storage.as_cuda_slice::<half::bf16>()?.device_ptr(&stream).0,
            other => return Err(failed(format!("a tensor has values of type {other:?}"))),
        };
        Ok(begin + (layout.start_offset() * tensor.dtype().size_in_bytes()) as u64)
    }
}

impl Launcher for Card {
    fn empty_of(&self, shape: &[usize], of: DType) -> Result<Tensor> {
        // SAFETY: the values are plain numbers, which the kernel that gets the tensor overwrites.
        Ok(unsafe { Tensor::empty(shape, of, &self.device()) }?)
    }

    fn indices(&self, of: Vec<u32>) -> Result<Tensor> {
        indices(of.into_iter(), &self.device())
    }

    fn launch(&self, kernel: &'static str, grid: &Grid, arguments: &[Argument<'_>]) -> Result<()> {
        /// A value as a kernel takes it.
        enum Passed {
            Address(u64),
            Count(u32),
            Number(f32),
        }

        let passed = arguments.iter().map(|argument| {
            Ok(match *argument {
                Argument::Read(tensor) | Argument::Write(tensor) => {
                    Passed::Address(self.address(tensor)?)
                }
                Argument::Null => Passed::Address(0),
                Argument::Count(count) => Passed::Count(count),
                Argument::Number(number) => Passed::Number(number),
            })
        });
        let passed: Vec<Passed> = passed.collect::<Result<_>>()?;
        let function = self
            .0
            .get_or_load_custom_func(kernel, "adaplace", compiled()?)?;
        let mut launch = function.builder();
        for value in &passed {
            match value {
                Passed::Address(address) => launch.arg(address),
                Passed::Count(count) => launch.arg(count),
                Passed::Number(number) => launch.arg(number),
            };
        }
        let config = LaunchConfig {
            grid_dim: (grid.blocks, 1, 1),
            block_dim: (grid.threads.0, grid.threads.1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments match the kernel's parameters, and the kernel stays within the tensors by their counts.
        unsafe { launch.launch(config) }.map_err(failed)?;
        Ok(())
    }
}

/// How cuBLAS multiplies numbers of f32.
fn in_single_precision(tf32: bool) -> cublasComputeType_t {
    match tf32 {
        true => cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
        false => cublasComputeType_t::CUBLAS_COMPUTE_32F,
    }
}

fn size(of: usize) -> Result<i32> {
    i32::try_from(of).map_err(failed)
}

/// The address of a factor of cuBLAS, which it reads before it returns.
fn factor(number: &f32) -> *const c_void {
    std::ptr::from_ref(number).cast()
}

impl Products for Card {
    fn frozen(&self, weight: Tensor, precision: Precision) -> Result<Tensor> {
        Ok(match precision {
            Precision::F32 | Precision::Tf32 => weight,
            Precision::Bf16 => weight.to_dtype(DType::BF16)?,
        })
    }

    fn operands(&self, precision: Precision) -> DType {
        match precision {
            Precision::F32 | Precision::Tf32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        }
    }

    /// The product with sums in f32. cuBLAS takes matrices by columns, so that it sees all of them transposed and
    /// computes result^T = weight^T x^T or weight x^T.
    fn product(
        &self,
        x: &Tensor,
        weight: &Tensor,
        of: Operand,
        precision: Precision,
    ) -> Result<Tensor> {
        let (outputs, inputs) = weight.dims2()?;
        let (rows, depth) = x.dims2()?;
        let (x, values) = match precision {
            Precision::F32 | Precision::Tf32 => (x.clone(), cudaDataType::CUDA_R_32F),
            Precision::Bf16 if x.dtype() == DType::BF16 => (x.clone(), cudaDataType::CUDA_R_16BF),
            Precision::Bf16 => (self.kernels().rounded(x)?, cudaDataType::CUDA_R_16BF),
        };
        let computed = in_single_precision(precision == Precision::Tf32);
        let (columns, operation) = match of {
            Operand::Transposed => (outputs, cublasOperation_t::CUBLAS_OP_T),
            Operand::AsItIs => (inputs, cublasOperation_t::CUBLAS_OP_N),
        };
        if depth != inputs + outputs - columns {
            return Err(failed("the shapes of a product do not match"));
        }
        let result = self.empty(&[rows, columns])?;
        if rows == 0 {
            return Ok(result);
        }
        let (one, zero) = (1.0_f32, 0.0_f32);
        let blas = self.0.cublas_handle();
        // SAFETY: the matrices have these shapes and types, and the numbers are read before the call returns.
        unsafe {
            gemm_ex(
                *blas.handle(),
                operation,
                cublasOperation_t::CUBLAS_OP_N,
                size(columns)?,
                size(rows)?,
                size(depth)?,
                factor(&one),
                self.address(weight)? as *const c_void,
                values,
                size(inputs)?,
                self.address(&x)? as *const c_void,
                values,
                size(depth)?,
                factor(&zero),
                self.address(&result)? as *mut c_void,
                cudaDataType::CUDA_R_32F,
                size(columns)?,
                computed,
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|error| failed(format!("{error:?}")))?;
        Ok(result)
    }

    /// One product for each head of each example. In bf16, whose numbers have 8 bits, products in TF32 with its 11 bits
    /// do not make the result less precise.
    fn of_heads(
        &self,
        left: &Tensor,
        right: &Tensor,
        transposed: Transposed,
        precision: Precision,
    ) -> Result<Tensor> {
        let (examples, heads, left_rows, left_columns) = left.dims4()?;
        let (_, _, right_rows, right_columns) = right.dims4()?;
        let (rows, depth) = match transposed {
            Transposed::Left => (left_columns, left_rows),
            Transposed::Neither | Transposed::Right => (left_rows, left_columns),
        };
        let (columns, right_depth) = match transposed {
            Transposed::Right => (right_rows, right_columns),
            Transposed::Neither | Transposed::Left => (right_columns, right_rows),
        };
        if depth != right_depth || left.dims()[..2] != right.dims()[..2] {
            return Err(failed("the shapes of a product do not match"));
        }
        let result = self.empty(&[examples, heads, rows, columns])?;
        if result.elem_count() == 0 {
            return Ok(result);
        }
        let operation = |side: Transposed| match transposed == side {
            true => cublasOperation_t::CUBLAS_OP_T,
            false => cublasOperation_t::CUBLAS_OP_N,
        };
        let (one, zero) = (1.0_f32, 0.0_f32);
        let values = cudaDataType::CUDA_R_32F;
        let blas = self.0.cublas_handle();
        // SAFETY: the matrices have these shapes and types, and the numbers are read before the call returns.
        unsafe {
            gemm_strided_batched_ex(
                *blas.handle(),
                operation(Transposed::Right),
                operation(Transposed::Left),
                size(columns)?,
                size(rows)?,
                size(depth)?,
                factor(&one),
                self.address(right)? as *const c_void,
                values,
                size(right_columns)?,
                (right_rows * right_columns) as i64,
                self.address(left)? as *const c_void,
                values,
                size(left_columns)?,
                (left_rows * left_columns) as i64,
                factor(&zero),
                self.address(&result)? as *mut c_void,
                values,
                size(columns)?,
                (rows * columns) as i64,
                size(examples * heads)?,
                in_single_precision(precision != Precision::F32),
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(|error| failed(format!("{error:?}")))?;
        Ok(result)
    }
}
