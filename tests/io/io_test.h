// Helpers of the io tests: a folder that goes away, whole files, tensors compared bit by bit.
// Knows no format.
#pragma once

#include <doctest/doctest.h>

#include <unistd.h>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "support/test_data.h"
#include "weft/core/factory.h"

namespace io_test {

using namespace weft;

struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-io-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator(path), std::filesystem::directory_iterator()));
  }
};

inline std::string read_file(const std::string& path) {
  std::ifstream f(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(f), {}};
}
inline void write_file(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}
inline std::span<const std::byte> bytes_of(std::string_view s) {
  return std::as_bytes(std::span<const char>(s.data(), s.size()));
}

/// Same dtype, shape and bits.
inline bool identical(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  Tensor x = a.contiguous(), y = b.contiguous();
  return x.numel() == 0 || std::memcmp(x.raw_data(), y.raw_data(), x.nbytes()) == 0;
}

/// The message of the IoError that `f` throws; "nothing thrown" otherwise. Another exception goes through.
template <class F> std::string refusal(const F& f) {
  try {
    f();
  } catch (const IoError& e) { return e.what(); }
  return "nothing thrown";
}

/// One tensor of each dtype, of several ranks and values.
inline std::vector<std::pair<std::string, Tensor>> samples() {
  std::vector<std::pair<std::string, Tensor>> v;
  for (Dtype d : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16, Dtype::i64, Dtype::i32, Dtype::u8})
    v.emplace_back(name(d), tensor({0.f, 1.f, 2.f, 100.f, 7.f, 3.f}, Shape{2, 3}, d));
  v.emplace_back("bool", tensor(std::vector<bool>{true, false, true}));
  v.emplace_back("scalar", scalar(2.5));
  v.emplace_back("empty", zeros({0, 4}));
  return v;
}

}  // namespace io_test
