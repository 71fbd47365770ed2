// What a pass costs: the floating-point operations and the bytes of each operation, as the dispatcher sees them.
#include "shim.h"

#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>

namespace {

struct Cost {
  std::string name;
  double flops;
  double bytes;
};

// One pass is counted at a time.
std::mutex lock;
std::vector<Cost> costs;
std::atomic<bool> counting{false};

// Of the operation that is running on this thread: how deep, and what the ones inside it have come to so far.
thread_local int depth = 0;
thread_local double flops = 0;

using Values = std::vector<c10::IValue>;

struct Running : at::ObserverContext {
  double flops_before = 0;
  // The dispatcher shows them at the start only.
  Values inputs;
};

template <typename Visit>
void each_tensor(const c10::IValue& value, Visit&& visit) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) visit(value.toTensor());
  } else if (value.isTensorList()) {
    for (const at::Tensor& tensor : value.toTensorList()) {
      if (tensor.defined()) visit(tensor);
    }
  }
}

const at::Tensor* tensor_at(const Values& values, size_t index) {
  if (index >= values.size() || !values[index].isTensor()) return nullptr;
  const at::Tensor& tensor = values[index].toTensor();
  return tensor.defined() ? &tensor : nullptr;
}

// A filter is applied once for each output value; a transposed one once for each input value.
double convolution(double applied, const at::Tensor& weight) {
  return weight.size(0) == 0 ? 0 : 2.0 * applied * static_cast<double>(weight.numel() / weight.size(0));
}

// 2 per multiplication and addition; 0 for everything that is not made of them.
double multiplications(std::string_view name, const Values& in, const Values& out) {
  const at::Tensor* result = tensor_at(out, 0);
  auto inner = [&](size_t index) {
    const at::Tensor* left = tensor_at(in, index);
    return left && result && left->dim() > 0
        ? 2.0 * static_cast<double>(result->numel()) * static_cast<double>(left->size(-1))
        : 0.0;
  };
  if (name == "aten::convolution_backward") {
    const at::Tensor *grad = tensor_at(in, 0), *input = tensor_at(in, 1), *weight = tensor_at(in, 2);
    if (!grad || !input || !weight || in.size() < 11) return 0;
    const double once = convolution(in[7].isBool() && in[7].toBool() ? input->numel() : grad->numel(), *weight);
    const auto mask = in[10].toList();
    return once * (static_cast<c10::IValue>(mask[0]).toBool() + static_cast<c10::IValue>(mask[1]).toBool());
  }
  if (name == "aten::_convolution" || (depth == 1 && name.find("convolution") != std::string_view::npos)) {
    const at::Tensor *input = tensor_at(in, 0), *weight = tensor_at(in, 1);
    if (!input || !weight || !result) return 0;
    const bool transposed = name == "aten::_convolution" ? in.size() > 6 && in[6].isBool() && in[6].toBool()
                                                         : name.find("transpose") != std::string_view::npos;
    return convolution(transposed ? input->numel() : result->numel(), *weight);
  }
  if (name == "aten::mm" || name == "aten::bmm" || name == "aten::linear" || name == "aten::matmul") return inner(0);
  if (name == "aten::addmm" || name == "aten::baddbmm" || name == "aten::addmv") return inner(1);
  if (name.find("scaled_dot_product") != std::string_view::npos && name.find("backward") == std::string_view::npos) {
    const at::Tensor *query = tensor_at(in, 0), *key = tensor_at(in, 1), *value = tensor_at(in, 2);
    if (!query || !key || !value || query->dim() < 2 || key->dim() < 2) return 0;
    const auto width = static_cast<double>(query->size(-1) + value->size(-1));
    return 2.0 * static_cast<double>(query->numel() / query->size(-1)) * static_cast<double>(key->size(-2)) * width;
  }
  return 0;
}

// Whether the results are only other views of what came in.
bool is_view(std::string_view name, const Values& inputs, const Values& outputs) {
  if (!name.empty() && name.back() == '_') return false;
  bool shares = false;
  for (const auto& out : outputs) {
    each_tensor(out, [&](const at::Tensor& made) {
      for (const auto& in : inputs) {
        each_tensor(in, [&](const at::Tensor& given) { shares |= made.has_storage() && made.is_alias_of(given); });
      }
    });
  }
  return shares;
}

double bytes_of(const Values& values) {
  double bytes = 0;
  for (const auto& value : values) {
    each_tensor(value, [&](const at::Tensor& tensor) {
      bytes += static_cast<double>(tensor.numel()) * static_cast<double>(tensor.element_size());
    });
  }
  return bytes;
}

std::unique_ptr<at::ObserverContext> entered(const at::RecordFunction& function) {
  auto running = std::make_unique<Running>();
  if (++depth == 1) flops = 0;
  running->flops_before = flops;
  const auto inputs = function.inputs();
  running->inputs.assign(inputs.begin(), inputs.end());
  return running;
}

void left(const at::RecordFunction& function, at::ObserverContext* context) {
  const auto* running = static_cast<const Running*>(context);
  if (!running) return;
  const std::string_view name = function.name();
  const Values& inputs = running->inputs;
  const Values& outputs = function.outputs();
  // An operation is made of others: what is counted of them is not counted again.
  if (flops == running->flops_before) flops += multiplications(name, inputs, outputs);
  if (--depth > 0 || !counting) return;
  const double bytes = is_view(name, inputs, outputs) ? 0 : bytes_of(inputs) + bytes_of(outputs);
  std::lock_guard<std::mutex> guard(lock);
  costs.push_back({std::string(name), flops, bytes});
}

at::CallbackHandle handle = 0;

} // namespace

extern "C" {

typedef void (*ReceiveCost)(void* receiver, const char* name, double flops, double bytes);

// From now on each operation is counted, on every thread.
char* shim_count_begin() {
  return caught([&] {
    std::lock_guard<std::mutex> guard(lock);
    costs.clear();
    counting = true;
    handle = at::addGlobalCallback(at::RecordFunctionCallback(entered, left)
                                       .needsInputs(true)
                                       .needsOutputs(true)
                                       .scopes({at::RecordScope::FUNCTION}));
  });
}

// Ends the counting and hands out what was counted.
char* shim_count_end(void* receiver, ReceiveCost receive) {
  return caught([&] {
    at::removeCallback(handle);
    counting = false;
    std::lock_guard<std::mutex> guard(lock);
    for (const auto& cost : costs) receive(receiver, cost.name.c_str(), cost.flops, cost.bytes);
    costs.clear();
  });
}

} // extern "C"
