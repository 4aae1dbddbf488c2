#include "weft/distributed/process_group.h"

#include <numeric>

#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/autograd/ops/reduce/reduce.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/autograd/record.h"
#include "weft/core/factory.h"

namespace weft {

using comm::Call;
using comm::Collective;

namespace {

comm::Communicator& or_alone(const std::shared_ptr<comm::Communicator>& c) {
  static const std::shared_ptr<comm::Communicator> lonely = comm::alone();
  return c ? *c : *lonely;
}

void check_rank(const char* op, const char* what, int rank, int size) {
  WEFT_CHECK(rank >= 0 && rank < size, ValueError, op, ": ", what, " ", rank, " is not in a group of ", size, " ranks");
}

/// x [size, ...]: one part for each rank.
Shape part_shape(const char* op, const Tensor& x, int size) {
  check_defined(op, x);
  WEFT_CHECK(x.rank() >= 1 && x.size(0) == size, ShapeError, op, ": the first axis must have one entry for each of ",
             size, " ranks, got ", x.shape());
  Shape s = x.shape();
  s.erase(0);
  return s;
}

void check_mean(const char* op, const Tensor& x, ReduceOp how) {
  WEFT_CHECK(how != ReduceOp::mean || x.is_floating(), DtypeError, op, ": the mean takes floating dtypes, got ",
             x.dtype(), "; sum it, or convert it first");
}

comm::Content content_of(const Tensor& x) {
  return grad_enabled() && x.requires_grad() ? comm::Content::recorded : comm::Content::value;
}
void check_first_derivative(const char* op, const BackwardCtx& c) {
  WEFT_CHECK(!c.create_graph(), NotSupported, op,
             ": gradients that ranks send each other have no derivatives; take a collective (all_to_all, broadcast)");
}

bool picks(ReduceOp op) { return op == ReduceOp::min || op == ReduceOp::max; }

}  // namespace

ProcessGroup::ProcessGroup(std::shared_ptr<comm::Communicator> communicator) : communicator_(std::move(communicator)) {}

ProcessGroup ProcessGroup::split(int colour, int key) const {
  return ProcessGroup(or_alone(communicator_).split(colour, key));
}
double ProcessGroup::timeout() const { return or_alone(communicator_).timeout; }
void ProcessGroup::set_timeout(double seconds) const {
  WEFT_CHECK(seconds > 0, ValueError, "set_timeout: seconds must be positive, got ", seconds);
  if (communicator_) communicator_->timeout = seconds;
}

/// x where the group can have it, contiguous.
Tensor ProcessGroup::reachable(const Tensor& x) const {
  detail::refuse_recorded(x, "a collective");
  return (reaches(x.device().type) ? x.detach() : x.detach().to(Device())).contiguous();
}

/// The call's result, of that shape, on x's device. Not recorded.
Tensor ProcessGroup::made(Call c, const Tensor& x, const Shape& shape) const {
  const NoGrad off;
  const Tensor mine = reachable(x);
  Tensor y = empty(shape, mine.options());
  if (c.kind != Collective::recv) c.shape = x.shape();
  if (!c.each.empty()) c.shape[0] = 0;  // may differ
  c.dtype = x.dtype(), c.in = mine.raw_data(), c.out = y.mut_raw_data(), c.device = y.device();
  or_alone(communicator_).run(c);
  return y.to(x.device());
}

/// The call's result takes x's place.
void ProcessGroup::run_in_place(Call c, Tensor& x) const {
  const NoGrad off;
  Tensor mine = reachable(x);
  c.shape = x.shape(), c.dtype = x.dtype(), c.count = x.numel(), c.in = mine.raw_data(), c.out = mine.mut_raw_data();
  c.device = mine.device();
  or_alone(communicator_).run(c);
  if (x.raw_data() != mine.raw_data()) x.copy_(mine);
}

Tensor ProcessGroup::all_reduce(const Tensor& x, Choice<ReduceOp> op) const {
  const OpName name("all_reduce");
  check_defined(name, x);
  check_mean(name, x, op);
  const Tensor y = made({.kind = Collective::all_reduce, .op = op, .count = x.numel()}, x, x.shape());
  return record(name, y, {x},
                [group = *this, op, x = picks(op) || op == ReduceOp::product ? Saved::input(x) : Saved(),
                 y = picks(op) ? Saved::output(y) : Saved()](BackwardCtx& c) -> Grads {
                  const Tensor g = group.all_reduce(c.grad(), op == ReduceOp::mean ? ReduceOp::mean : ReduceOp::sum);
                  return {group.own_part(op, g, c.get(x), c.get(y))};
                });
}

/// What of g, a gradient of all ranks' x made one, y, goes to this rank's x: where x is y, shared with the ranks that
/// tie; times the others' x; or all of it.
Tensor ProcessGroup::own_part(ReduceOp op, const Tensor& g, const Tensor& x, const Tensor& y) const {
  if (picks(op)) {
    const Tensor mine = eq(x, y).to(g.dtype());
    return g * mine / all_reduce(mine);
  }
  if (op != ReduceOp::product) return g;
  const Tensor all = all_gather(x);
  Tensor others = ones_like(x);
  for (int r = 0; r < size(); ++r)
    if (r != rank()) others = others * all.select(0, r);
  return g * others;
}

void ProcessGroup::all_reduce_(Tensor& x, Choice<ReduceOp> op) const {
  const OpName name("all_reduce_");
  check_defined(name, x);
  check_mean(name, x, op);
  run_in_place({.kind = Collective::all_reduce, .op = op}, x);
}

Tensor ProcessGroup::all_gather(const Tensor& x) const {
  const OpName name("all_gather");
  check_defined(name, x);
  Shape shape = x.shape();
  shape.insert(0, size());
  const Tensor y = made({.kind = Collective::all_gather, .count = x.numel()}, x, shape);
  return record(name, y, {x}, [group = *this](BackwardCtx& c) -> Grads { return {group.reduce_scatter(c.grad())}; });
}

Tensor ProcessGroup::all_gather_cat(const Tensor& x) const {
  const OpName name("all_gather_cat");
  check_defined(name, x);
  WEFT_CHECK(x.rank() >= 1, ShapeError, name, ": a tensor of rank 0 has no first axis; all_gather stacks");
  const auto ranks = static_cast<size_t>(size());
  std::vector<int64_t> each, begin(ranks + 1);
  {
    int64_t row = 1;
    for (int i = 1; i < x.rank(); ++i) row *= x.size(i);
    const Tensor sizes = all_gather(tensor(std::vector<int64_t>{x.size(0), row}));
    for (int r = 0; r < size(); ++r) {
      const int64_t* of = sizes.data<int64_t>() + 2 * static_cast<int64_t>(r);
      WEFT_CHECK(of[1] == row, ShapeError, name, ": rank ", rank(), " has ", row, " elements to each entry of the ",
                 "first axis, rank ", r, " has ", of[1]);
      each.push_back(of[0] * row);
      begin[static_cast<size_t>(r) + 1] = begin[static_cast<size_t>(r)] + of[0];
    }
  }
  Shape shape = x.shape();
  shape[0] = begin[ranks];
  const Tensor y = made({.kind = Collective::all_gather, .count = x.numel(), .each = each}, x, shape);
  const int64_t from = begin[static_cast<size_t>(rank())], n = x.size(0);
  return record(name, y, {x}, [group = *this, from, n](BackwardCtx& c) -> Grads {
    return {group.all_reduce(c.grad()).narrow(0, from, n)};
  });
}

Tensor ProcessGroup::reduce_scatter(const Tensor& x, Choice<ReduceOp> op) const {
  const OpName name("reduce_scatter");
  const Shape shape = part_shape(name, x, size());
  check_mean(name, x, op);
  const Tensor y = made({.kind = Collective::reduce_scatter, .op = op, .count = shape.numel()}, x, shape);
  return record(name, y, {x},
                [group = *this, op, x = picks(op) || op == ReduceOp::product ? Saved::input(x) : Saved(),
                 y = picks(op) ? Saved::output(y) : Saved()](BackwardCtx& c) -> Grads {
                  Tensor g = group.all_gather(c.grad());  // [r]: of the part that rank r has
                  if (op == ReduceOp::mean) g = g / static_cast<double>(group.size());
                  return {group.own_part(op, g, c.get(x), y.defined() ? group.all_gather(c.get(y)) : Tensor())};
                });
}

Tensor ProcessGroup::all_to_all(const Tensor& x) const {
  const OpName name("all_to_all");
  const int64_t part = part_shape(name, x, size()).numel();
  const Tensor y = made({.kind = Collective::all_to_all, .count = part}, x, x.shape());
  return record(name, y, {x}, [group = *this](BackwardCtx& c) -> Grads { return {group.all_to_all(c.grad())}; });
}

Tensor ProcessGroup::broadcast(const Tensor& x, int root) const {
  const OpName name("broadcast");
  check_defined(name, x);
  check_rank(name, "root", root, size());
  Tensor y;
  {
    const NoGrad off;
    y = x.detach().clone();
    broadcast_(y, root);
  }
  return record(name, y, {x}, [group = *this, root](BackwardCtx& c) -> Grads {
    const Tensor g = group.all_reduce(c.grad());
    return {group.rank() == root ? g : zeros_like(g)};
  });
}

void ProcessGroup::broadcast_(Tensor& x, int root) const {
  const OpName name("broadcast");
  check_defined(name, x);
  check_rank(name, "root", root, size());
  run_in_place({.kind = Collective::broadcast, .peer = root}, x);
}

void ProcessGroup::barrier() const { or_alone(communicator_).run({}); }

void ProcessGroup::check_pair(const char* op, const Tensor& x, int other, int tag) const {
  check_defined(op, x);
  check_rank(op, "rank", other, size());
  WEFT_CHECK(other != rank(), ValueError, op, ": rank ", other, " is this one");
  WEFT_CHECK(tag >= 0 && tag < 256, ValueError, op, ": tag must be 0 to 255, got ", tag);
}

void ProcessGroup::give(const Tensor& x, int to, int tag, comm::Content content) const {
  const Tensor mine = reachable(x);
  or_alone(communicator_)
      .run({.kind = Collective::send,
            .dtype = x.dtype(),
            .count = x.numel(),
            .peer = to,
            .tag = tag,
            .content = content,
            .in = mine.raw_data(),
            .device = mine.device()});
}

Tensor ProcessGroup::take(const Tensor& like, int from, int tag, comm::Content content) const {
  return made({.kind = Collective::recv, .count = like.numel(), .peer = from, .tag = tag, .content = content}, like,
              like.shape());
}

Tensor ProcessGroup::send(const Tensor& x, int to, int tag) const {
  const OpName name("send");
  check_pair(name, x, to, tag);
  give(x, to, tag, content_of(x));
  return record(name, zeros({}, x.options()), {x},
                [group = *this, shape = x.shape(), options = x.options(), to, tag](BackwardCtx& c) -> Grads {
                  check_first_derivative("send", c);
                  return {group.take(empty(shape, options), to, tag, comm::Content::gradient)};
                });
}

Tensor ProcessGroup::recv(const Tensor& like, int from, int tag) const {
  const OpName name("recv");
  check_pair(name, like, from, tag);
  return record(name, take(like, from, tag, content_of(like)), {like},
                [group = *this, from, tag](BackwardCtx& c) -> Grads {
                  check_first_derivative("recv", c);
                  group.give(c.grad(), from, tag, comm::Content::gradient);
                  return {zeros_like(c.grad())};
                });
}

void ProcessGroup::recv_(Tensor& x, int from, int tag) const {
  const OpName name("recv_");
  check_pair(name, x, from, tag);
  const NoGrad off;
  x.copy_(take(x, from, tag, comm::Content::value));
}

std::vector<std::string> ProcessGroup::all_gather(const std::string& text) const {
  std::vector<int64_t> each(static_cast<size_t>(size()));
  const auto mine = static_cast<int64_t>(text.size());
  or_alone(communicator_)
      .run({.kind = Collective::all_gather, .dtype = Dtype::i64, .count = 1, .in = &mine, .out = each.data()});
  std::string all(static_cast<size_t>(std::accumulate(each.begin(), each.end(), int64_t{0})), '\0');
  or_alone(communicator_)
      .run({.kind = Collective::all_gather,
            .dtype = Dtype::u8,
            .count = mine,
            .in = text.data(),
            .out = all.data(),
            .each = each});
  std::vector<std::string> texts;
  size_t at = 0;
  for (const int64_t n : each) {
    texts.push_back(all.substr(at, static_cast<size_t>(n)));
    at += static_cast<size_t>(n);
  }
  return texts;
}

std::string ProcessGroup::broadcast(const std::string& text, int root) const {
  check_rank("broadcast", "root", root, size());
  auto n = static_cast<int64_t>(text.size());
  Call c{.kind = Collective::broadcast, .dtype = Dtype::i64, .count = 1, .peer = root, .in = &n, .out = &n};
  or_alone(communicator_).run(c);
  std::string all = text;
  all.resize(static_cast<size_t>(n));
  c.dtype = Dtype::u8, c.count = n, c.in = all.data(), c.out = all.data();
  or_alone(communicator_).run(c);
  return all;
}

std::shared_ptr<comm::Work> ProcessGroup::start_all_reduce_(Tensor& x, Choice<ReduceOp> op) const {
  const OpName name("all_reduce_");
  check_defined(name, x);
  check_mean(name, x, op);
  detail::refuse_recorded(x, name);
  WEFT_CHECK(x.is_contiguous() && reaches(x.device().type), ValueError, name,
             ": a call that is started takes a contiguous tensor that the group reaches, got ", x.shape(), " on ",
             x.device());
  void* p = x.mut_raw_data();
  return or_alone(communicator_)
      .start({.kind = Collective::all_reduce,
              .dtype = x.dtype(),
              .op = op,
              .count = x.numel(),
              .shape = x.shape(),
              .in = p,
              .out = p,
              .device = x.device(),
              .overlaps = true});
}

}  // namespace weft
