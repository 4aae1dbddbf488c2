#include "weft/io/stored.h"

#include <algorithm>
#include <cstring>

#include "weft/core/factory.h"

namespace weft::io {

namespace {

template <class T> T read_number(const std::byte* p, bool swapped) {
  std::byte raw[sizeof(T)];
  std::memcpy(raw, p, sizeof(T));
  if (swapped) std::reverse(raw, raw + sizeof(T));
  T v;
  std::memcpy(&v, raw, sizeof(T));
  return v;
}

template <class From> Tensor widened(const std::byte* p, const Shape& shape, bool swapped) {
  Tensor t = empty(shape, Dtype::i64);
  int64_t* out = t.mut_data<int64_t>();
  for (int64_t i = 0, n = t.numel(); i < n; ++i, p += sizeof(From))
    out[i] = static_cast<int64_t>(read_number<From>(p, swapped));
  return t;
}

Tensor swapped(const std::byte* p, const Shape& shape, Dtype dtype) {
  Tensor t = empty(shape, dtype);
  auto* out = static_cast<std::byte*>(t.mut_raw_data());
  size_t item = itemsize(dtype), n = t.nbytes();
  for (size_t i = 0; i < n; i += item) std::reverse_copy(p + i, p + i + item, out + i);
  return t;
}

}  // namespace

std::string Stored::shown() const {
  return dtype && widened == Integer::none ? std::string(weft::name(*dtype)) : printable(text);
}

Stored Stored::held(std::string text, Dtype dtype) {
  Stored s;
  s.text = std::move(text);
  s.bits = itemsize(dtype) * 8;
  s.dtype = dtype;
  return s;
}

Stored Stored::integer(std::string text, Integer from) {
  Stored s;
  s.text = std::move(text);
  s.bits = from == Integer::u32 ? 32 : 64;
  s.dtype = Dtype::i64;
  s.widened = from;
  return s;
}

Tensor read_stored(const Source& source, size_t offset, const Shape& shape, const Stored& stored,
                   const std::string& what, bool widen) {
  const std::string word = printable(stored.text);
  if (stored.complex)
    source.not_supported(what + "is complex (" + word +
                         "), which weft does not offer; save its real and imaginary parts");
  if (!stored.dtype) source.not_supported(what + "has the dtype " + word + ", which weft does not offer");
  using Integer = Stored::Integer;
  if (stored.widened != Integer::none && !widen)
    source.not_supported(weft::str(what, "has the dtype ", word,
                                   ", which weft does not offer; load it with "
                                   "{.widen = true} to get ",
                                   weft::name(*stored.dtype)));
  const Dtype result = widen && is_short(*stored.dtype) ? Dtype::i32 : *stored.dtype;
  size_t bytes = 0;
  if (!checked_bytes(shape, itemsize(result) * 8, bytes))
    source.fail(weft::str(what, "has the impossible shape ", shape));
  const std::byte* p = source.bytes.data() + offset;
  bool swap = stored.swapped;
  switch (stored.widened) {
    case Integer::none: break;
    case Integer::u32: return widened<uint32_t>(p, shape, swap);
    case Integer::u64:
      for (size_t i = 0; i < bytes; i += 8)
        if (uint64_t v = read_number<uint64_t>(p + i, swap); v > INT64_MAX)
          source.not_supported(weft::str(what, "holds ", v, " (", word, "), more than an i64 can"));
      return widened<uint64_t>(p, shape, swap);
  }
  return (swap ? swapped(p, shape, *stored.dtype) : source.tensor(offset, shape, *stored.dtype)).to(result);
}

bool checked_bytes(const Shape& shape, size_t bits, size_t& bytes) {
  int64_t elements = 1, n = 0;
  bool none = false;
  for (int64_t size : shape) {
    if (size < 0) return false;
    none = none || size == 0;
    // A 0 among the sizes must not hide that the others overflow: strides are computed from them.
    if (size != 0 && (__builtin_mul_overflow(elements, size, &elements) || elements >= kTooManyElements)) return false;
  }
  const bool parts = bits % 8 != 0;
  if (__builtin_mul_overflow(elements, static_cast<int64_t>(parts ? bits : bits / 8), &n)) return false;
  if (parts && !none && n % 8 != 0) return false;
  bytes = none ? 0 : static_cast<size_t>(parts ? n / 8 : n);
  return true;
}

void refuse_foreign(const StateDict& dict, const char* op) {
  if (dict.foreign.empty()) return;
  const auto& [name, tensor] = *dict.foreign.begin();
  raise<NotSupported>(op, ": '", printable(name), "' of the dtype ", printable(tensor.dtype),
                      " was not loaded, and would be lost; erase it from the dict, or load it widened");
}

std::string recognised(Bytes bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 1 << 16));
  // First, since any byte may begin it: the length of a header, which begins with {
  if (text.size() > 9 && text[8] == '{' && text[5] == 0 && text[6] == 0 && text[7] == 0)
    return "a safetensors file; io::load reads it";
  const std::string torch =
      "a PyTorch checkpoint; scripts/export_torch.py, or save_file of safetensors.torch, makes a safetensors file of "
      "it";
  if (text.starts_with("PK\3\4")) {
    if (text.find("data.pkl") != std::string_view::npos) return torch;
    if (text.find(".npy") != std::string_view::npos) return "a .npz archive; io::load_npz reads it";
    return "a zip archive; unpack it first";
  }
  if (text.size() > 1 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) return "a Python pickle, perhaps " + torch;
  using namespace std::string_view_literals;
  constexpr std::pair<std::string_view, const char*> kBegins[] = {
      {"\x93NUMPY", "a .npy array; io::load_npy reads it"},
      {"\x89PNG\r\n", "a PNG picture; io::read_image reads it"},
      {"\xff\xd8\xff", "a JPEG picture; io::read_image reads it"},
      {"GIF8", "a GIF picture, which weft does not read; convert it to PNG"},
      {"RIFF", "a RIFF file, perhaps a WebP picture, which weft does not read; convert it to PNG"},
      {"II*\0"sv, "a TIFF file; io::read_volume reads it if it is grey"},
      {"MM\0*"sv, "a TIFF file; io::read_volume reads it if it is grey"},
      {"\x1f\x8b", "compressed by gzip; unpack it first"},
      {"\x89HDF\r\n", "an HDF5 file; io::Hdf5File reads its arrays"},
      {"GGUF", "a GGUF file, which weft does not read; look for the model's safetensors"},
      {"version https://git-lfs", "a pointer of Git LFS, not the file; `git lfs pull` fetches it"}};
  for (const auto& [start, kind] : kBegins)
    if (text.starts_with(start)) return kind;
  size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin != std::string_view::npos && text.substr(begin).starts_with("<"))
    return "a web page or XML; its download went wrong";
  if (begin != std::string_view::npos && text.substr(begin).starts_with("{"))
    return "JSON; load the files that an index names, one by one";
  return "";
}

}  // namespace weft::io
