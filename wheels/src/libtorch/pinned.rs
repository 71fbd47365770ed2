//! The wheels that libtorch 2.11.0 is in, as PyPI's torch 2.11.0 names them, and the libraries of each that are needed:
//! those that `libtorch_cpu`, and `libtorch_cuda` with what it opens by name, lead to by `readelf -d`.
//!
//! PyPI's torch is the build with CUDA. Its half for the CPU stands alone with two small libraries of CUDA beside it.

use crate::wheel::Wheel;

/// A wheel and the libraries that are needed of it.
pub(super) struct Libraries {
    pub(super) wheel: Wheel,
    /// For any machine.
    pub(super) cpu: &'static [&'static str],
    /// Where there is a GPU, besides.
    pub(super) cuda: &'static [&'static str],
}

/// The wheel that has the headers too.
pub(super) const TORCH: &str = "torch";

pub(super) const ALL: [Libraries; 15] = [
    Libraries {
        wheel: Wheel {
            project: TORCH,
            file: "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
            bytes: 530_604_548,
            record_at: 528_869_338,
            record: "86b11de9e81e378fe38d68644e581b98c138494d67197b94ba12eade2be836e7",
        },
        cpu: &["torch/lib/libc10.so", "torch/lib/libgomp.so.1", "torch/lib/libtorch_cpu.so"],
        cuda: &[
            "torch/lib/libc10_cuda.so",
            "torch/lib/libcaffe2_nvrtc.so",
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libtorch_cuda_linalg.so",
            "torch/lib/libtorch_nvshmem.so",
        ],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cuda-runtime",
            file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            bytes: 2_243_632,
            record_at: 2_230_343,
            record: "34c7a65651597fd8a376b049b69bb26db399a9ea443a7a142ccd34f5a10f79c4",
        },
        cpu: &["nvidia/cu13/lib/libcudart.so.13"],
        cuda: &[],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cuda-cupti",
            file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
            bytes: 10_715_597,
            record_at: 10_709_207,
            record: "f8ae8ddce85f8e319abac90e956bf45a572e31f4ff01af2d634f37aa3d78e3eb",
        },
        cpu: &["nvidia/cu13/lib/libcupti.so.13"],
        cuda: &[],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cublas",
            file: "nvidia_cublas-13.1.0.3-py3-none-manylinux_2_27_x86_64.whl",
            bytes: 423_133_236,
            record_at: 423_131_319,
            record: "35a31bf9f5d4fa709c63a127c3b0651f3ccfec462c422cf8bf5d9e964301de59",
        },
        cpu: &[],
        cuda: &["nvidia/cu13/lib/libcublas.so.13", "nvidia/cu13/lib/libcublasLt.so.13"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cufft",
            file: "nvidia_cufft-12.0.0.61-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            bytes: 214_085_489,
            record_at: 214_083_943,
            record: "50d86a39c8b16aaedabf82f2e54418ecd00435467f47bdcc12f08b3f00c5dcb4",
        },
        cpu: &[],
        cuda: &["nvidia/cu13/lib/libcufft.so.12"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cufile",
            file: "nvidia_cufile-1.15.1.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            bytes: 1_223_672,
            record_at: 1_222_477,
            record: "71e64aad4a5cac9a56b737d732caa43c0ebc36e4e5ac4f63b523f45ab50285d6",
        },
        cpu: &[],
        cuda: &["nvidia/cu13/lib/libcufile.so.0"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-curand",
            file: "nvidia_curand-10.4.0.35-py3-none-manylinux_2_27_x86_64.whl",
            bytes: 59_544_258,
            record_at: 59_541_091,
            record: "a4340ab778f30ac2b39e95dd8447a6d79925287d312442c102dac6e2105dc025",
        },
        cpu: &[],
        cuda: &["nvidia/cu13/lib/libcurand.so.10"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cusolver",
            file: "nvidia_cusolver-12.0.4.66-py3-none-manylinux_2_27_x86_64.whl",
            bytes: 200_941_980,
            record_at: 200_940_111,
            record: "2b13143036698247ffae6687e0645d1b903cef6d6851c04bc3f45536f918cb92",
        },
        cpu: &[],
        cuda: &["nvidia/cu13/lib/libcusolver.so.12"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cusparse",
            file: "nvidia_cusparse-12.6.3.3-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            bytes: 145_942_937,
            record_at: 145_941_726,
            record: "1bc905cfcd5b254d22a6866884cd7280da178e2bf7971dcfef65dd6c11c72dfd",
        },
        cpu: &[],
        cuda: &["nvidia/cu13/lib/libcusparse.so.12"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-nvjitlink",
            file: "nvidia_nvjitlink-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
            bytes: 40_713_933,
            record_at: 40_712_841,
            record: "8deabe93d94e96f22180365bcd7c5a39c30c41e97d3cd7f9bb375cd1460eddfa",
        },
        cpu: &[],
        cuda: &["nvidia/cu13/lib/libnvJitLink.so.13"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cuda-nvrtc",
            file: "nvidia_cuda_nvrtc-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
            bytes: 90_215_200,
            record_at: 90_213_712,
            record: "c836d98d0eebc101713a79a8d2802f22dfe8b3f9118403d987470bc0b59c9e0b",
        },
        cpu: &[],
        cuda: &["nvidia/cu13/lib/libnvrtc-builtins.so.13.0", "nvidia/cu13/lib/libnvrtc.so.13"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cudnn-cu13",
            file: "nvidia_cudnn_cu13-9.19.0.56-py3-none-manylinux_2_27_x86_64.whl",
            bytes: 366_066_321,
            record_at: 366_062_905,
            record: "f3d7140798fccda99fb75841ff41c5dd88de4bc6bd5bffb49200c9b7bf791ca8",
        },
        cpu: &[],
        cuda: &[
            "nvidia/cudnn/lib/libcudnn.so.9",
            "nvidia/cudnn/lib/libcudnn_adv.so.9",
            "nvidia/cudnn/lib/libcudnn_cnn.so.9",
            "nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9",
            "nvidia/cudnn/lib/libcudnn_engines_runtime_compiled.so.9",
            "nvidia/cudnn/lib/libcudnn_graph.so.9",
            "nvidia/cudnn/lib/libcudnn_heuristic.so.9",
            "nvidia/cudnn/lib/libcudnn_ops.so.9",
        ],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-cusparselt-cu13",
            file: "nvidia_cusparselt_cu13-0.8.0-py3-none-manylinux2014_x86_64.whl",
            bytes: 169_884_119,
            record_at: 169_883_020,
            record: "43278a3f845551894a9cf1381e29b7c5b845aa1eae0b14bb4f8338c470c042ff",
        },
        cpu: &[],
        cuda: &["nvidia/cusparselt/lib/libcusparseLt.so.0"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-nccl-cu13",
            file: "nvidia_nccl_cu13-2.28.9-py3-none-manylinux_2_18_x86_64.whl",
            bytes: 196_493_177,
            record_at: 196_485_695,
            record: "354815308954b2fd5ffcfe2fc264ed611ee91912cadbab28632d10424988f4bb",
        },
        cpu: &[],
        cuda: &["nvidia/nccl/lib/libnccl.so.2"],
    },
    Libraries {
        wheel: Wheel {
            project: "nvidia-nvshmem-cu13",
            file: "nvidia_nvshmem_cu13-3.4.5-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            bytes: 60_412_546,
            record_at: 60_403_012,
            record: "b6aa8392b88088391e5b1ce756ca95d02035d25c26ea070f65794b24cb095fd7",
        },
        cpu: &[],
        cuda: &["nvidia/nvshmem/lib/libnvshmem_host.so.3"],
    },
];
