// Picking, placing, masking, sorting and padding.
#include "golden/registry.h"
#include "golden/words.h"
#include "support/ops.h"

namespace golden {
namespace {

std::vector<Tensor> both(const weft::ValuesIndices& v) { return {v.values, v.indices}; }

Tensor masked_fill(const Call& c) {
  const Tensor x = c.in("input"), mask = c.in("mask");
  return c.is_scalar("value") || c.value("value").is_boolean() ? weft::masked_fill(x, mask, c.scalar("value", 0))
                                                               : weft::masked_fill(x, mask, c.in("value"));
}

Tensor embedding(const Call& c) {
  weft::EmbeddingOptions o;
  o.padding_idx = c.opt_integer("padding_idx");
  o.scale_grad_by_freq = c.boolean("scale_grad_by_freq", false);
  return weft::embedding(c.in("input"), c.in("weight"), o);
}

}  // namespace

void add_index(Functions& f) {
  f.add("F.index_select", {"input", "index"},
        [](const Call& c) { return weft::index_select(c.in("input"), c.integer("dim"), c.in("index")); });
  f.add("F.gather", {"input", "index"},
        [](const Call& c) { return weft::gather(c.in("input"), c.integer("dim"), c.in("index")); });
  f.add("F.scatter_add", {"input", "index", "src"},
        [](const Call& c) { return weft::scatter_add(c.in("input"), c.integer("dim"), c.in("index"), c.in("src")); });
  f.add("F.take_along_dim", {"input", "indices"},
        [](const Call& c) { return weft::take_along_dim(c.in("input"), c.in("indices"), c.opt_integer("dim")); });
  f.add("F.masked_fill", {"input", "mask", "value"}, masked_fill);
  f.add("F.masked_select", {"input", "mask"},
        [](const Call& c) { return weft::masked_select(c.in("input"), c.in("mask")); });
  f.add("F.one_hot", {"input"},
        [](const Call& c) { return weft::one_hot(c.in("input"), c.integer("num_classes", -1)); });
  f.add("F.embedding", {"input", "weight"}, embedding);
  f.add("F.sort", {"input"}, [](const Call& c) {
    (void)c.boolean("stable", false);  // weft's sort is stable always
    return both(weft::sort(c.in("input"), c.integer("dim", -1), c.boolean("descending", false)));
  });
  f.add("F.topk", {"input"}, [](const Call& c) {
    (void)c.boolean("sorted", true);  // and its topk sorted
    return both(weft::topk(c.in("input"), c.integer("k"), c.integer("dim", -1), c.boolean("largest", true)));
  });
  f.add("F.pad", {"input"}, [](const Call& c) {
    return weft::pad(c.in("input"), Shape(c.ints("pad")), pad_mode(c.word("mode", "constant")), c.number("value", 0));
  });
}

}  // namespace golden
