// Tensors in safetensors files: the format that weights are exchanged in.
// Knows StateDict, no module; a file that lies about itself is refused before anything is allocated for it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "weft/core/state_dict.h"

namespace weft::io {

/// Reads a safetensors file: f64 f32 f16 bf16 i64 i32 u8 bool tensors in the order of its header, and its metadata.
/// The file is mapped: tensors whose data is aligned share the mapping (changes to them stay in the process), others are
/// copies. The file must not be shortened while tensors of it live. IoError names the file and what is wrong with it.
/// Format: https://github.com/huggingface/safetensors
WEFT_API StateDict load(const std::string& path);

/// The same from memory; tensors are copies. `name` stands for the file in errors.
WEFT_API StateDict load_safetensors(std::span<const std::byte> bytes, std::string_view name);

/// Writes `dict` in its order, in logical row-major layout. The file appears complete or not at all: an existing one
/// is kept when anything fails. ValueError for a name or text that is not UTF-8, or the reserved name `__metadata__`.
WEFT_API void save(const StateDict& dict, const std::string& path);

/// Loads the file's tensors into a module, an optimiser, ...: `model.load_state_dict(load(path), strict)`.
template <class Model> auto load(Model& model, const std::string& path, bool strict = true) {
  return model.load_state_dict(load(path), strict);
}

}  // namespace weft::io
