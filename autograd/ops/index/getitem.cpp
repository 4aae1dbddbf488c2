// numpy's indexing: integers, slices and new axes make a view of x; index tensors, lists and masks then pick from the
// view.
#include "weft/autograd/engine.h"
#include "weft/autograd/ops/index/index.h"
#include "weft/autograd/ops/index/index_lookup.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"

namespace weft {
namespace {

using detail::Lookup;

bool is_mask(const Tensor& t) { return t.dtype("index") == Dtype::boolean || t.dtype() == Dtype::u8; }

// Axes of x that an entry uses up.
int axes_of(const Index& e) {
  switch (e.kind()) {
    case Index::Kind::newaxis:
    case Index::Kind::ellipsis:
    case Index::Kind::boolean: return 0;
    case Index::Kind::tensor: return is_mask(e.tensor()) ? e.tensor().rank() : 1;
    default: return 1;
  }
}

// The view that the plain entries make, and which of its axes are indexed by which tensors.
struct Parsed {
  Tensor view;
  Shape dims;
  std::vector<Tensor> tensors;
  bool unchanged = false;  // nothing was indexed: view is x's own handle

  Parsed(const Tensor& x, const std::vector<Index>& at) : view(x) {
    check_defined("index", x);
    int used = 0, ellipses = 0, d = 0;
    for (const Index& e : at) {
      used += axes_of(e);
      ellipses += e.kind() == Index::Kind::ellipsis;
    }
    WEFT_CHECK(ellipses <= 1, ValueError, "index: only one ellipsis is allowed, got ", ellipses);
    WEFT_CHECK(used <= x.rank(), ShapeError, "index: ", used, " axes are indexed but the tensor is ", x.shape());
    for (const Index& e : at) {
      switch (e.kind()) {
        case Index::Kind::integer: view = view.select(d, e.integer()); break;
        case Index::Kind::slice: add_slice(e.slice(), d++); break;
        case Index::Kind::newaxis: view = view.unsqueeze(d++); break;
        case Index::Kind::ellipsis: d += x.rank() - used; break;
        case Index::Kind::list: add(d++, tensor(e.list()).to(x.device())); break;
        case Index::Kind::tensor: add_tensor(e.tensor(), d); break;
        case Index::Kind::boolean: add_flag(e.boolean(), d); break;
      }
    }
    unchanged = view.is_same(x);
  }

  Tensor get() const {
    if (tensors.empty()) return unchanged ? view.reshape(view.shape()) : view;
    return detail::lookup(view, Lookup("index", view.shape(), dims, tensors, true));
  }

 private:
  void add_slice(const Slice& s, int d) {
    if (s.start || s.stop || s.step != 1) view = view.slice(d, s.start, s.stop, s.step);
  }
  void add(int d, const Tensor& index) {
    dims.push_back(d);
    tensors.push_back(index.device() == view.device() ? index : index.to(view.device()));
  }
  // A mask of rank 0: a new axis of size 1 or 0.
  void add_flag(bool on, int& d) {
    view = view.unsqueeze(d);
    add(d++, zeros({on ? 1 : 0}, Dtype::i64));
  }
  void add_tensor(const Tensor& t, int& d) {
    WEFT_CHECK(!t.is_floating(), DtypeError, "index: an index tensor is ", t.dtype(), "; expected integers or bool");
    if (!is_mask(t)) {
      if (t.rank() == 0) view = view.select(d, t.item<int64_t>());
      else add(d++, t);
      return;
    }
    if (t.rank() == 0) return add_flag(t.item<bool>(), d);
    for (int i = 0; i < t.rank(); ++i)
      WEFT_CHECK(t.shape()[i] == view.shape()[d + i], ShapeError, "index: mask ", t.shape(), " does not fit axis ",
                 d + i, " of ", view.shape());
    const Tensor at = nonzero(t);
    for (int i = 0; i < t.rank(); ++i) add(d++, at.select(1, i));
  }
};

}  // namespace

Tensor Tensor::index(const std::vector<Index>& at) const {
  const OpName op("index");
  return Parsed(*this, at).get();
}
Tensor Tensor::operator[](const Tensor& at) const { return index({at}); }

Tensor index_put(const Tensor& x, const std::vector<Index>& at, Scalar value) {
  const OpName op("index_put");
  check_defined(op, x);
  return index_put(x, at, full({}, value, x.options()));
}
Tensor index_put(const Tensor& x, const std::vector<Index>& at, const Tensor& given, Only<bool> accumulate) {
  const OpName op("index_put");
  WEFT_CHECK(given.dtype(op) == x.dtype(op), DtypeError, "x is ", x.dtype(), " but values ", given.dtype());
  Tensor y, values = given;
  {
    const bool recorded = grad_enabled();
    NoGrad no_grad;
    // halves and bools are summed in f32
    const bool wider = accumulate && (is_half(x.dtype()) || x.dtype() == Dtype::boolean);
    y = wider ? x.detach().to(Dtype::f32) : x.detach().clone();
    Parsed p(y, at);
    if (p.tensors.empty()) p.dims.push_back(0);  // a plain view: its first axis, in order
    if (p.view.rank() == 0) p.view = p.view.unsqueeze(0);
    if (p.tensors.empty()) p.tensors.push_back(arange(p.view.shape()[0]).to(x.device()));
    const Lookup l(op, p.view.shape(), p.dims, p.tensors, true);
    const Shape result = l.result();
    int extra = 0;  // leading axes of size 1 that values has beyond the place
    while (given.rank() - extra > result.size() && given.shape()[extra] == 1) ++extra;
    {
      const GradMode as_before(recorded);
      if (extra) values = given.reshape(given.shape().slice(extra));
    }
    WEFT_CHECK(values.rank() <= result.size() && broadcast_shapes(op, values.shape(), result) == result, ShapeError,
               "values ", given.shape(), " do not broadcast to ", result, ", the shape that is indexed");
    detail::lookup_put(p.view, l, values.detach().to(y.dtype()).expand(result), accumulate);
  }
  std::vector<Saved> indices;  // of the entries that are tensors, in order
  for (const Index& e : at)
    if (e.kind() == Index::Kind::tensor) indices.emplace_back(e.tensor(), "index");
  return record(op, y.to(x.dtype()), {x, values},
                [at, indices = std::move(indices), accumulate, shape = values.shape()](BackwardCtx& c) -> Grads {
                  for (const Saved& s : indices) (void)c.get(s);  // refuses an index that was changed since
                  Tensor gx, gv;
                  if (c.needs(0)) gx = accumulate ? c.grad() : index_put(c.grad(), at, zeros({}, c.grad().options()));
                  if (c.needs(1)) gv = sum_to(c.grad().index(at), shape);
                  return {gx, gv};
                });
}

}  // namespace weft
