#include "weft/nn/repr.h"

#include <charconv>
#include <cmath>

namespace weft::nn::detail {

std::string py(double x) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x < 0 ? "-inf" : "inf";
  char text[64];
  double a = std::fabs(x);
  // Python switches to exponents below 1e-4 and from 1e16 on
  auto format = a != 0 && (a < 1e-4 || a >= 1e16) ? std::chars_format::scientific : std::chars_format::fixed;
  std::string s(text, std::to_chars(text, text + sizeof text, x, format).ptr);
  return format == std::chars_format::fixed && s.find('.') == std::string::npos ? s + ".0" : s;
}

std::string py(const Shape& s) {
  std::string out = "(";
  for (int i = 0; i < s.size(); ++i) out += (i ? ", " : "") + std::to_string(s[i]);
  return out + (s.size() == 1 ? ",)" : ")");
}

}  // namespace weft::nn::detail
