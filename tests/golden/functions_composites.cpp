// Ops that are made of others.
#include "golden/registry.h"
#include "weft/autograd/ops/index/index_write.h"
#include "weft/autograd/ops/index/scatter_reduce.h"
#include "weft/autograd/ops/linalg/blas.h"
#include "weft/autograd/ops/reduce/statistics.h"
#include "weft/autograd/ops/shape/as_strided.h"
#include "weft/autograd/ops/shape/diagonal.h"
#include "weft/autograd/ops/shape/stack.h"

namespace golden {
namespace {

weft::ScatterReduce scatter_reduction(const Call& c) {
  const std::string word = c.word("reduce", "");
  if (word == "sum") return weft::ScatterReduce::sum;
  if (word == "prod") return weft::ScatterReduce::prod;
  if (word == "mean") return weft::ScatterReduce::mean;
  if (word == "amax") return weft::ScatterReduce::amax;
  if (word == "amin") return weft::ScatterReduce::amin;
  throw weft::ValueError("reduce: unknown word " + word);
}

/// beta input + alpha (a product of two).
template <class F> auto scaled(const char* a, const char* b, F op) {
  return [=](const Call& c) { return op(c.in("input"), c.in(a), c.in(b), c.scalar("beta", 1), c.scalar("alpha", 1)); };
}

void add_matrices(Functions& f) {
  f.add("F.diag", {"input"}, [](const Call& c) { return weft::diag(c.in("input"), c.integer("diagonal", 0)); });
  f.add("F.diag_embed", {"input"}, [](const Call& c) {
    return weft::diag_embed(c.in("input"), c.integer("offset", 0), c.integer("dim1", -2), c.integer("dim2", -1));
  });
  f.add("F.trace", {"input"}, [](const Call& c) { return weft::trace(c.in("input")); });
  f.add("F.block_diag", {}, [](const Call& c) { return weft::block_diag(c.inputs); });
  f.add("F.vstack", {}, [](const Call& c) { return weft::vstack(c.inputs); });
  f.add("F.hstack", {}, [](const Call& c) { return weft::hstack(c.inputs); });
  f.add("F.dstack", {}, [](const Call& c) { return weft::dstack(c.inputs); });
  f.add("F.cartesian_prod", {}, [](const Call& c) { return weft::cartesian_prod(c.inputs); });
  f.add("F.rot90", {"input"},
        [](const Call& c) { return weft::rot90(c.in("input"), c.integer("k", 1), Shape(c.ints("dims"))); });
  f.add("F.fliplr", {"input"}, [](const Call& c) { return weft::fliplr(c.in("input")); });
  f.add("F.combinations", {"input"}, [](const Call& c) {
    return weft::combinations(c.in("input"), c.integer("r", 2), c.boolean("with_replacement", false));
  });
  f.add("F.inner", {"input", "other"}, [](const Call& c) { return weft::inner(c.in("input"), c.in("other")); });
  f.add("F.kron", {"input", "other"}, [](const Call& c) { return weft::kron(c.in("input"), c.in("other")); });
  f.add("F.tensordot", {"a", "b"}, [](const Call& c) {
    const Value& dims = c.value("dims");
    if (dims.is_integer()) return weft::tensordot(c.in("a"), c.in("b"), dims.as_int());
    return weft::tensordot(c.in("a"), c.in("b"), Shape(dims.list.at(0).as_ints()), Shape(dims.list.at(1).as_ints()));
  });
  f.add("F.addmv", {"input", "mat", "vec"}, scaled("mat", "vec", weft::addmv));
  f.add("F.addr", {"input", "vec1", "vec2"}, scaled("vec1", "vec2", weft::addr));
  f.add("F.addbmm", {"input", "batch1", "batch2"}, scaled("batch1", "batch2", weft::addbmm));
  f.add("F.baddbmm", {"input", "batch1", "batch2"}, scaled("batch1", "batch2", weft::baddbmm));
  f.add("F.cross", {"input", "other"},
        [](const Call& c) { return weft::cross(c.in("input"), c.in("other"), c.opt_integer("dim")); });
}

void add_statistics(Functions& f) {
  f.add("F.cov", {"input", "fweights", "aweights"}, [](const Call& c) {
    return weft::cov(
        c.in("input"),
        {.correction = c.number("correction", 1), .fweights = c.in("fweights"), .aweights = c.in("aweights")});
  });
  f.add("F.corrcoef", {"input"}, [](const Call& c) { return weft::corrcoef(c.in("input")); });
  f.add("F.diff", {"input", "prepend", "append"}, [](const Call& c) {
    return weft::diff(c.in("input"), c.integer("n", 1), c.integer("dim", -1),
                      {.prepend = c.in("prepend"), .append = c.in("append")});
  });
  f.add("F.trapezoid", {"values", "x"}, [](const Call& c) {
    const Tensor x = c.in("x");
    const int64_t dim = c.integer("dim", -1);
    return x.defined() ? weft::trapezoid(c.in("values"), x, dim)
                       : weft::trapezoid(c.in("values"), c.number("dx", 1), dim);
  });
  f.add("F.renorm", {"input"}, [](const Call& c) {
    return weft::renorm(c.in("input"), c.number("p", 2), c.integer("dim"), c.number("maxnorm", 1));
  });
}

void add_writes(Functions& f) {
  f.add("F.index_fill", {"input", "index", "value"}, [](const Call& c) {
    const Tensor x = c.in("input"), index = c.in("index");
    return c.is_scalar("value") ? weft::index_fill(x, c.integer("dim"), index, c.scalar("value", 0))
                                : weft::index_fill(x, c.integer("dim"), index, c.in("value"));
  });
  f.add("F.index_copy", {"input", "index", "source"},
        [](const Call& c) { return weft::index_copy(c.in("input"), c.integer("dim"), c.in("index"), c.in("source")); });
  f.add("F.masked_scatter", {"input", "mask", "source"},
        [](const Call& c) { return weft::masked_scatter(c.in("input"), c.in("mask"), c.in("source")); });
  f.add("F.put", {"input", "index", "source"}, [](const Call& c) {
    return weft::put(c.in("input"), c.in("index"), c.in("source"), c.boolean("accumulate", false));
  });
  f.add("F.scatter_reduce", {"input", "index", "src"}, [](const Call& c) {
    return weft::scatter_reduce(c.in("input"), c.integer("dim"), c.in("index"), c.in("src"), scatter_reduction(c),
                                c.boolean("include_self", true));
  });
  f.add("F.index_reduce", {"input", "index", "source"}, [](const Call& c) {
    return weft::index_reduce(c.in("input"), c.integer("dim"), c.in("index"), c.in("source"), scatter_reduction(c),
                              c.boolean("include_self", true));
  });
  f.add("F.as_strided", {"input"}, [](const Call& c) {
    return weft::as_strided(c.in("input"), Shape(c.ints("size")), Shape(c.ints("stride")),
                            c.opt_integer("storage_offset"));
  });
}

}  // namespace

void add_composites(Functions& f) {
  add_matrices(f);
  add_statistics(f);
  add_writes(f);
}

}  // namespace golden
