// Process-wide settings and facts: determinism, autocast, random state, allocator statistics, versions.
#include "shim.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

namespace {

at::DeviceType device_type(int cuda) {
  return cuda ? at::kCUDA : at::kCPU;
}

at::Generator generator(int device) {
  return at::globalContext().defaultGenerator(
      device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
}

} // namespace

extern "C" {

void shim_free(char* text) {
  free(text);
}

// The version of the libtorch that was loaded (not of the headers): major, minor, patch.
void shim_version(uint32_t* parts) {
  const uint64_t version = aoti_torch_abi_version();
  for (int i = 0; i < 3; ++i) parts[i] = (version >> (56 - 8 * i)) & 0xff;
}

// Warns, instead of failing, where an operation has no deterministic form: whether two runs agree is measured.
char* shim_set_deterministic(int on) {
  return caught([&] {
    auto& context = at::globalContext();
    context.setDeterministicAlgorithms(on, /*warn_only=*/true);
    context.setDeterministicFillUninitializedMemory(false);
    context.setDeterministicCuDNN(on);
    context.setDeterministicMkldnn(on);
    // Where nothing has to repeat, cuDNN may try which of its algorithms is the fastest for a shape.
    context.setBenchmarkCuDNN(!on);
    // TorchScript: no profiling runs and no fusion, so that the first call computes what the hundredth does.
    torch::jit::setGraphExecutorOptimize(!on);
  });
}

char* shim_set_bf16_autocast(int cuda, int enabled) {
  return caught([&] {
    const auto device = device_type(cuda);
    at::autocast::set_autocast_dtype(device, at::kBFloat16);
    at::autocast::set_autocast_enabled(device, enabled);
    if (enabled) {
      at::autocast::increment_nesting();
    } else if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
  });
}

// The random state of the CPU (-1) or of a CUDA device, as a byte tensor.
char* shim_rng_state(int device, at::Tensor** state) {
  return caught([&] {
    auto random = generator(device);
    std::lock_guard<std::mutex> lock(random.mutex());
    *state = new at::Tensor(random.get_state());
  });
}

char* shim_set_rng_state(int device, const at::Tensor* state) {
  return caught([&] {
    auto random = generator(device);
    std::lock_guard<std::mutex> lock(random.mutex());
    random.set_state(*state);
  });
}

// Bytes that tensors hold on a CUDA device now.
char* shim_cuda_allocated(int device, int64_t* bytes) {
  return caught([&] {
    const auto statistics = c10::getDeviceAllocator(at::kCUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    constexpr auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    *bytes = statistics.allocated_bytes[all].current;
  });
}

// The most bytes that tensors have held on a CUDA device since the last reset.
char* shim_cuda_peak(int device, int64_t* bytes) {
  return caught([&] {
    const auto statistics = c10::getDeviceAllocator(at::kCUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    constexpr auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    *bytes = statistics.allocated_bytes[all].peak;
  });
}

char* shim_cuda_reset_peak(int device) {
  return caught([&] { c10::getDeviceAllocator(at::kCUDA)->resetPeakStats(static_cast<c10::DeviceIndex>(device)); });
}

// Gives this thread a stream of its own on a CUDA device, out of libtorch's pool, and makes the device its current one.
// By the registry of devices, which libtorch_cuda enters itself in: no header of CUDA is needed.
char* shim_own_stream(int device) {
  return caught([&] {
    TORCH_CHECK(c10::impl::hasDeviceGuardImpl(at::kCUDA), "this libtorch has no CUDA");
    const c10::impl::VirtualGuardImpl cuda(at::kCUDA);
    const c10::Device on(at::kCUDA, static_cast<c10::DeviceIndex>(device));
    cuda.setDevice(on);
    cuda.exchangeStream(cuda.getStreamFromGlobalPool(on));
  });
}

} // extern "C"
