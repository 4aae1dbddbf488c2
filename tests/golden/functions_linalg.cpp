// Linear algebra. make_linalg.py says what is made of free signs and of symmetric arguments.
#include <limits>

#include "golden/registry.h"
#include "support/ops.h"
#include "weft/autograd/ops/linalg/linalg.h"

namespace golden {
namespace {

namespace linalg = weft::linalg;

Tensor adjoint(const Tensor& x) { return x.transpose(-2, -1); }
Tensor symmetric(const Tensor& x) { return (x + adjoint(x)) * 0.5; }
Tensor positive(const Tensor& x) { return matmul(x, adjoint(x)) + weft::eye(x.size(-2), -1, x.options()); }

linalg::Ord norm_of(const Call& c, const char* name, const char* otherwise) {
  if (!c.has(name)) return otherwise;
  if (c.value(name).is_number()) return c.number(name, 0);
  const std::string word = c.word(name, otherwise);
  if (word == "inf" || word == "-inf") return std::numeric_limits<double>::infinity() * (word == "inf" ? 1 : -1);
  return word == "nuc" ? "nuc" : "fro";
}

/// All results, or the ones that have gradients?
bool whole(const Call& c) { return c.boolean("whole", false); }

linalg::PinvOptions pinv_options(const Call& c) {
  linalg::PinvOptions o;
  o.atol = c.opt_number("atol");
  o.rtol = c.opt_number("rtol");
  o.hermitian = c.boolean("hermitian", false);
  return o;
}

/// A result and the positions of what failed; of those alone (`only`: "info") the result is anything.
std::vector<Tensor> with_info(const Call& c, const Tensor& result, const Tensor& info) {
  if (c.word("only", "") == "info") return {info};
  return {result, info};
}

}  // namespace

void add_linalg(Functions& f) {
  using Tensors = std::vector<Tensor>;
  f.add("linalg.inv", {"A"}, [](const Call& c) { return linalg::inv(c.in("A")); });
  f.add("linalg.det", {"A"}, [](const Call& c) { return linalg::det(c.in("A")); });
  f.add("linalg.slogdet", {"A"}, [](const Call& c) -> Tensors {
    const auto [sign, logabsdet] = linalg::slogdet(c.in("A"));
    if (whole(c)) return {sign, logabsdet};
    return {logabsdet};
  });
  f.add("linalg.solve", {"A", "B"},
        [](const Call& c) { return linalg::solve(c.in("A"), c.in("B"), c.boolean("left", true)); });
  f.add("linalg.solve_triangular", {"A", "B"}, [](const Call& c) {
    return linalg::solve_triangular(c.in("A"), c.in("B"),
                                    {.upper = c.boolean("upper", false),
                                     .left = c.boolean("left", true),
                                     .unitriangular = c.boolean("unitriangular", false)});
  });
  f.add("linalg.lu_factor", {"A"}, [](const Call& c) { return linalg::lu_factor(c.in("A")).LU; });
  f.add("linalg.lu", {"A"}, [](const Call& c) {
    const linalg::Lu r = linalg::lu(c.in("A"));
    return whole(c) ? Tensors{r.P, r.L, r.U} : Tensors{r.L, r.U};
  });
  f.add("linalg.lu_solve", {"LU", "B"}, [](const Call& c) {
    const Tensor pivots = here(weft::tensor(std::vector<int32_t>{3, 2, 3}));
    return linalg::lu_solve(c.in("LU"), pivots, c.in("B"),
                            {.left = c.boolean("left", true), .adjoint = c.boolean("adjoint", false)});
  });
  f.add("linalg.cholesky", {"A"},
        [](const Call& c) { return linalg::cholesky(positive(c.in("A")), c.boolean("upper", false)); });
  f.add("linalg.cholesky_solve", {"B", "L"},
        [](const Call& c) { return weft::cholesky_solve(c.in("B"), c.in("L"), c.boolean("upper", false)); });
  f.add("linalg.cholesky_inverse", {"L"},
        [](const Call& c) { return weft::cholesky_inverse(c.in("L"), c.boolean("upper", false)); });
  f.add("linalg.qr", {"A"}, [](const Call& c) {
    const linalg::Qr r = linalg::qr(c.in("A"), c.word("mode", "reduced"));
    return Tensors{r.Q, r.R};
  });
  f.add("linalg.svd", {"A"}, [](const Call& c) {
    const auto [U, S, Vh] = linalg::svd(c.in("A"), false);
    return Tensors{S, matmul(U, Vh), square(U), square(Vh)};
  });
  f.add("linalg.svdvals", {"A"}, [](const Call& c) { return linalg::svdvals(c.in("A")); });
  f.add("linalg.eigh", {"A"}, [](const Call& c) {
    const auto [w, V] = linalg::eigh(symmetric(c.in("A")));
    const Tensor count = weft::arange(1, 1 + w.size(-1), 1, w.options());
    return Tensors{w, square(V), matmul(V * count, adjoint(V))};
  });
  f.add("linalg.eigvalsh", {"A"},
        [](const Call& c) { return linalg::eigvalsh(symmetric(c.in("A")), c.word("UPLO", "L")); });
  f.add("linalg.pinv", {"A"}, [](const Call& c) {
    const linalg::PinvOptions o = pinv_options(c);
    return linalg::pinv(o.hermitian ? symmetric(c.in("A")) : c.in("A"), o);
  });
  f.add("linalg.matrix_rank", {"A"}, [](const Call& c) { return linalg::matrix_rank(c.in("A"), pinv_options(c)); });
  f.add("linalg.inv_ex", {"A"}, [](const Call& c) {
    const auto [inverse, info] = linalg::inv_ex(c.in("A"));
    return with_info(c, inverse, info);
  });
  f.add("linalg.cholesky_ex", {"A"}, [](const Call& c) {
    const auto [factor, info] = linalg::cholesky_ex(c.in("A"), c.boolean("upper", false));
    return with_info(c, factor, info);
  });
  f.add("linalg.norm", {"A"}, [](const Call& c) {
    const auto ord = c.has("ord") ? std::optional(norm_of(c, "ord", "fro")) : std::nullopt;
    return linalg::norm(c.in("A"), ord, weft::DimList(c.opt_ints("dim").value_or(Shape{})), c.boolean("keepdim", false),
                        c.opt_dtype("dtype"));
  });
  f.add("linalg.lstsq", {"A", "B"}, [](const Call& c) -> Tensors {
    const std::string driver = c.word("driver", "gelsy");
    const linalg::Lstsq r = linalg::lstsq(c.in("A"), c.in("B"), {.rcond = c.opt_number("rcond"), .driver = driver});
    return whole(c) ? Tensors{r.solution, r.residuals, r.rank, r.singular_values} : Tensors{r.solution};
  });
  f.add("linalg.matrix_norm", {"A"}, [](const Call& c) {
    return linalg::matrix_norm(c.in("A"), norm_of(c, "ord", "fro"), c.opt_ints("dim").value_or(Shape{-2, -1}),
                               c.boolean("keepdim", false));
  });
  f.add("linalg.cond", {"A"}, [](const Call& c) {
    return c.has("p") ? linalg::cond(c.in("A"), norm_of(c, "p", "fro")) : linalg::cond(c.in("A"));
  });
  f.add("linalg.matrix_power", {"A"}, [](const Call& c) { return linalg::matrix_power(c.in("A"), c.integer("n")); });
  f.add("linalg.matrix_exp", {"A"}, [](const Call& c) { return linalg::matrix_exp(c.in("A")); });
  f.add("linalg.multi_dot", {"a", "b", "c"}, [](const Call& c) {
    return linalg::multi_dot({c.in("a"), c.in("b"), c.in("c")});
  });
}

}  // namespace golden
