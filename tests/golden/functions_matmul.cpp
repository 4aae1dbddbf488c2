// Matrix products, einsum, distances, attention.
#include "golden/registry.h"
#include "support/ops.h"

namespace golden {

void add_matmul(Functions& f) {
  f.add("F.matmul", {"input", "other"}, [](const Call& c) { return weft::matmul(c.in("input"), c.in("other")); });
  f.add("F.mm", {"input", "mat2"}, [](const Call& c) { return weft::mm(c.in("input"), c.in("mat2")); });
  f.add("F.bmm", {"input", "mat2"}, [](const Call& c) { return weft::bmm(c.in("input"), c.in("mat2")); });
  f.add("F.addmm", {"input", "mat1", "mat2"}, [](const Call& c) {
    return weft::addmm(c.in("input"), c.in("mat1"), c.in("mat2"), c.scalar("beta", 1), c.scalar("alpha", 1));
  });
  f.add("F.linear", {"input", "weight", "bias"},
        [](const Call& c) { return weft::linear(c.in("input"), c.in("weight"), c.in("bias")); });
  f.add("F.einsum", {}, [](const Call& c) { return weft::einsum(c.value("equation").as_string(), c.inputs); });
  f.add("F.cosine_similarity", {"x1", "x2"}, [](const Call& c) {
    return weft::cosine_similarity(c.in("x1"), c.in("x2"), c.integer("dim", 1), c.number("eps", 1e-8));
  });
  f.add("F.pairwise_distance", {"x1", "x2"}, [](const Call& c) {
    return weft::pairwise_distance(
        c.in("x1"), c.in("x2"),
        {.p = c.number("p", 2), .eps = c.number("eps", 1e-6), .keepdim = c.boolean("keepdim", false)});
  });
  f.add("F.cdist", {"x1", "x2"}, [](const Call& c) { return weft::cdist(c.in("x1"), c.in("x2"), c.number("p", 2)); });
  f.add("F.scaled_dot_product_attention", {"query", "key", "value", "attn_mask"}, [](const Call& c) {
    weft::AttentionOptions o;
    o.attn_mask = c.in("attn_mask");
    o.dropout_p = c.number("dropout_p", 0);
    o.is_causal = c.boolean("is_causal", false);
    o.scale = c.opt_number("scale");
    o.enable_gqa = c.boolean("enable_gqa", false);
    return weft::scaled_dot_product_attention(c.in("query"), c.in("key"), c.in("value"), o);
  });
}

}  // namespace golden
