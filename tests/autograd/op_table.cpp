#include "autograd/op_table.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "support/devices.h"
#include "support/misfits.h"
#include "support/strided.h"
#include "weft/autograd/grad_mode.h"
#include "weft/autograd/gradcheck.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/elementwise/unary.h"
#include "weft/core/backend.h"
#include "weft/core/generator.h"
#include "weft/nn/capture.h"

namespace op_table {
namespace {

using weft::grad;

bool differentiable(const Tensor& x) { return x.defined() && x.is_floating(); }

// Copies as leaves that require grad, each passed through `change` first.
Tensors leaves(const Tensors& inputs, const std::function<Tensor(const Tensor&)>& change) {
  Tensors x;
  for (const Tensor& t : inputs) {
    x.push_back(t.defined() ? change(t) : t);
    if (differentiable(x.back())) x.back().set_requires_grad();
  }
  return x;
}
Tensors leaves(const Tensors& inputs) {
  return leaves(inputs, [](const Tensor& t) { return t.clone(); });
}

Tensor upstream(const Tensor& y, uint64_t seed) { return uniform(y.shape(), -1, 1, seed).to(y.dtype()); }

// Gradients of all differentiable inputs for fixed upstream gradients; empty if no output needs any.
Tensors gradients(const Tensors& x, const Tensors& y, bool create_graph = false) {
  Tensors outputs, g, sources;
  for (size_t i = 0; i < y.size(); ++i) {
    if (!y[i].requires_grad()) continue;
    outputs.push_back(y[i]);
    g.push_back(upstream(y[i], 100 + i));
  }
  for (const Tensor& t : x)
    if (differentiable(t)) sources.push_back(t);
  if (outputs.empty()) return Tensors(sources.size());
  return grad(outputs, sources, {.create_graph = create_graph, .allow_unused = true, .grad_outputs = g});
}

double eps_of(Dtype d) {
  return d == Dtype::f64 ? 0x1p-52 : d == Dtype::f32 ? 0x1p-23 : d == Dtype::f16 ? 0x1p-10 : 0x1p-7;
}

// Empty if |got - want| <= tolerance * (1 + |want|) everywhere; NaN equals NaN.
std::string difference(const Array& got, const Array& want, double tolerance) {
  if (got.shape != want.shape) return weft::str("shape ", got.shape, ", expected ", want.shape);
  for (size_t i = 0; i < got.v.size(); ++i) {
    const double g = got.v[i], w = want.v[i];
    if (g == w || (std::isnan(g) && std::isnan(w))) continue;
    if (!(std::abs(g - w) <= tolerance * (1 + std::abs(w))))
      return weft::str("element ", i, " of ", got.shape, " is ", g, ", expected ", w, " (tolerance ", tolerance, ")");
  }
  return "";
}
std::string difference(const Tensor& got, const Tensor& want, double tolerance) {
  if (got.defined() != want.defined()) {
    // A gradient that is zero everywhere may be absent.
    const Array some(got.defined() ? got : want);
    return difference(some, Array(some.shape), tolerance);
  }
  return got.defined() ? difference(Array(got), Array(want), tolerance) : "";
}

void expect_same(const Tensors& got, const Tensors& want, double tolerance, const std::string& what) {
  CHECK_MESSAGE(got.size() == want.size(), what);
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    const std::string d = difference(got[i], want[i], tolerance);
    CHECK_MESSAGE(d.empty(), what, " ", i, ": ", d);
  }
}

void check_values(const Op&, const Sample& s, double tolerance) {
  if (!s.reference) return;
  Arrays in;
  for (const Tensor& t : s.inputs) in.push_back(t.defined() ? Array(t) : Array());
  const Tensors got = s.call(s.inputs);
  const Arrays want = s.reference(in);
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const std::string d = difference(Array(got[i]), want[i], tolerance);
    CHECK_MESSAGE(d.empty(), "output ", i, ": ", d);
  }
}

// f32 and the halves against the f64 result of the same, already rounded inputs.
void check_dtype(const Op& op, const Sample& s, Dtype dtype) {
  Tensors narrow, wide;
  for (const Tensor& t : s.inputs) {
    narrow.push_back(differentiable(t) ? t.to(dtype) : t);
    wide.push_back(differentiable(t) ? narrow.back().to(Dtype::f64) : t);
  }
  const Tensors got = s.call(narrow), want = s.call(wide);
  // f32 kernels sum in another order than f64's: some tens of eps.
  const double tolerance = eps_of(dtype) * (dtype == Dtype::f32 ? 64 : op.half_eps) * support::slack();
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (want[i].is_floating()) CHECK_MESSAGE(got[i].dtype() == dtype, "output ", i);
    // Indices and comparisons may change by the rounding of ties only, which samples avoid for f32.
    if (!want[i].is_floating() && dtype != Dtype::f32) continue;
    const std::string d = difference(got[i], want[i], tolerance);
    CHECK_MESSAGE(d.empty(), weft::name(dtype), " output ", i, ": ", d);
  }
  if (!op.gradient) return;
  const Tensors xn = leaves(narrow), xw = leaves(wide);
  const Tensors gn = gradients(xn, s.call(xn)), gw = gradients(xw, s.call(xw));
  for (size_t i = 0; i < gn.size(); ++i) {
    if (gn[i].defined()) CHECK_MESSAGE(gn[i].dtype() == dtype, "gradient ", i);
    // The upstream gradient is rounded as well, and gradients of halves pass through several roundings.
    const std::string d = difference(gn[i], gw[i], 4 * tolerance);
    CHECK_MESSAGE(d.empty(), weft::name(dtype), " gradient ", i, ": ", d);
  }
}

// The sample's floating inputs as small integers: what an op takes in i32 it takes in every dtype of integers. Results
// are i32's, cut to the dtype's size where the op keeps it.
void check_integers(const Op& op, const Sample& s) {
  if (std::none_of(s.inputs.begin(), s.inputs.end(), differentiable)) return;
  const weft::Generator::State random = weft::default_generator().state();
  const auto called = [&](Dtype d, bool positive) {
    Tensors x;
    for (const Tensor& t : s.inputs) {
      const bool changed = differentiable(t);
      const Tensor whole = changed ? weft::round(t * 1.5) : t;
      x.push_back(changed ? (positive ? weft::abs(whole) : whole).to(d) : t);
    }
    weft::default_generator().set_state(random);
    return s.call(x);
  };
  for (const bool positive : {false, true}) {
    Tensors want;
    try {
      want = called(Dtype::i32, positive);
    } catch (const weft::NotSupported&) { throw; } catch (const weft::Error&) {
      continue;  // not an op of integers, or not of these
    }
    std::vector<bool> keeps;
    for (const Dtype d : {Dtype::i64, Dtype::i16, Dtype::i8, Dtype::u16, Dtype::u8}) {
      const bool has_sign = weft::is_signed_integer(d);
      if ((!positive || op.wraps) && !has_sign) continue;
      INFO(weft::name(d));
      Tensors got;
      try {
        got = called(d, positive);
      } catch (const weft::ValueError& e) {  // a negative number as an argument
        if (has_sign || std::string(e.what()).find("cannot hold") == std::string::npos) throw;
        continue;
      }
      REQUIRE(got.size() == want.size());
      if (d == Dtype::i64)  // the first: which results have the dtype of the inputs
        for (size_t i = 0; i < got.size(); ++i) keeps.push_back(want[i].dtype() == Dtype::i32 && got[i].dtype() == d);
      for (size_t i = 0; i < got.size(); ++i) {
        const bool kept = keeps.at(i);
        CHECK_MESSAGE(got[i].dtype() == (kept ? d : want[i].dtype()), "output ", i, " is ", weft::name(got[i].dtype()));
        if (want[i].is_floating() && !has_sign) continue;  // differences of unsigned ones may have wrapped before
        const std::string why = difference(got[i], want[i].to(got[i].dtype()), 1e-6);  // f32, where it is floating
        CHECK_MESSAGE(why.empty(), "output ", i, ": ", why);
      }
    }
  }
}

void check_layout(const Op& op, const Sample& s, const char* label,
                  const std::function<Tensor(const Tensor&)>& change) {
  const Tensors plain = leaves(s.inputs), moved = leaves(s.inputs, change);
  const Tensors want = s.call(plain), got = s.call(moved);
  expect_same(got, want, op.tolerance, label);
  if (op.gradient) expect_same(gradients(moved, got), gradients(plain, want), 10 * op.tolerance, label);
}

void check_layouts(const Op& op, const Sample& s) {
  check_layout(op, s, "scattered", [](const Tensor& t) { return support::scattered(t); });
  const auto channels_last = [](const Tensor& t) { return t.rank() >= 3 ? support::channels_last(t) : t.clone(); };
  const bool any = std::any_of(s.inputs.begin(), s.inputs.end(),
                               [](const Tensor& t) { return t.defined() && t.rank() >= 3; });
  if (any) check_layout(op, s, "channels-last", channels_last);
}

// Recorded and run, twice: what the op gives; and in a step of training its gradients, too. Only these are refused, by
// name: their results have sizes that depend on values, or values are looked at.
void check_captured(const Op& op, const Sample& s) {
  static const std::set<std::string> refused{"argwhere",      "bincount", "ctc_loss",
                                             "histc",         "index",    "masked_scatter",
                                             "masked_select", "unique",   "unique_consecutive"};
  Tensors given;
  for (const Tensor& t : s.inputs)
    if (t.defined()) given.push_back(t.detach());
  const auto inputs = [&s](const Tensors& x) {
    Tensors in = s.inputs;
    auto next = x.begin();
    for (Tensor& t : in)
      if (t.defined()) t = *next++;
    return in;
  };
  const auto evaluation = [&](const Tensors& x) { return s.call(inputs(x)); };
  const auto step = [&](const Tensors& x) {
    const weft::EnableGrad on;
    const Tensors in = leaves(inputs(x), [](const Tensor& t) { return t.detach(); });
    Tensors out = s.call(in);
    for (const Tensor& g : gradients(in, out))
      if (g.defined()) out.push_back(g);
    for (Tensor& y : out) y = y.detach();
    return out;
  };
  const weft::NoGrad off;
  for (const bool training : {false, true}) {
    if (training && !op.gradient) continue;
    const weft::nn::Captured::Function call = training ? weft::nn::Captured::Function(step) : evaluation;
    const weft::Generator::State random = weft::default_generator().state();
    const Tensors want = call(given);
    try {
      const weft::nn::Captured captured(nullptr, call, given, {.training = training});
      for (int i = 0; i < 2; ++i) {
        weft::default_generator().set_state(random);
        expect_same(captured(given), want, op.tolerance, training ? "captured step" : "captured");
      }
    } catch (const weft::NotSupported& e) {
      const std::string text = e.what();
      INFO(text);
      const bool own_generator = text.find("a generator that is not the thread's") != std::string::npos;
      CHECK((own_generator || refused.contains(op.name)));
      CHECK(text.find("captur") != std::string::npos);
    }
  }
}
void check_gradients(const Op& op, const Sample& s) {
  const Tensors x = leaves(s.inputs);
  const weft::GradcheckOptions o{.atol = op.grad_tolerance, .rtol = op.grad_tolerance, .name = op.name.c_str()};
  CHECK(weft::gradcheck(s.call, x, o));
  CHECK(weft::gradgradcheck(s.call, x, o));
}

// The fused kernels of plain backward against the composite formulas of create_graph.
void check_fused(const Op& op, const Sample& s) {
  const Tensors x = leaves(s.inputs), y = s.call(x);
  const Tensors composite = gradients(x, y, true), fused = gradients(x, y);
  expect_same(fused, composite, 10 * op.tolerance, "fused against composite gradient");
}

void check_freed(const Op&, const Sample& s) {
  const auto once = [&](bool create_graph) {
    const Tensors x = leaves(s.inputs);
    (void)gradients(x, s.call(x), create_graph);
  };
  once(true);  // caches and primitives of the first run stay
  const size_t before = weft::memory_stats(support::device()).active;
  once(false);
  CHECK_MESSAGE(weft::memory_stats(support::device()).active == before, "memory after backward");
  once(true);
  CHECK_MESSAGE(weft::memory_stats(support::device()).active == before, "memory after a backward with create_graph");
}

// A change of an input before backward must be noticed, or must not matter.
void check_in_place(const Op& op, const Sample& s) {
  Tensors x = leaves(s.inputs);
  const Tensors want = gradients(x, s.call(x));
  for (size_t i = 0; i < x.size(); ++i) {
    if (!x[i].defined() || x[i].numel() == 0) continue;
    x = leaves(s.inputs, [](const Tensor& t) { return t.clone(); });
    // Integer inputs are copied too: every tensor of x is our own.
    const Tensors y = s.call(x);
    {
      const weft::NoGrad off;
      Tensor alias = x[i].detach();
      if (alias.is_floating()) alias.mul_(weft::Scalar(1.25));
      else alias.zero_();
    }
    try {
      expect_same(gradients(x, y), want, op.tolerance,
                  "gradient after an in-place change of an input that is not saved:");
    } catch (const weft::Error& e) {
      const std::string text = e.what();
      CHECK_MESSAGE(text.find("saved for backward was modified in place (version ") != std::string::npos, text);
      CHECK_MESSAGE(text.find("clone it first") != std::string::npos, text);
    }
  }
}

// An undefined input is an error, unless it is optional; several are an error in any case.
void check_undefined(const Op&, const Sample& s) {
  auto refused = [&](const Tensors& x) {
    try {
      (void)s.call(x);
    } catch (const weft::Error& e) {
      CHECK_MESSAGE(std::string(e.what()).find(": ") != std::string::npos, e.what());
      return true;
    }
    return false;
  };
  for (size_t i = 0; i < s.inputs.size(); ++i) {
    Tensors x = s.inputs;
    x[i] = Tensor();
    CHECK_MESSAGE((refused(x) || i > 0), "an undefined first input was taken");
  }
  if (!s.inputs.empty()) CHECK(refused(Tensors(s.inputs.size())));
}

// Does an error of this row's op begin with the row's name? Not where the row is about several ops or a variant, where
// its samples prepare their inputs with other ops, nor yet where one family's parts still speak for the whole.
bool named_as_row(const std::string& name) {
  static const std::string others =
      " conv div fmod remainder where lerp clamp std any all nansum logsumexp normalize "
      "local_response_norm batch_norm relu6 hardswish "
      "hardsigmoid softmin gram_matrix aggregate scaled_l2 pairwise_cosine ctc_loss ";
  return name.find(' ') == std::string::npos && name.find("_loss") == std::string::npos &&
         name.find("_entropy") == std::string::npos && name.find("_with_indices") == std::string::npos &&
         others.find(" " + name + " ") == std::string::npos;
}

template <class F> void for_each_sample(const std::vector<Op>& ops, bool gradient_only, F f) {
  for (const Op& op : ops) {
    if (gradient_only && !op.gradient) continue;
    for (const Sample& s : op.samples) {
      INFO(op.name, " ", s.label);
      const weft::Generator::State random = weft::default_generator().state();
      try {
        f(op, s);
      } catch (const weft::NotSupported& e) {
        if (support::device().type == weft::DeviceType::cpu) FAIL_CHECK(std::string(e.what()));
        else support::not_supported(e.what());
      } catch (const std::exception& e) { FAIL_CHECK(op.name << " " << s.label << ": " << std::string(e.what())); }
      weft::default_generator().set_state(random);
    }
  }
}

}  // namespace

Sample sample(const std::string& label, Tensors inputs, std::function<Tensor(const Tensors&)> op,
              std::function<Array(const Arrays&)> reference) {
  return {label, std::move(inputs), [op](const Tensors& x) { return Tensors{op(x)}; },
          [reference](const Arrays& x) { return Arrays{reference(x)}; }};
}

Op& row(std::vector<Op>& table, const std::string& name) {
  const auto at = std::find_if(table.begin(), table.end(), [&](const Op& op) { return op.name == name; });
  REQUIRE_MESSAGE(at != table.end(), "no row is called ", name);
  return *at;
}

void check(const std::vector<Op>& ops) {
  SUBCASE("values") {
    for_each_sample(ops, false, [](const Op& op, const Sample& s) { check_values(op, s, op.tolerance); });
  }
  SUBCASE("dtypes") {
    for_each_sample(ops, false, [](const Op& op, const Sample& s) {
      check_dtype(op, s, Dtype::f32);
      if (!op.half) return;
      check_dtype(op, s, Dtype::f16);
      check_dtype(op, s, Dtype::bf16);
    });
  }
  SUBCASE("integers") { for_each_sample(ops, false, check_integers); }
  SUBCASE("layouts") {
    for_each_sample(ops, false, [](const Op& op, const Sample& s) { check_layouts(op, s); });
  }
  SUBCASE("captured") { for_each_sample(ops, false, check_captured); }
  SUBCASE("derivatives") {
    for_each_sample(ops, true, [](const Op& op, const Sample& s) { check_gradients(op, s); });
  }
  SUBCASE("fused gradients") {
    for_each_sample(ops, true, [](const Op& op, const Sample& s) { check_fused(op, s); });
  }
  SUBCASE("freed graphs") {
    for_each_sample(ops, true, [](const Op& op, const Sample& s) { check_freed(op, s); });
  }
  SUBCASE("in-place changes") {
    for_each_sample(ops, true, [](const Op& op, const Sample& s) { check_in_place(op, s); });
  }
  SUBCASE("undefined inputs") {
    for_each_sample(ops, false, [](const Op& op, const Sample& s) { check_undefined(op, s); });
  }
  SUBCASE("misfits") {
    for_each_sample(ops, false, [](const Op& op, const Sample& s) {
      support::check_misfits(s.inputs, s.call, named_as_row(op.name) ? op.name : "");
    });
  }
  SUBCASE("errors") {
    for (const Op& op : ops) {
      for (const Fault& fault : op.faults) {
        if (fault.in_kernel && support::device().type == weft::DeviceType::custom) continue;
        INFO(op.name);
        std::string text = "nothing was thrown";
        try {
          fault.call();
          weft::synchronize(support::device());  // kernels report later
        } catch (const weft::NotSupported& e) {
          if (support::device().type == weft::DeviceType::cpu) throw;
          support::not_supported(e.what());
          continue;
        } catch (const weft::Error& e) { text = e.what(); }
        CHECK_MESSAGE(text.find(fault.text) != std::string::npos, text, " (expected: ", fault.text, ")");
        CHECK_MESSAGE(text.find(": ") != std::string::npos, text, " has not the form <op>: <what is wrong>");
      }
    }
  }
}

Tensor uniform(const Shape& shape, double low, double high, uint64_t seed) {
  // Golden-ratio steps are never closer than about 1/n to each other: no ties, and kinks at multiples of 1/2 are
  // stepped around below.
  const int64_t n = shape.numel();
  std::vector<double> v(static_cast<size_t>(n));
  double u = 0.137 + 0.3819660112501051 * static_cast<double>(seed % 1000);
  for (double& x : v) {
    u += 0.6180339887498949;
    u -= std::floor(u);
    x = low + (high - low) * u;
    const double nearest = std::round(2 * x) / 2;
    if (std::abs(x - nearest) < 1e-3) x = nearest + (x < nearest || nearest >= high ? -1e-3 : 1e-3);
  }
  return support::here(weft::tensor(v, shape));
}

Tensor integers(const Shape& shape, int64_t low, int64_t high, uint64_t seed) {
  std::vector<int64_t> v(static_cast<size_t>(shape.numel()));
  uint64_t s = seed * 2654435761u + 12345;
  for (int64_t& x : v) {
    s = s * 6364136223846793005u + 1442695040888963407u;
    x = low + static_cast<int64_t>((s >> 33) % static_cast<uint64_t>(high - low));
  }
  return support::here(weft::tensor(v, shape));
}

const std::vector<Shape>& elementwise_shapes() {
  static const std::vector<Shape> shapes = {
      {}, {0}, {1}, {7}, {2, 0, 3}, {3, 4}, {2, 3, 4}, {1, 3, 2, 2}, {1, 2, 1, 2, 2}};
  return shapes;
}

Op elementwise(const char* name, UnaryOp op, std::function<double(double)> reference, double low, double high) {
  Op row{.name = name};
  uint64_t seed = 1;
  for (const Shape& s : elementwise_shapes())
    row.samples.push_back({weft::str(s),
                           {uniform(s, low, high, ++seed)},
                           [op](const Tensors& x) { return Tensors{op(x[0])}; },
                           [reference](const Arrays& x) { return Arrays{support::map(x[0], reference)}; }});
  return row;
}

Op binary(const char* name, BinaryOp op, std::function<double(double, double)> reference, double low, double high) {
  static const std::pair<Shape, Shape> pairs[] = {{{}, {}},
                                                  {{3}, {}},
                                                  {{2, 3}, {2, 3}},
                                                  {{2, 3}, {3}},
                                                  {{2, 1}, {1, 3}},
                                                  {{1}, {0}},
                                                  {{2, 0}, {1, 1}},
                                                  {{3}, {2, 2, 1}},
                                                  {{1, 2, 2, 2}, {1, 2, 1, 1}},
                                                  {{1, 2, 2, 2}, {1, 2, 2, 2}}};
  Op row{.name = name};
  uint64_t seed = 1;
  for (const auto& [a, b] : pairs)
    row.samples.push_back({weft::str(a, " with ", b),
                           {uniform(a, low, high, ++seed), uniform(b, low, high, seed + 50)},
                           [op](const Tensors& x) { return Tensors{op(x[0], x[1])}; },
                           [reference](const Arrays& x) { return Arrays{support::map(x[0], x[1], reference)}; }});
  row.faults = {{[op] {
                   (void)op(here::ones({2, 3}), here::ones({4}));
                 },
                 weft::str(name, ": shapes [2, 3] and [4] cannot be broadcast together")}};
  return row;
}

}  // namespace op_table
