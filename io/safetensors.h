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
#include "weft/io/input_output.h"
#include "weft/io/load.h"

namespace weft::io {

/// Reads safetensors: f64 f32 f16 bf16 i64 i32 i16 i8 u16 u8 bool tensors in the order of its header, and its metadata.
/// A file is mapped: tensors whose data is aligned share the mapping (changes to them stay in the process), others are
/// copies. The file must not be shortened while tensors of it live. IoError names the file and what is wrong with it
/// (what it is instead, if that can be seen). Tensors of other dtypes do not keep the rest from loading: they are
/// listed in `foreign`, and asking the dict for one is NotSupported, by name.
///     StateDict dict = io::load("quantised.safetensors", {.widen = true});
/// Format: https://github.com/huggingface/safetensors
WEFT_API StateDict load(const Input& from, const LoadOptions& o = {});
/// `load` with the bytes of a file; `name` stands for the file in errors.
inline StateDict load_safetensors(std::span<const std::byte> bytes, std::string_view name, const LoadOptions& o = {}) {
  return load({bytes, std::string(name)}, o);
}

/// A safetensors file that is open: what it holds, whatever the dtypes, and its tensors one by one.
///     io::SafetensorsFile file("model.safetensors");
///     for (const io::TensorInfo& t : file.tensors()) std::cout << t.name << ' ' << t.dtype << ' ' << t.shape << '\n';
///     Tensor ids = file.load("position_ids", {.widen = true});
class WEFT_API SafetensorsFile {
 public:
  /// Reads the header. IoError as `load`. Bytes must live as long as this; tensors of them are copies.
  explicit SafetensorsFile(const Input& from);
  /// The same with a file's bytes; `name` stands for the file in errors.
  SafetensorsFile(std::span<const std::byte> bytes, std::string_view name)
      : SafetensorsFile(Input(bytes, std::string(name))) {}
  /// In the order of the header.
  const std::vector<TensorInfo>& tensors() const;
  /// The `__metadata__` of the header.
  const std::map<std::string, std::string>& metadata() const;
  /// Whether there is a tensor of that name.
  bool contains(std::string_view name) const;
  /// ValueError when there is none of that name; NotSupported when weft cannot hold it.
  Tensor load(std::string_view name, const LoadOptions& o = {}) const;
  /// All of them, with the metadata; those that weft cannot hold are `foreign`.
  StateDict load(const LoadOptions& o = {}) const;

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

/// Writes `dict` in its order, in logical row-major layout. ValueError for a name or text that is not UTF-8, or the
/// reserved name `__metadata__`; NotSupported when the dict has foreign tensors. Nothing is written then.
WEFT_API void save(const StateDict& dict, const Output& to);

/// A list of tensors is saved under the names "0", "1", "2", ...; a tensor by itself as a list of one.
///     io::save({x, y}, "batch.safetensors");
///     std::vector<Tensor> both = io::load_tensors("batch.safetensors");
WEFT_API void save(const std::vector<Tensor>& tensors, const Output& to);
WEFT_API void save(const Tensor& x, const Output& to);
/// The tensors of such a list, in its order. Errors: as `load`; NotSupported for a dtype that weft cannot hold,
/// ValueError for tensors of other names.
WEFT_API std::vector<Tensor> load_tensors(const Input& from, const LoadOptions& o = {});
/// load_tensors into `tensors`, or into `x` from a list of one tensor (ValueError for another number). Nothing is
/// changed when it throws.
WEFT_API void load(std::vector<Tensor>& tensors, const Input& from);
WEFT_API void load(Tensor& x, const Input& from);

/// A module, an optimiser, a schedule, an average of weights: what gives and takes a StateDict.
template <class T>
concept Stateful = requires(T& t, const StateDict& dict) {
  { std::as_const(t).state_dict() } -> std::convertible_to<StateDict>;
  t.load_state_dict(dict);
};

/// Saves the state of a model, an optimiser, ... as the dict's `save` does.
template <Stateful T> void save(const T& model, const Output& to) { save(model.state_dict(), to); }

/// The bytes that `save` writes of a dict, a model or tensors.
template <class T> [[nodiscard]] std::vector<std::byte> save_bytes(const T& x) {
  std::vector<std::byte> bytes;
  save(x, bytes);
  return bytes;
}

namespace detail {
/// f(load(from)); a ValueError begins with the file's name.
template <class F> auto with_file(const Input& from, const F& f) {
  const StateDict dict = load(from);
  try {
    return f(dict);
  } catch (ValueError& e) {
    e.set_text(str(from.name(), ": ", e.what()));
    throw;
  }
}
}  // namespace detail

/// Loads the file into it: `model.load_state_dict(load(from), strict)`. One ValueError lists every missing, unexpected
/// and misshapen key, and nothing is changed then; modules take what fits with `strict` off and return the other keys.
template <Stateful T> auto load(T& model, const Input& from) {
  return detail::with_file(from, [&](const StateDict& dict) { return model.load_state_dict(dict); });
}
/// The same with `strict`.
template <Stateful T>
requires requires(T& t, const StateDict& dict) { t.load_state_dict(dict, false); }
auto load(T& model, const Input& from, Only<bool> strict) {
  return detail::with_file(from, [&](const StateDict& dict) { return model.load_state_dict(dict, strict); });
}

}  // namespace weft::io
