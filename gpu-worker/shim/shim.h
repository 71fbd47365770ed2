// What gpu-worker needs of libtorch and tch does not have, as a C interface.
//
// Every function returns null, or the message of the exception that it caught (free it with shim_free): no exception
// crosses into Rust. Tensors are tch's own pointers (`torch::Tensor*`); those that are handed out belong to the caller.
#pragma once

#include <cstdint>
#include <cstring>
#include <exception>
#include <torch/types.h>

template <typename F>
static char* caught(F&& body) {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception that is no std::exception");
  }
}

inline std::vector<at::Tensor> listed(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> list;
  list.reserve(count);
  for (size_t i = 0; i < count; ++i) list.push_back(*tensors[i]);
  return list;
}
