#include "weft/data/transform_pipeline.h"

#include <numeric>

#include "weft/core/error.h"
#include "weft/data/transform_detail.h"

namespace weft::data {
namespace detail {
namespace {

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

std::string listed(const char* name, const std::vector<AnyTransform>& transforms, const std::string& more) {
  std::string out = str(name, "(\n");
  for (const AnyTransform& t : transforms) out += indented(t.str()) + ",\n";
  if (more.empty() && !transforms.empty()) out.erase(out.size() - 2, 1);
  return out + (more.empty() ? "" : "  " + more + "\n") + ")";
}

bool same_end(const Tensor& mask, const Tensor& image) {
  for (int i = 1; i <= mask.rank(); ++i)
    if (mask.size(-i) != image.size(-i)) return false;
  return true;
}

void check_parts(const char* op, const View& v, const char* image, bool fits) {
  WEFT_CHECK(!v.image.defined() || fits, ShapeError, op, ": expected an image ", image, ", got ", v.image.shape());
  if (v.mask.defined()) {
    WEFT_CHECK(!v.mask.is_floating(), DtypeError, op, ": the mask is ", v.mask.dtype(), "; expected integers");
    WEFT_CHECK(!v.image.defined() || (v.mask.rank() == v.image.rank() - 1 && same_end(v.mask, v.image)), ShapeError, op,
               ": the mask is ", v.mask.shape(), " but the image ", v.image.shape());
  }
  if (v.boxes.defined()) {
    WEFT_CHECK(v.boxes.rank() == 2 && v.boxes.size(1) == 4 && v.boxes.dtype() == Dtype::f32, ShapeError, op,
               ": expected boxes [n, 4] of f32, got ", v.boxes.shape(), " of ", v.boxes.dtype());
  }
}

}  // namespace

Size check_view(const char* op, const View& v) {
  const Tensor& first = v.image.defined() ? v.image : v.mask;
  WEFT_CHECK(first.defined(), ValueError, op, ": the view has neither image nor mask");
  check_parts(op, v, "[C, H, W] or [C, D, H, W]", v.image.defined() && (v.image.rank() == 3 || v.image.rank() == 4));
  WEFT_CHECK(first.rank() >= 2 && first.numel() > 0, ShapeError, op, ": expected pixels, got ", first.shape());
  return {first.size(-2), first.size(-1)};
}

std::array<int64_t, 3> check_volume(const char* op, const View& v) {
  const Tensor& first = v.image.defined() ? v.image : v.mask;
  WEFT_CHECK(first.defined(), ValueError, op, ": the view has neither image nor mask");
  check_parts(op, v, "[C, D, H, W]", v.image.defined() && v.image.rank() == 4);
  WEFT_CHECK(first.rank() >= 3 && first.numel() > 0, ShapeError, op, ": expected a volume, got ", first.shape());
  WEFT_CHECK(!v.boxes.defined(), NotSupported, op, ": volumes have no boxes");
  return {first.size(-3), first.size(-2), first.size(-1)};
}

void check_sampling(const char* op, Interpolation mode) {
  WEFT_CHECK(mode == Interpolation::nearest || mode == Interpolation::bilinear, ValueError, op, ": interpolation is ",
             Choice<Interpolation>(mode).text(), "; expected nearest or bilinear");
}

void check_spacing(const char* op, const std::array<double, 3>& s) {
  for (const double d : s)
    WEFT_CHECK(d > 0, ValueError, op, ": spacing is [", s[0], ", ", s[1], ", ", s[2], "]; expected positive numbers");
}

Fill mask_values(int64_t fill) { return fill ? Fill{static_cast<double>(fill)} : Fill{}; }

void check_probability(const char* op, double p) {
  WEFT_CHECK(p >= 0 && p <= 1, ValueError, op, ": p is ", p, "; expected a probability in [0, 1]");
}

void check_range(const char* op, const char* what, const Range& r, double lowest, double highest) {
  WEFT_CHECK(r.low >= lowest && r.low <= r.high && r.high <= highest, ValueError, op, ": ", what, " is [", r.low, ", ",
             r.high, "]; expected low <= high in [", lowest, ", ", highest, "]");
}

}  // namespace detail

void Compose::operator()(View& v, Generator& g) const {
  const size_t n = transforms_.size();
  for (size_t i = 0; i < n; ++i) {
    const AnyTransform& t = transforms_[i];
    if (i + 1 < n && (detail::resize_and_crop(t, transforms_[i + 1], v, g) ||
                      detail::to_float_and_normalize(t, transforms_[i + 1], v)))
      ++i;
    else t(v, g);
  }
}

Example Compose::operator()(Example e, Generator& g) const try {
  View v{e.data};
  const Tensor& t = e.target;
  const bool mask = t.defined() && e.data.defined() && !t.is_floating() && t.rank() >= 2 &&
                    t.rank() == e.data.rank() - 1;
  const bool boxes = t.defined() && t.dtype() == Dtype::f32 && t.rank() == 2 && t.size(1) == 4;
  if (mask) {
    WEFT_CHECK(detail::same_end(t, e.data), ShapeError, "Compose: the mask is ", t.shape(), " but the image ",
               e.data.shape(), "; boxes are f32");
    v.mask = t;
  }
  if (boxes) v.boxes = t;
  (*this)(v, g);
  e.data = v.image;
  if (mask) e.target = v.mask;
  if (boxes) e.target = v.boxes;
  return e;
} catch (Error& error) {
  if (!e.name.empty()) error.add_context(weft::str("in ", e.name));
  throw;
}

std::string Compose::str() const { return detail::listed("Compose", transforms_, ""); }

RandomApply::RandomApply(AnyTransform t, double p) : transform(std::move(t)), p(p) {
  detail::check_probability("RandomApply", p);
}
void RandomApply::operator()(View& v, Generator& g) const {
  if (g.uniform() < p) transform(v, g);
}
std::string RandomApply::str() const { return detail::listed("RandomApply", {transform}, weft::str("p=", p)); }

RandomChoice::RandomChoice(std::vector<AnyTransform> t, std::vector<double> w)
    : transforms(std::move(t)), weights(std::move(w)) {
  WEFT_CHECK(!transforms.empty(), ValueError, "RandomChoice: there is no transform");
  WEFT_CHECK(weights.empty() || weights.size() == transforms.size(), ValueError, "RandomChoice: ", weights.size(),
             " weights for ", transforms.size(), " transforms");
  double sum = weights.empty() ? 1 : 0;
  for (const double each : weights) {
    WEFT_CHECK(each >= 0, ValueError, "RandomChoice: weight ", each, " is negative");
    sum += each;
  }
  WEFT_CHECK(sum > 0, ValueError, "RandomChoice: all weights are 0");
}
void RandomChoice::operator()(View& v, Generator& g) const {
  size_t chosen = 0;
  if (weights.empty()) chosen = g.below(transforms.size());
  else {
    double left = g.uniform() * std::accumulate(weights.begin(), weights.end(), 0.0);
    while (chosen + 1 < weights.size() && (left -= weights[chosen]) >= 0) ++chosen;
  }
  transforms[chosen](v, g);
}
std::string RandomChoice::str() const {
  std::ostringstream s;
  if (!weights.empty()) s << "weights=", detail::put(s, weights);
  return detail::listed("RandomChoice", transforms, s.str());
}

RandomOrder::RandomOrder(std::vector<AnyTransform> t) : transforms(std::move(t)) {}
void RandomOrder::operator()(View& v, Generator& g) const {
  std::vector<size_t> order(transforms.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[g.below(i)]);
  for (const size_t i : order) transforms[i](v, g);
}
std::string RandomOrder::str() const { return detail::listed("RandomOrder", transforms, ""); }

}  // namespace weft::data
