// Tensors in safetensors files: the format that weights are exchanged in.
// Knows StateDict, no module; a file that lies about itself is refused before anything is allocated for it.
#pragma once

#include <concepts>
#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/core/state_dict.h"
#include "weft/io/load.h"

namespace weft::io {

/// Reads a safetensors file: f64 f32 f16 bf16 i64 i32 u8 bool tensors in the order of its header, and its metadata.
/// The file is mapped: tensors whose data is aligned share the mapping (changes to them stay in the process), others are
/// copies. The file must not be shortened while tensors of it live. IoError names the file and what is wrong with it (what it is
/// instead, if that can be seen). Tensors of other dtypes do not keep the rest from loading: they are listed in `foreign`, and
/// asking the dict for one is NotSupported, by name.
///     StateDict dict = io::load("quantised.safetensors", {.widen = true});
/// Format: https://github.com/huggingface/safetensors
WEFT_API StateDict load(const std::string& path, const LoadOptions& o = {});

/// The same from memory; tensors are copies. `name` stands for the file in errors.
WEFT_API StateDict load_safetensors(std::span<const std::byte> bytes, std::string_view name, const LoadOptions& o = {});

/// A safetensors file that is open: what it holds, whatever the dtypes, and its tensors one by one.
///     io::SafetensorsFile file("model.safetensors");
///     for (const io::TensorInfo& t : file.tensors()) std::cout << t.name << ' ' << t.dtype << ' ' << t.shape << '\n';
///     Tensor ids = file.load("position_ids", {.widen = true});
class WEFT_API SafetensorsFile {
 public:
  /// Reads the header. IoError as `load`.
  explicit SafetensorsFile(const std::string& path);
  /// From memory, which must live as long as this; tensors are copies. `name` stands for the file in errors.
  SafetensorsFile(std::span<const std::byte> bytes, std::string_view name);
  /// In the order of the header.
  const std::vector<TensorInfo>& tensors() const;
  const std::map<std::string, std::string>& metadata() const;
  bool contains(std::string_view name) const;
  /// ValueError when there is none of that name; NotSupported when weft cannot hold it.
  Tensor load(std::string_view name, const LoadOptions& o = {}) const;
  /// All of them, with the metadata; those that weft cannot hold are `foreign`.
  StateDict load(const LoadOptions& o = {}) const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

/// Writes `dict` in its order, in logical row-major layout. The file appears complete or not at all: an existing one
/// is kept when anything fails, and gives the new one its rights. ValueError for a name or text that is not UTF-8, or the reserved
/// name `__metadata__`; NotSupported when the dict has foreign tensors.
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
