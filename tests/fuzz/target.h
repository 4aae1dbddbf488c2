// The frame of a libFuzzer target: a reader takes the bytes, or throws IoError, or NotSupported for what is right but
// not offered; any other exception is a find. Knows no format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weft/core/error.h"

/// Defines the target; the body reads `bytes`.
#define WEFT_FUZZ_TARGET(bytes)                                             \
  static void fuzz_one(std::span<const std::byte> bytes);                   \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    try {                                                                   \
      fuzz_one({reinterpret_cast<const std::byte*>(data), size});           \
    } catch (const weft::IoError&) {                                        \
    } catch (const weft::NotSupported&) {}                                  \
    return 0;                                                               \
  }                                                                         \
  static void fuzz_one(std::span<const std::byte> bytes)
