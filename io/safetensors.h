// Tensors in safetensors files: the format that weights are exchanged in.
// Knows StateDict, no module; a file that lies about itself is refused before anything is allocated for it.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/core/state_dict.h"

namespace weft::io {

/// Reads a safetensors file: f64 f32 f16 bf16 i64 i32 u8 bool tensors in the order of its header, and its metadata.
/// The file is mapped: tensors whose data is aligned share the mapping (changes to them stay in the process), others are
/// copies. The file must not be shortened while tensors of it live. IoError names the file and what is wrong with it;
/// NotSupported names a complex tensor.
/// Format: https://github.com/huggingface/safetensors
WEFT_API StateDict load(const std::string& path);

/// The same from memory; tensors are copies. `name` stands for the file in errors.
WEFT_API StateDict load_safetensors(std::span<const std::byte> bytes, std::string_view name);

/// Writes `dict` in its order, in logical row-major layout. The file appears complete or not at all: an existing one
/// is kept when anything fails. ValueError for a name or text that is not UTF-8, or the reserved name `__metadata__`.
WEFT_API void save(const StateDict& dict, const std::string& path);

/// A module, an optimiser, a schedule, an average of weights: what gives and takes a StateDict.
template <class T>
concept Stateful = requires(T& t, const StateDict& dict) {
  { std::as_const(t).state_dict() } -> std::convertible_to<StateDict>;
  t.load_state_dict(dict);
};

/// Saves the state of a model, an optimiser, ... as the dict's `save` does.
template <Stateful T> void save(const T& model, const std::string& path) { save(model.state_dict(), path); }

namespace detail {
/// f(load(path)); a ValueError begins with the file's name.
template <class F> auto with_file(const std::string& path, const F& f) {
  const StateDict dict = load(path);
  try {
    return f(dict);
  } catch (const ValueError& e) { raise<ValueError>(path, ": ", e.what()); }
}
}  // namespace detail

/// Loads the file into it: `model.load_state_dict(load(path), strict)`. One ValueError lists every missing, unexpected and
/// misshapen key, and nothing is changed then; modules take what fits with `strict` off and return the other keys.
template <Stateful T> auto load(T& model, const std::string& path) {
  return detail::with_file(path, [&](const StateDict& dict) { return model.load_state_dict(dict); });
}
template <Stateful T>
requires requires(T& t, const StateDict& dict) { t.load_state_dict(dict, false); }
auto load(T& model, const std::string& path, bool strict) {
  return detail::with_file(path, [&](const StateDict& dict) { return model.load_state_dict(dict, strict); });
}

}  // namespace weft::io
