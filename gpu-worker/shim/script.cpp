// TorchScript modules with their buffers, and tracing of a model into one.
#include "shim.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/script.h>

using torch::jit::Module;

extern "C" {

typedef void (*NamedTensor)(void* receiver, const char* name, at::Tensor* tensor);
typedef at::Tensor* (*Forward)(void* model, const at::Tensor* input);

char* shim_module_load(const char* path, int device, Module** module) {
  return caught([&] {
    *module = new Module(torch::jit::load(
        path, device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device))));
  });
}

char* shim_module_save(const Module* module, const char* path) {
  return caught([&] { module->save(path); });
}

void shim_module_free(Module* module) {
  delete module;
}

char* shim_module_forward(Module* module, const at::Tensor* input, at::Tensor** output) {
  return caught([&] {
    auto value = module->forward({*input});
    TORCH_CHECK(value.isTensor(), "its forward returns ", value.tagKind(), " and not one tensor");
    *output = new at::Tensor(value.toTensor());
  });
}

char* shim_module_train(Module* module, int on) {
  return caught([&] { module->train(on); });
}

// Freezes the module, which has to be in evaluation mode, and lets libtorch rewrite it for inference on this device.
char* shim_module_optimize(Module* module) {
  return caught([&] {
    *module = torch::jit::optimize_for_inference(*module);
  });
}

char* shim_module_parameters(const Module* module, void* receiver, NamedTensor receive) {
  return caught([&] {
    for (const auto& parameter : module->named_parameters()) {
      receive(receiver, parameter.name.c_str(), new at::Tensor(parameter.value));
    }
  });
}

char* shim_module_buffers(const Module* module, void* receiver, NamedTensor receive) {
  return caught([&] {
    for (const auto& buffer : module->named_buffers()) {
      receive(receiver, buffer.name.c_str(), new at::Tensor(buffer.value));
    }
  });
}

// Traces `forward` with `input` into a module that has the named parameters and buffers as its own. `forward` may
// return null: it has kept its own error, and this function then says only that it failed.
char* shim_trace(
    const at::Tensor* input,
    Forward forward,
    void* model,
    const char* const* names,
    at::Tensor* const* tensors,
    const uint8_t* is_buffer,
    size_t count,
    Module** traced) {
  return caught([&] {
    Module module("Exported");
    for (size_t i = 0; i < count; ++i) {
      if (is_buffer[i]) {
        module.register_buffer(names[i], *tensors[i]);
      } else {
        module.register_parameter(names[i], *tensors[i], /*is_buffer=*/false);
      }
    }
    auto run = [&](torch::jit::Stack inputs) {
      const at::Tensor first = inputs.front().toTensor();
      std::unique_ptr<at::Tensor> output(forward(model, &first));
      TORCH_CHECK(output, "the model's forward failed");
      return torch::jit::Stack{*output};
    };
    auto [state, outputs] = torch::jit::tracer::trace(
        {*input}, run, [](const at::Tensor&) { return std::string(); },
        /*strict=*/true, /*force_outplace=*/false, &module);
    auto function = module._ivalue()->compilation_unit()->create_function(
        c10::QualifiedName(*module.type()->name(), "forward"), state->graph);
    module.type()->addMethod(function);
    *traced = new Module(module);
  });
}

} // extern "C"
