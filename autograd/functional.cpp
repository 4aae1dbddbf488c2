#include "weft/autograd/functional.h"

#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"

namespace weft::functional {
namespace {

// The inputs as f gets them: with create_graph parts of the caller's graph, else leaves of their own.
Tensors prepared(const char* op, const Tensors& inputs, bool create_graph) {
  WEFT_CHECK(!inputs.empty(), ValueError, op, ": needs at least one input");
  Tensors x;
  for (size_t i = 0; i < inputs.size(); ++i) {
    check_defined(op, inputs[i]);
    WEFT_CHECK(inputs[i].is_floating(), DtypeError, op, ": input ", i, " is ", inputs[i].dtype(),
               ", which has no gradient; convert with to(Dtype::f32)");
    if (create_graph && inputs[i].requires_grad()) x.push_back(inputs[i].reshape(inputs[i].shape()));
    else x.push_back(inputs[i].detach().set_requires_grad());
  }
  return x;
}

Tensors called(const char* op, const Call& f, const Tensors& x, bool strict) {
  Tensors y = f(x);
  WEFT_CHECK(!y.empty(), ValueError, op, ": the function returned no tensor");
  for (size_t i = 0; i < y.size(); ++i) {
    check_defined(op, y[i]);
    WEFT_CHECK(!strict || y[i].requires_grad(), ValueError, op, ": output ", i,
               " does not depend on the inputs (strict)");
  }
  return y;
}

// v checked against what it is to be like; ones where it was left out.
Tensors matched(const char* op, const Tensors& v, const Tensors& like, const char* what) {
  if (v.empty()) {
    WEFT_CHECK(like.size() == 1 && like[0].numel() == 1, ValueError, op, ": v may be left out only for one ", what,
               " of one element");
    return {ones_like(like[0])};
  }
  WEFT_CHECK(v.size() == like.size(), ValueError, op, ": v has ", v.size(), " tensors for ", like.size(), " ", what,
             "s");
  for (size_t i = 0; i < v.size(); ++i) {
    check_defined(op, v[i]);
    WEFT_CHECK(v[i].shape() == like[i].shape(), ShapeError, op, ": v[", i, "] is ", v[i].shape(), " but the ", what,
               " is ", like[i].shape());
  }
  return v;
}

// Gradients of those outputs that have one; zeros, or an error where `strict`, for what does not depend on an input.
Tensors grads_of(const char* op, const Tensors& y, const Tensors& x, const Tensors& v, GradOptions how, bool strict) {
  Tensors outputs;
  for (size_t i = 0; i < y.size(); ++i) {
    if (!y[i].requires_grad()) continue;
    outputs.push_back(y[i]);
    how.grad_outputs.push_back(v[i]);
  }
  how.allow_unused = true;
  Tensors g = outputs.empty() ? Tensors(x.size()) : grad(outputs, x, how);
  for (size_t i = 0; i < g.size(); ++i) {
    WEFT_CHECK(g[i].defined() || !strict, ValueError, op, ": the outputs do not depend on input ", i, " (strict)");
    if (!g[i].defined()) g[i] = zeros_like(x[i]);
  }
  return g;
}

void finish(Tensors& list, const char* op, const FunctionalOptions& o) {
  for (Tensor& t : list) {
    if (!o.create_graph) t = t.detach();
    else
      WEFT_CHECK(!o.strict || t.requires_grad(), ValueError, op,
                 ": the derivative does not depend on the inputs (strict, create_graph)");
  }
}

// Rows of the Jacobian of `y`, one backward each.
std::vector<Tensors> rows_of(const char* op, const Tensors& y, const Tensors& x, const FunctionalOptions& o) {
  std::vector<Tensors> result;
  for (const Tensor& out : y) {
    const int64_t n = out.numel();
    std::vector<Tensors> rows(x.size());
    for (int64_t i = 0; i < n; ++i) {
      Tensor unit = zeros({n}, out.options());
      {
        const NoGrad off;
        unit.narrow(0, i, 1).fill_(1);
      }
      const Tensors g = grads_of(op, {out}, x, {unit.reshape(out.shape())},
                                 {.create_graph = o.create_graph, .retain_graph = true}, o.strict);
      for (size_t k = 0; k < x.size(); ++k) rows[k].push_back(g[k].reshape({g[k].numel()}));
    }
    Tensors per_input;
    for (size_t k = 0; k < x.size(); ++k) {
      const Shape shape = detail::joined(out.shape(), x[k].shape());
      per_input.push_back(n == 0 ? zeros(shape, x[k].options()) : stack(rows[k]).reshape(shape));
    }
    finish(per_input, op, o);
    result.push_back(std::move(per_input));
  }
  return result;
}

}  // namespace

std::vector<Tensors> jacobian(const Call& f, const Tensors& inputs, const FunctionalOptions& o) {
  const EnableGrad on;
  const Tensors x = prepared("jacobian", inputs, o.create_graph);
  return rows_of("jacobian", called("jacobian", f, x, o.strict), x, o);
}

std::vector<Tensors> hessian(const Call& f, const Tensors& inputs, const FunctionalOptions& o) {
  const EnableGrad on;
  const Tensors x = prepared("hessian", inputs, o.create_graph), y = called("hessian", f, x, o.strict);
  WEFT_CHECK(y.size() == 1 && y[0].numel() == 1, ValueError,
             "hessian: the function must return one tensor of one element, got ", y.size(), " of shape ", y[0].shape());
  const Tensors g = grads_of("hessian", y, x, {ones_like(y[0])}, {.create_graph = true}, o.strict);
  for (size_t i = 0; i < g.size(); ++i)
    WEFT_CHECK(!o.strict || g[i].requires_grad(), ValueError, "hessian: the gradient of input ", i,
               " does not depend on the inputs (strict)");
  return rows_of("hessian", g, x, o);
}

Product vjp(const Call& f, const Tensors& inputs, const Tensors& v, const FunctionalOptions& o) {
  const EnableGrad on;
  const Tensors x = prepared("vjp", inputs, o.create_graph);
  Tensors y = called("vjp", f, x, o.strict);
  Tensors product = grads_of("vjp", y, x, matched("vjp", v, y, "output"), {.create_graph = o.create_graph}, o.strict);
  finish(product, "vjp", o);
  finish(y, "vjp", {.create_graph = o.create_graph});
  return {std::move(y), std::move(product)};
}

Product jvp(const Call& f, const Tensors& inputs, const Tensors& v, const FunctionalOptions& o) {
  const EnableGrad on;
  const Tensors x = prepared("jvp", inputs, o.create_graph), direction = matched("jvp", v, x, "input");
  Tensors y = called("jvp", f, x, o.strict), dual;
  for (const Tensor& t : y) dual.push_back(zeros_like(t).set_requires_grad(t.is_floating()));
  const Tensors g = grads_of("jvp", y, x, dual, {.create_graph = true}, o.strict);
  // g is linear in dual, so that its gradient is J v wherever dual is.
  Tensors product = grads_of("jvp", g, dual, direction, {.create_graph = o.create_graph}, o.strict);
  finish(product, "jvp", o);
  finish(y, "jvp", {.create_graph = o.create_graph});
  return {std::move(y), std::move(product)};
}

}  // namespace weft::functional
