// Tensors that hardly anything takes in the place of a given one, and what must come of them: an Error in the op's
// name, or a result. Knows tensors and the engine; must not know what is tested.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/here.h"
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/reduce/reduce.h"

namespace support {

using Misfit = std::pair<std::string, weft::Tensor>;

/// Other ranks, sizes (none among them), dtypes and extreme values of x; and no tensor at all.
inline std::vector<Misfit> misfits(const weft::Tensor& x) {
  using weft::Dtype;
  std::vector<Misfit> all{{"undefined", {}}, {"rank 0", here::ones({}, x.dtype())}};
  all.emplace_back("rank 12", here::ones(weft::Shape::filled(weft::kMaxRank, 1), x.dtype()));
  all.emplace_back("an axis more", x.unsqueeze(0));
  if (x.rank() > 0 && x.size(0) > 0) all.emplace_back("an axis less", x.select(0, 0));
  for (int axis = 0; axis < x.rank(); ++axis)
    for (const int64_t by : {int64_t{0}, x.shape()[axis] + 1}) {
      weft::Shape s = x.shape();
      s[axis] = by;
      all.emplace_back(weft::str("shape ", s), here::ones(s, x.dtype()));
    }
  for (const Dtype d :
       {Dtype::f32, Dtype::f64, Dtype::f16, Dtype::bf16, Dtype::i64, Dtype::i32, Dtype::u8, Dtype::boolean})
    if (d != x.dtype()) all.emplace_back(weft::name(d), x.to(d));
  if (x.is_floating()) {
    for (const double v : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1e30})
      all.emplace_back(weft::str("all ", v), here::full(x.shape(), v, x.dtype()));
  } else {
    for (const int64_t v : {int64_t{-1}, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()})
      all.emplace_back(weft::str("all ", v), here::full(x.shape(), v, Dtype::i64).to(x.dtype()));
  }
  return all;
}

/// Calls with every input replaced by its misfits in turn, and goes backward through what comes of it. `describe` says
/// where in a failure. Anything but an Error "<op>: <what is wrong>" (or a result) fails, and one in another op's name
/// if `op` is given.
inline void check_misfits(const std::vector<weft::Tensor>& inputs,
                          const std::function<std::vector<weft::Tensor>(const std::vector<weft::Tensor>&)>& call,
                          const std::string& op = "") {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) continue;
    for (const auto& [label, misfit] : misfits(inputs[i].detach())) {
      const std::string what = weft::str("input ", i, ": ", label);
      INFO(what);
      std::vector<weft::Tensor> x, leaves, outputs;
      for (const weft::Tensor& t : inputs) x.push_back(t.defined() ? t.detach() : t);
      x[i] = misfit.defined() ? misfit.detach() : misfit;
      for (weft::Tensor& t : x)
        if (t.defined() && t.is_floating()) leaves.push_back(t.set_requires_grad());
      std::string text = "it is refused: why";
      bool forward = true;
      try {
        for (const weft::Tensor& y : call(x))
          if (y.defined() && y.requires_grad()) outputs.push_back(weft::sum(y));
        forward = false;
        if (!outputs.empty()) (void)weft::grad(outputs, leaves, {.allow_unused = true});
      } catch (const weft::Error& e) { text = e.what(); } catch (const std::exception& e) {
        text = weft::str("no Error of weft's (", e.what(), ")");
      }
      CHECK_MESSAGE((text.find(": ") != std::string::npos && text.find("no Error") == std::string::npos), text);
      if (forward && !op.empty()) CHECK_MESSAGE(text.find(op + ": ") == 0, op, " is not named: ", text);
    }
  }
}

}  // namespace support
