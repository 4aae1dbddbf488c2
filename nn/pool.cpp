#include "weft/nn/pool.h"

#include "weft/nn/repr.h"

namespace weft::nn {

using detail::py;
using detail::py_short;

namespace {

/// Picks the op of the rank.
template <int D, class F1, class F2, class F3> auto by_rank(F1 one, F2 two, F3 three) {
  if constexpr (D == 1) return one;
  else if constexpr (D == 2) return two;
  else return three;
}

template <int D> std::string text(const OutputSize<D>& size) {
  bool same = true;
  for (int i = 1; i < D; ++i) same &= size[i] == size[0];
  if (same) return "output_size=" + py(size[0]);
  std::string out = "output_size=(";
  for (int i = 0; i < D; ++i) out += (i ? ", " : "") + py(size[i]);
  return out + ")";
}

/// What stands for the kernel's size.
template <class Options> constexpr int64_t kUnset = kKernelSize;
template <int D> constexpr int64_t kUnset<LpPoolOptions<D>> = 0;
template <int D> constexpr int64_t kUnset<MaxUnpoolOptions<D>> = 0;

template <int D, class Options> void check(const std::string& name, const Options& o) {
  for (int i = 0; i < D; ++i) {
    WEFT_CHECK(o.kernel_size[i] > 0, ValueError, name, ": kernel_size must be positive, got ", py_short(o.kernel_size));
    WEFT_CHECK(o.stride[i] == kUnset<Options> || o.stride[i] > 0, ValueError, name, ": stride must be positive, got ",
               py_short(o.stride));
  }
}

/// The stride in force.
template <class Options> auto steps(const Options& o) {
  auto s = o.stride;
  int i = 0;
  for (int64_t k : o.kernel_size) {
    if (s[i] == kUnset<Options>) s[i] = k;
    ++i;
  }
  return s;
}

}  // namespace

template <int D> MaxPool<D>::MaxPool(const MaxPoolOptions<D>& o) : Module(weft::str("MaxPool", D, "d")), options(o) {
  check<D>(name(), o);
  set_extra("", [options = options.share()] {
    const auto& o = *options;
    return "kernel_size=" + py_short(o.kernel_size) + ", stride=" + py_short(steps(o)) +
           ", padding=" + py_short(o.padding) + ", dilation=" + py_short(o.dilation) + ", ceil_mode=" + py(o.ceil_mode);
  });
}
template <int D> Tensor MaxPool<D>::forward(const Tensor& x) const {
  check<D>(name(), *options);
  return by_rank<D>([](const Tensor& t, const auto& o) { return max_pool1d(t, o); },
                    [](const Tensor& t, const auto& o) { return max_pool2d(t, o); },
                    [](const Tensor& t, const auto& o) { return max_pool3d(t, o); })(x, *options);
}
template <int D> Pooled MaxPool<D>::with_indices(const Tensor& x) const {
  check<D>(name(), *options);
  return by_rank<D>([](const Tensor& t, const auto& o) { return max_pool1d_with_indices(t, o); },
                    [](const Tensor& t, const auto& o) { return max_pool2d_with_indices(t, o); },
                    [](const Tensor& t, const auto& o) { return max_pool3d_with_indices(t, o); })(x, *options);
}

template <int D> AvgPool<D>::AvgPool(const AvgPoolOptions<D>& o) : Module(weft::str("AvgPool", D, "d")), options(o) {
  check<D>(name(), o);
  set_extra("", [options = options.share()] {
    const auto& o = *options;
    // PyTorch keeps the 1-d layer's numbers as tuples
    auto number = [](const Dims<D>& d) { return D == 1 ? py(Shape(d)) : py_short(d); };
    return "kernel_size=" + number(o.kernel_size) + ", stride=" + number(steps(o)) + ", padding=" + number(o.padding);
  });
}
template <int D> Tensor AvgPool<D>::forward(const Tensor& x) const {
  check<D>(name(), *options);
  return by_rank<D>([](const Tensor& t, const auto& o) { return avg_pool1d(t, o); },
                    [](const Tensor& t, const auto& o) { return avg_pool2d(t, o); },
                    [](const Tensor& t, const auto& o) { return avg_pool3d(t, o); })(x, *options);
}

template <int D>
AdaptiveAvgPool<D>::AdaptiveAvgPool(const OutputSize<D>& output_size)
    : Module(weft::str("AdaptiveAvgPool", D, "d")), output_size(output_size) {
  set_extra("", [size = this->output_size.share()] { return text(*size); });
}
template <int D> Tensor AdaptiveAvgPool<D>::forward(const Tensor& x) const {
  return by_rank<D>([](const Tensor& t, const auto& s) { return adaptive_avg_pool1d(t, s); },
                    [](const Tensor& t, const auto& s) { return adaptive_avg_pool2d(t, s); },
                    [](const Tensor& t, const auto& s) { return adaptive_avg_pool3d(t, s); })(x, *output_size);
}

template <int D>
AdaptiveMaxPool<D>::AdaptiveMaxPool(const OutputSize<D>& output_size)
    : Module(weft::str("AdaptiveMaxPool", D, "d")), output_size(output_size) {
  set_extra("", [size = this->output_size.share()] { return text(*size); });
}
template <int D> Tensor AdaptiveMaxPool<D>::forward(const Tensor& x) const {
  return by_rank<D>([](const Tensor& t, const auto& s) { return adaptive_max_pool1d(t, s); },
                    [](const Tensor& t, const auto& s) { return adaptive_max_pool2d(t, s); },
                    [](const Tensor& t, const auto& s) { return adaptive_max_pool3d(t, s); })(x, *output_size);
}

template <int D> Pooled AdaptiveMaxPool<D>::with_indices(const Tensor& x) const {
  return by_rank<D>([](const Tensor& t, const auto& s) { return adaptive_max_pool1d_with_indices(t, s); },
                    [](const Tensor& t, const auto& s) { return adaptive_max_pool2d_with_indices(t, s); },
                    [](const Tensor& t, const auto& s) { return adaptive_max_pool3d_with_indices(t, s); })(
      x, *output_size);
}

namespace {
template <int D> void check_lp(const std::string& name, const LpPoolOptions<D>& o) {
  check<D>(name, o);
  WEFT_CHECK(o.norm_type != 0, ValueError, name, ": norm_type must not be 0");
}
}  // namespace

template <int D> LPPool<D>::LPPool(const LpPoolOptions<D>& o) : Module(weft::str("LPPool", D, "d")), options(o) {
  check_lp(name(), o);
  set_extra("", [options = options.share()] {
    const auto& o = *options;
    const auto whole = static_cast<int64_t>(o.norm_type);
    return "norm_type=" + (static_cast<double>(whole) == o.norm_type ? py(whole) : py(o.norm_type)) +
           ", kernel_size=" + py_short(o.kernel_size) +
           ", stride=" + (o.stride == Dims<D>(0) ? "None" : py_short(o.stride)) + ", ceil_mode=" + py(o.ceil_mode);
  });
}
template <int D> Tensor LPPool<D>::forward(const Tensor& x) const {
  check_lp(name(), *options);
  return by_rank<D>([](const Tensor& t, const auto& o) { return lp_pool1d(t, o); },
                    [](const Tensor& t, const auto& o) { return lp_pool2d(t, o); },
                    [](const Tensor& t, const auto& o) { return lp_pool3d(t, o); })(x, *options);
}

template <int D>
MaxUnpool<D>::MaxUnpool(const MaxUnpoolOptions<D>& o) : Module(weft::str("MaxUnpool", D, "d")), options(o) {
  check<D>(name(), o);
  set_extra("", [options = options.share()] {
    const auto& o = *options;
    return "kernel_size=" + py(Shape(o.kernel_size)) + ", stride=" + py(Shape(steps(o))) +
           ", padding=" + py(Shape(o.padding));
  });
}
template <int D>
Tensor MaxUnpool<D>::forward(const Tensor& x, const Tensor& indices, const std::optional<Shape>& output_size) const {
  check<D>(name(), *options);
  return by_rank<D>([&](const auto& o) { return max_unpool1d(x, indices, o, output_size); },
                    [&](const auto& o) { return max_unpool2d(x, indices, o, output_size); },
                    [&](const auto& o) { return max_unpool3d(x, indices, o, output_size); })(*options);
}

namespace {
template <int D> void check_fractional(const std::string& name, const FractionalMaxPoolOptions<D>& o) {
  const bool sized = o.output_size != Dims<D>(0);
  WEFT_CHECK(sized || !o.output_ratio.empty(), ValueError, name,
             ": requires specifying either an output_size or an output_ratio");
  WEFT_CHECK(!sized || o.output_ratio.empty(), ValueError, name,
             ": only one of output_size and output_ratio may be specified");
  for (int i = 0; i < D; ++i) {
    WEFT_CHECK(o.kernel_size[i] > 0, ValueError, name, ": kernel_size must be greater than 0, got ",
               py_short(o.kernel_size));
    if (sized) continue;
    WEFT_CHECK(
        (o.output_ratio.size() == 1 || o.output_ratio.size() == D) && o.output_ratio[i] > 0 && o.output_ratio[i] < 1,
        ValueError, name, ": output_ratio must be between 0 and 1, one number or ", D, ", got ", o.output_ratio[i]);
  }
}
}  // namespace

template <int D>
FractionalMaxPool<D>::FractionalMaxPool(const FractionalMaxPoolOptions<D>& o)
    : Module(weft::str("FractionalMaxPool", D, "d")), options(o) {
  random_samples_ = buffer("_random_samples", o.random_samples);
  check_fractional(name(), o);
}
template <int D> FractionalMaxPoolOptions<D> FractionalMaxPool<D>::current() const {
  check_fractional(name(), *options);
  FractionalMaxPoolOptions<D> o = *options;
  o.random_samples = random_samples_.tensor();
  return o;
}
template <int D> Tensor FractionalMaxPool<D>::forward(const Tensor& x) const {
  if constexpr (D == 2) return fractional_max_pool2d(x, current());
  else return fractional_max_pool3d(x, current());
}
template <int D> Pooled FractionalMaxPool<D>::with_indices(const Tensor& x) const {
  if constexpr (D == 2) return fractional_max_pool2d_with_indices(x, current());
  else return fractional_max_pool3d_with_indices(x, current());
}

template class MaxPool<1>;
template class MaxPool<2>;
template class MaxPool<3>;
template class AvgPool<1>;
template class AvgPool<2>;
template class AvgPool<3>;
template class AdaptiveAvgPool<1>;
template class AdaptiveAvgPool<2>;
template class AdaptiveAvgPool<3>;
template class AdaptiveMaxPool<1>;
template class AdaptiveMaxPool<2>;
template class AdaptiveMaxPool<3>;

template class LPPool<1>;
template class LPPool<2>;
template class LPPool<3>;
template class MaxUnpool<1>;
template class MaxUnpool<2>;
template class MaxUnpool<3>;
template class FractionalMaxPool<2>;
template class FractionalMaxPool<3>;

}  // namespace weft::nn
