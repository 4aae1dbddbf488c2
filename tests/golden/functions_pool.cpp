// Pooling over one to three axes.
#include "golden/registry.h"
#include "golden/words.h"
#include "support/ops.h"

namespace golden {
namespace {

template <int D>
void add_max(Functions& f, const char* name, Tensor (*op)(const Tensor&, const weft::MaxPoolOptions<D>&),
             weft::Pooled (*with_indices)(const Tensor&, const weft::MaxPoolOptions<D>&)) {
  f.add(name, {"input"}, [=](const Call& c) -> std::vector<Tensor> {
    const weft::MaxPoolOptions<D> o = max_pool_options<D>(c);
    if (!c.boolean("return_indices", false)) return {op(c.in("input"), o)};
    const weft::Pooled p = with_indices(c.in("input"), o);
    return {p.output, p.indices};
  });
}

template <int D>
void add_avg(Functions& f, const char* name, Tensor (*op)(const Tensor&, const weft::AvgPoolOptions<D>&)) {
  f.add(name, {"input"}, [=](const Call& c) { return op(c.in("input"), avg_pool_options<D>(c)); });
}

template <int D>
void add_adaptive(Functions& f, int d, Tensor (*avg)(const Tensor&, const weft::OutputSize<D>&),
                  Tensor (*max)(const Tensor&, const weft::OutputSize<D>&),
                  weft::Pooled (*with_indices)(const Tensor&, const weft::OutputSize<D>&)) {
  const std::string rank = std::to_string(d) + "d";
  f.add("F.adaptive_avg_pool" + rank, {"input"}, [=](const Call& c) { return avg(c.in("input"), output_size<D>(c)); });
  f.add("F.adaptive_max_pool" + rank, {"input"}, [=](const Call& c) -> std::vector<Tensor> {
    if (!c.boolean("return_indices", false)) return {max(c.in("input"), output_size<D>(c))};
    const weft::Pooled p = with_indices(c.in("input"), output_size<D>(c));
    return {p.output, p.indices};
  });
}

}  // namespace

void add_pool(Functions& f) {
  add_max<1>(f, "F.max_pool1d", weft::max_pool1d, weft::max_pool1d_with_indices);
  add_max<2>(f, "F.max_pool2d", weft::max_pool2d, weft::max_pool2d_with_indices);
  add_max<3>(f, "F.max_pool3d", weft::max_pool3d, weft::max_pool3d_with_indices);
  add_avg<1>(f, "F.avg_pool1d", weft::avg_pool1d);
  add_avg<2>(f, "F.avg_pool2d", weft::avg_pool2d);
  add_avg<3>(f, "F.avg_pool3d", weft::avg_pool3d);
  add_adaptive<1>(f, 1, weft::adaptive_avg_pool1d, weft::adaptive_max_pool1d, weft::adaptive_max_pool1d_with_indices);
  add_adaptive<2>(f, 2, weft::adaptive_avg_pool2d, weft::adaptive_max_pool2d, weft::adaptive_max_pool2d_with_indices);
  add_adaptive<3>(f, 3, weft::adaptive_avg_pool3d, weft::adaptive_max_pool3d, weft::adaptive_max_pool3d_with_indices);
}

}  // namespace golden
