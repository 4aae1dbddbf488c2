// Places in sorted sequences, membership, and counting.
#include "golden/registry.h"
#include "support/ops.h"

namespace golden {
namespace {

weft::SearchOptions search_options(const Call& c) {
  return {.out_int32 = c.boolean("out_int32", false), .right = c.boolean("right", false), .sorter = c.in("sorter")};
}

template <class F> auto unique_of(F op) {
  return [op](const Call& c) {
    const weft::UniqueResult r = op(c.in("input"), {.return_inverse = c.boolean("return_inverse", false),
                                                    .return_counts = c.boolean("return_counts", false),
                                                    .dim = c.opt_integer("dim")});
    std::vector<Tensor> all{r.output};
    for (const Tensor& t : {r.inverse_indices, r.counts})
      if (t.defined()) all.push_back(t);
    return all;
  };
}

}  // namespace

void add_search(Functions& f) {
  f.add("F.searchsorted", {"sorted_sequence", "input", "sorter"}, [](const Call& c) {
    const Tensor line = c.in("sorted_sequence");
    return c.is_scalar("input") ? weft::searchsorted(line, c.scalar("input", 0), search_options(c))
                                : weft::searchsorted(line, c.in("input"), search_options(c));
  });
  f.add("F.bucketize", {"input", "boundaries"}, [](const Call& c) {
    const Tensor line = c.in("boundaries");
    return c.is_scalar("input") ? weft::bucketize(c.scalar("input", 0), line, search_options(c))
                                : weft::bucketize(c.in("input"), line, search_options(c));
  });
  f.add("F.isin", {"elements", "test_elements"}, [](const Call& c) {
    const weft::IsinOptions o{.assume_unique = c.boolean("assume_unique", false), .invert = c.boolean("invert", false)};
    if (c.is_scalar("elements")) return weft::isin(c.scalar("elements", 0), c.in("test_elements"), o);
    return c.is_scalar("test_elements") ? weft::isin(c.in("elements"), c.scalar("test_elements", 0), o)
                                        : weft::isin(c.in("elements"), c.in("test_elements"), o);
  });
  f.add("F.unique", {"input"},
        unique_of([](const Tensor& x, const weft::UniqueOptions& o) { return weft::unique(x, o); }));
  f.add("F.unique_consecutive", {"input"},
        unique_of([](const Tensor& x, const weft::UniqueOptions& o) { return weft::unique_consecutive(x, o); }));
  f.add("F.bincount", {"input", "weights"},
        [](const Call& c) { return weft::bincount(c.in("input"), c.in("weights"), c.integer("minlength", 0)); });
  f.add("F.histc", {"input"}, [](const Call& c) {
    return weft::histc(c.in("input"),
                       {.bins = c.integer("bins", 100), .min = c.number("min", 0), .max = c.number("max", 0)});
  });
}

}  // namespace golden
