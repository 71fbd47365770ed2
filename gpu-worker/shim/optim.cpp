// Adam in libtorch's fused kernel (CPU and CUDA), and the norm of all gradients, each in one call.
#include "shim.h"

#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

extern "C" {

// One Adam update of `count` parameters from their gradients. Parameters without a gradient are left as they are.
// `step` is a float tensor on the parameters' device; it is the number of this update, already counted up.
char* shim_adam(
    at::Tensor* const* parameters,
    at::Tensor* const* means,
    at::Tensor* const* squares,
    size_t count,
    const at::Tensor* step,
    double rate,
    double beta1,
    double beta2,
    double epsilon) {
  return caught([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> with_gradient, gradients, mean, square;
    for (size_t i = 0; i < count; ++i) {
      auto gradient = parameters[i]->grad();
      if (!gradient.defined()) continue;
      if (gradient.strides() != parameters[i]->strides()) {
        // The CPU kernel walks the memory of all four side by side.
        gradient = at::empty_like(*parameters[i]).copy_(gradient);
      }
      with_gradient.push_back(*parameters[i]);
      gradients.push_back(gradient);
      mean.push_back(*means[i]);
      square.push_back(*squares[i]);
    }
    if (with_gradient.empty()) return;
    const std::vector<at::Tensor> steps(with_gradient.size(), *step);
    at::_fused_adam_(
        with_gradient, gradients, mean, square, {}, steps, rate, beta1, beta2,
        /*weight_decay=*/0.0, epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}

// The 2-norm over all gradients: one synchronisation with the device, none when called on the CPU.
char* shim_grad_norm(at::Tensor* const* parameters, size_t count, double* norm) {
  return caught([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> gradients;
    gradients.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const auto& gradient = parameters[i]->grad();
      if (gradient.defined()) gradients.push_back(gradient);
    }
    *norm = gradients.empty() ? 0.0
                              : at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients, 2)), 2).item<double>();
  });
}

// Drops the gradients, so that the next backward pass hands its own over without a copy.
char* shim_clear_grads(at::Tensor* const* parameters, size_t count) {
  return caught([&] {
    for (size_t i = 0; i < count; ++i) parameters[i]->mutable_grad().reset();
  });
}

} // extern "C"
