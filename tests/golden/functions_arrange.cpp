// Sequences, cutting and repeating, writing by index, products of vectors.
#include "golden/registry.h"
#include "golden/words.h"
#include "support/ops.h"
#include "weft/core/sequences.h"

namespace golden {
namespace {

/// `dtype`, or none, which leaves the choice to the op.
weft::TensorOptions factory_options(const Call& c) {
  const auto dtype = c.opt_dtype("dtype");
  return dtype ? weft::TensorOptions(*dtype, device()) : weft::TensorOptions(device());
}

void add_sequences(Functions& f) {
  f.add("F.arange", {}, [](const Call& c) {
    return weft::arange(c.scalar("start", 0), c.scalar("end", 0), c.scalar("step", 1), factory_options(c));
  });
  f.add("F.linspace", {}, [](const Call& c) {
    return weft::linspace(c.number("start", 0), c.number("end", 0), c.integer("steps"), factory_options(c));
  });
  f.add("F.logspace", {}, [](const Call& c) {
    return weft::logspace(c.number("start", 0), c.number("end", 0), c.integer("steps"), c.number("base", 10),
                          factory_options(c));
  });
  const std::pair<const char*, Tensor (*)(weft::Int, weft::Int, weft::Int, const weft::TensorOptions&)> triangles[] = {
      {"F.tril_indices", weft::tril_indices}, {"F.triu_indices", weft::triu_indices}};
  for (const auto& entry : triangles)
    f.add(entry.first, {}, [op = entry.second](const Call& c) {
      return op(c.integer("row"), c.integer("col"), c.integer("offset", 0),
                weft::TensorOptions(c.opt_dtype("dtype").value_or(Dtype::i64), device()));
    });
  f.add("F.eye", {}, [](const Call& c) { return weft::eye(c.integer("n"), c.integer("m", -1), factory_options(c)); });
  f.add("F.zeros", {}, [](const Call& c) { return weft::zeros(Shape(c.ints("size")), factory_options(c)); });
  f.add("F.ones", {}, [](const Call& c) { return weft::ones(Shape(c.ints("size")), factory_options(c)); });
  f.add("F.full", {},
        [](const Call& c) { return weft::full(Shape(c.ints("size")), c.scalar("fill_value", 0), factory_options(c)); });
  f.add("F.full_like", {"input"},
        [](const Call& c) { return weft::full_like(c.in("input"), c.scalar("fill_value", 0)); });
  f.add("F.zeros_like", {"input"}, [](const Call& c) { return weft::zeros_like(c.in("input")); });
  f.add("F.ones_like", {"input"}, [](const Call& c) { return weft::ones_like(c.in("input")); });
}

void add_pieces(Functions& f) {
  f.add("F.meshgrid", {}, [](const Call& c) { return weft::meshgrid(c.inputs, c.word("indexing", "ij")); });
  using Splits = std::vector<Tensor>;
  const auto splits = [&f](const char* name, Splits (*equal)(const Tensor&, weft::Int),
                           Splits (*at)(const Tensor&, const std::vector<int64_t>&)) {
    f.add(name, {"input"}, [=](const Call& c) {
      const Tensor x = c.in("input");
      return c.has("sections") ? equal(x, c.integer("sections")) : at(x, c.ints("indices"));
    });
  };
  splits("F.hsplit", weft::hsplit, weft::hsplit);
  splits("F.vsplit", weft::vsplit, weft::vsplit);
  splits("F.dsplit", weft::dsplit, weft::dsplit);
  f.add("F.column_stack", {}, [](const Call& c) { return weft::column_stack(c.inputs); });
  f.add("F.tensor_split", {"input", "tensor_indices_or_sections"}, [](const Call& c) {
    const Tensor x = c.in("input"), where = c.in("tensor_indices_or_sections");
    const int64_t dim = c.integer("dim", 0);
    if (where.defined()) return weft::tensor_split(x, where, dim);
    return c.has("sections") ? weft::tensor_split(x, c.integer("sections"), dim)
                             : weft::tensor_split(x, c.ints("indices"), dim);
  });
  f.add("F.pad_backward", {"g"}, [](const Call& c) {
    return weft::pad_backward(c.in("g"), Shape(c.ints("shape")), Shape(c.ints("pads")), pad_mode(c.word("mode", "")));
  });
  f.add("F.unflatten", {"input"},
        [](const Call& c) { return weft::unflatten(c.in("input"), c.integer("dim"), Shape(c.ints("sizes"))); });
  f.add("F.flipud", {"input"}, [](const Call& c) { return weft::flipud(c.in("input")); });
  f.add("F.broadcast_to", {"input"},
        [](const Call& c) { return weft::broadcast_to(c.in("input"), Shape(c.ints("size"))); });
  f.add("F.broadcast_tensors", {}, [](const Call& c) { return weft::broadcast_tensors(c.inputs); });
  f.add("F.repeat_interleave", {"input", "repeats"}, [](const Call& c) {
    const Tensor x = c.in("input");
    if (!c.is_scalar("repeats")) return weft::repeat_interleave(x, c.in("repeats"), c.integer("dim"));
    const int64_t repeats = c.integer("repeats");
    return c.has("dim") ? weft::repeat_interleave(x, repeats, c.integer("dim")) : weft::repeat_interleave(x, repeats);
  });
}

weft::EmbeddingBagOptions bag_options(const Call& c) {
  weft::EmbeddingBagOptions o;
  o.mode = c.word("mode", "mean");
  o.per_sample_weights = c.in("per_sample_weights");
  o.include_last_offset = c.boolean("include_last_offset", false);
  o.padding_idx = c.opt_integer("padding_idx");
  o.scale_grad_by_freq = c.boolean("scale_grad_by_freq", false);
  return o;
}

void add_places(Functions& f) {
  f.add("F.nonzero", {"input"}, [](const Call& c) { return weft::nonzero(c.in("input")); });
  f.add("F.take", {"input", "index"}, [](const Call& c) { return weft::take(c.in("input"), c.in("index")); });
  f.add("F.argwhere", {"input"}, [](const Call& c) { return weft::argwhere(c.in("input")); });
  f.add("F.index_add", {"input", "index", "source"}, [](const Call& c) {
    return weft::index_add(c.in("input"), c.integer("dim"), c.in("index"), c.in("source"), c.number("alpha", 1));
  });
  f.add("F.scatter", {"input", "index", "src"}, [](const Call& c) {
    const Tensor x = c.in("input"), index = c.in("index");
    return c.is_scalar("value") ? weft::scatter(x, c.integer("dim"), index, c.scalar("value", 0))
                                : weft::scatter(x, c.integer("dim"), index, c.in("src"));
  });
  // The tensor, one index or more, the values.
  f.add("F.index_put", {}, [](const Call& c) {
    std::vector<weft::Index> at;
    for (size_t i = 1; i + 1 < c.inputs.size(); ++i) at.push_back(c.inputs[i]);
    return weft::index_put(c.inputs.at(0), at, c.inputs.back(), c.boolean("accumulate", false));
  });
  f.add("F.embedding_bag", {"input", "weight", "offsets", "per_sample_weights"}, [](const Call& c) {
    return weft::embedding_bag(c.in("input"), c.in("weight"), c.in("offsets"), bag_options(c));
  });
  f.add("F.embedding_renorm_", {"weight", "input"}, [](const Call& c) {
    const Tensor weight = c.in("weight");
    weft::embedding_renorm_(weight, c.in("input"), c.number("max_norm", 1), c.number("norm_type", 2));
    return weight;
  });
  f.add("F.mv", {"input", "vec"}, [](const Call& c) { return weft::mv(c.in("input"), c.in("vec")); });
  f.add("F.dot", {"input", "other"}, [](const Call& c) { return weft::dot(c.in("input"), c.in("other")); });
}

}  // namespace

void add_arrange(Functions& f) {
  add_sequences(f);
  add_pieces(f);
  add_places(f);
}

}  // namespace golden
