// Options of unit scaling that functions and modules share.
#pragma once

#include "golden/words.h"
#include "weft/autograd/ops/elementwise/format.h"
#include "weft/nn/unit_scaled/functional.h"

namespace golden {

/// `constraint`: absent is the default, null is none.
inline weft::unit_scaled::Constraint constraint(
    const Args& a, weft::unit_scaled::Constraint otherwise = weft::unit_scaled::Constraint::to_output_scale) {
  if (!a.given("constraint")) return otherwise;
  return weft::unit_scaled::constraint(a.word("constraint", ""));
}

inline weft::unit_scaled::GeluOptions gelu_options(const Args& a) {
  const std::string approximate = a.word("approximate", "none");
  if (approximate != "none" && approximate != "tanh") throw weft::ValueError("gelu: approximate " + approximate);
  return {.mult = a.number("mult", 1),
          .constraint = constraint(a),
          .approximate = approximate == "tanh" ? weft::Approximate::tanh : weft::Approximate::none};
}

inline weft::unit_scaled::CrossEntropyOptions cross_entropy_options(const Args& a) {
  return {.mult = a.number("mult", 1),
          .ignore_index = a.integer("ignore_index", -100),
          .reduction = reduction(a),
          .weight = a.tensor("weight"),
          .label_smoothing = a.number("label_smoothing", 0)};
}

inline weft::FPFormat fp_format(const Args& a) {
  return weft::FPFormat(a.integer("exponent_bits"), a.integer("mantissa_bits"),
                        weft::fp_rounding(a.word("rounding", "stochastic")), a.integer("srbits", 0));
}

}  // namespace golden
