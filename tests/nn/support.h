// Small helpers of the module tests.
#pragma once

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "support/devices.h"
#include "weft/core/factory.h"
#include "weft/nn/module.h"

namespace weft::test {

template <class M> std::string printed(const M& m) {
  std::ostringstream s;
  s << m;
  return s.str();
}

inline std::vector<float> values(const Tensor& t) { return t.to_vector<float>(); }

/// "weight [3, 4], bias [3]" of a state dict.
inline std::string keys(const nn::Module& m) {
  std::string out;
  for (const auto& [name, t] : m.state_dict()) out += (out.empty() ? "" : ", ") + weft::str(name, " ", t.shape());
  return out;
}

/// The message of the E that f throws.
template <class E = ValueError, class F> std::string message(F f) {
  try {
    f();
  } catch (const E& e) { return e.what(); }
  return "nothing was thrown";
}

inline bool has(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    if (text.find(part) == std::string::npos) return false;
  return true;
}

/// Bounds and moments of U(-bound, bound), as the golden vectors' rules for `init`.
inline void check_uniform(const Tensor& t, double bound) {
  auto v = t.to_vector<double>();
  double most = 0, sum = 0, square = 0;
  for (double x : v) {
    most = std::max(most, std::fabs(x));
    sum += x;
    square += x * x;
  }
  double n = static_cast<double>(v.size());
  CHECK(most <= bound * (1 + 1e-6));
  if (n >= 64) CHECK(most > 0.8 * bound);
  if (n >= 1000) {
    CHECK(std::fabs(sum / n) < 0.15 * bound);
    CHECK(std::sqrt(square / n) == doctest::Approx(bound / std::sqrt(3.0)).epsilon(0.1));
  }
}
inline void check_normal(const Tensor& t, double std) {
  auto v = t.to_vector<double>();
  double sum = 0, square = 0, most = 0;
  for (double x : v) {
    sum += x;
    square += x * x;
    most = std::max(most, std::fabs(x));
  }
  double n = static_cast<double>(v.size());
  CHECK(std::sqrt(square / n) == doctest::Approx(std).epsilon(0.1));
  CHECK(std::fabs(sum / n) < 5 * std / std::sqrt(n));
  CHECK(most > 2 * std);
}

}  // namespace weft::test
