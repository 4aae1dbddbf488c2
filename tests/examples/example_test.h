// What the tests of examples share: golden files of PyTorch's networks, scratch files, errors.
#pragma once

#include <doctest/doctest.h>
#include <weft/weft.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

/// The same formula as in the make_*_golden.py.
inline weft::Tensor value(int salt, const weft::Shape& shape, double scale) {
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = std::sin(static_cast<double>(i) * (0.7 + 0.01 * salt) + salt) * scale;
  return weft::tensor(v, shape);
}

inline double largest_difference(const weft::Tensor& a, const weft::Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return weft::max(weft::abs(a.detach() - b.detach())).item<double>();
}

inline weft::StateDict golden(const std::string& name) {
  const char* folder = std::getenv("WEFT_GOLDEN_EXAMPLES");
  return weft::io::load_npz(std::string(folder ? folder : "tests/examples") + "/" + name);
}

/// The file's "keys", a line each.
inline std::string golden_keys(const weft::StateDict& file) {
  const std::vector<uint8_t> text = file.at("keys").to_vector<uint8_t>();
  return {text.begin(), text.end()};
}

inline std::string lines(const std::vector<std::string>& keys) {
  std::string text;
  for (const std::string& key : keys) text += (text.empty() ? "" : "\n") + key;
  return text;
}
inline std::vector<std::string> keys_of(const weft::nn::Module& net) {
  std::vector<std::string> keys;
  for (const auto& [key, t] : net.state_dict()) keys.push_back(key);
  return keys;
}

inline std::string scratch(const std::string& name) {
  const char* folder = std::getenv("TMPDIR");
  return std::string(folder ? folder : "/tmp") + "/weft_" + name;
}

/// What f throws.
template <class F> std::string message(F f) {
  try {
    f();
  } catch (const weft::Error& e) { return e.what(); }
  return "nothing was thrown";
}
