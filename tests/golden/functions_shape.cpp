// Views and rearrangements.
#include "golden/registry.h"
#include "support/ops.h"

namespace golden {
namespace {

/// One entry of F.getitem's `index`.
weft::Index index_entry(const Call& c, const Value& v, std::vector<Tensor>& keep) {
  if (v.is_integer()) return v.integer;
  if (v.is_string()) return weft::Ellipsis{};
  if (v.is_null() || v.has("newaxis")) return weft::NewAxis{};
  if (v.has("slice")) {
    const std::vector<Value>& s = v["slice"].list;
    weft::Slice slice;
    if (s.size() > 0 && !s[0].is_null()) slice.start = s[0].as_int();
    if (s.size() > 1 && !s[1].is_null()) slice.stop = s[1].as_int();
    if (s.size() > 2 && !s[2].is_null()) slice.step = s[2].as_int();
    return slice;
  }
  if (v["list"].is_list()) return v["list"].as_ints();
  if (v.has("$tensor")) keep.push_back(c.lookup(v["$tensor"].as_string()));
  else if (v.is_boolean()) keep.push_back(weft::scalar(v.boolean));
  else throw Skip("F.getitem index " + v.text());
  return keep.back();
}

Tensor getitem(const Call& c) {
  std::vector<Tensor> keep;
  std::vector<weft::Index> at;
  const Value& index = c.value("index");
  const size_t n = index.is_list() ? index.list.size() : 1;
  keep.reserve(n);  // entries refer to it
  for (size_t i = 0; i < n; ++i) at.push_back(index_entry(c, index.is_list() ? index.list.at(i) : index, keep));
  return c.in("input").index(at);
}

std::vector<Tensor> split(const Call& c) {
  const Value& sizes = c.value("split_size_or_sections");
  const int64_t dim = c.integer("dim", 0);
  return sizes.is_list() ? c.in("input").split(Shape(sizes.as_ints()), dim) : c.in("input").split(sizes.as_int(), dim);
}

Tensor squeeze(const Call& c) {
  const Tensor x = c.in("input");
  return c.has("dim") ? x.squeeze(Shape(c.ints("dim"))) : x.squeeze();
}

Tensor roll(const Call& c) {
  const Shape dims = c.opt_ints("dims").value_or(Shape{});
  if (dims.empty()) return weft::roll(c.in("input"), c.integer("shifts"));
  return weft::roll(c.in("input"), Shape(c.ints("shifts")), dims);
}

Shape sizes(const Call& c, const char* name) { return Shape(c.ints(name)); }

}  // namespace

void add_shape(Functions& f) {
  f.add("F.expand", {"input"}, [](const Call& c) { return c.in("input").expand(sizes(c, "size")); });
  f.add("F.reshape", {"input"}, [](const Call& c) { return c.in("input").reshape(sizes(c, "shape")); });
  f.add("F.permute", {"input"}, [](const Call& c) { return c.in("input").permute(sizes(c, "dims")); });
  f.add("F.transpose", {"input"},
        [](const Call& c) { return c.in("input").transpose(c.integer("dim0"), c.integer("dim1")); });
  f.add("F.flatten", {"input"},
        [](const Call& c) { return c.in("input").flatten(c.integer("start_dim", 0), c.integer("end_dim", -1)); });
  f.add("F.squeeze", {"input"}, squeeze);
  f.add("F.unsqueeze", {"input"}, [](const Call& c) { return c.in("input").unsqueeze(c.integer("dim")); });
  f.add("F.narrow", {"input"},
        [](const Call& c) { return c.in("input").narrow(c.integer("dim"), c.integer("start"), c.integer("length")); });
  f.add("F.select", {"input"},
        [](const Call& c) { return c.in("input").select(c.integer("dim"), c.integer("index")); });
  f.add("F.movedim", {"input"},
        [](const Call& c) { return c.in("input").movedim(sizes(c, "source"), sizes(c, "destination")); });
  f.add("F.split", {"input"}, split);
  f.add("F.chunk", {"input"},
        [](const Call& c) { return c.in("input").chunk(c.integer("chunks"), c.integer("dim", 0)); });
  f.add("F.tensor_unfold", {"input"}, [](const Call& c) {
    return c.in("input").unfold(c.integer("dimension"), c.integer("size"), c.integer("step"));
  });
  f.add("F.diagonal", {"input"}, [](const Call& c) {
    return c.in("input").diagonal(c.integer("offset", 0), c.integer("dim1", 0), c.integer("dim2", 1));
  });
  f.add("F.getitem", {"input"}, getitem);
  f.add("F.cat", {}, [](const Call& c) { return weft::cat(c.inputs, c.integer("dim", 0)); });
  f.add("F.stack", {}, [](const Call& c) { return weft::stack(c.inputs, c.integer("dim", 0)); });
  f.add("F.flip", {"input"}, [](const Call& c) { return weft::flip(c.in("input"), sizes(c, "dims")); });
  f.add("F.roll", {"input"}, roll);
  f.add("F.tril", {"input"}, [](const Call& c) { return weft::tril(c.in("input"), c.integer("diagonal", 0)); });
  f.add("F.triu", {"input"}, [](const Call& c) { return weft::triu(c.in("input"), c.integer("diagonal", 0)); });
  f.add("F.repeat", {"input"}, [](const Call& c) { return weft::repeat(c.in("input"), sizes(c, "repeats")); });
  f.add("F.tile", {"input"}, [](const Call& c) { return weft::tile(c.in("input"), sizes(c, "dims")); });
}

}  // namespace golden
