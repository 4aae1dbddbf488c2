// u-muP's tags as manifests write them: "mup_type" and "mup_scaling_depth".
#pragma once

#include "golden/value.h"
#include "weft/autograd/mup.h"

namespace golden {

/// The tags that an object asks for; {none} for a type that is absent or null.
inline weft::unit_scaled::MupInfo mup_info(const Value& v) {
  weft::unit_scaled::MupInfo info;
  if (v.has("mup_type")) info.type = weft::unit_scaled::mup_type(v["mup_type"].as_string());
  if (v.has("mup_scaling_depth")) info.depth = v["mup_scaling_depth"].as_int();
  return info;
}

/// What is wrong with t's tags, where the object speaks of them.
inline std::string mup_difference(const weft::Tensor& t, const Value& want) {
  const weft::unit_scaled::MupInfo got = weft::unit_scaled::mup_info(t), expected = mup_info(want);
  if (want.has("mup_type") && got.type != expected.type) return "mup_type is not " + want["mup_type"].text();
  if (want.has("mup_scaling_depth") && got.depth != expected.depth)
    return "mup_scaling_depth is not " + want["mup_scaling_depth"].text();
  return "";
}

}  // namespace golden
