#include "weft/distributed/process_group.h"

#include <cstring>

#include "weft/autograd/grad_mode.h"
#include "weft/core/factory.h"

namespace weft {

ProcessGroup::~ProcessGroup() = default;

/// x where `run` can have it, contiguous.
Tensor ProcessGroup::reachable(const char* op, const Tensor& x) const {
  check_defined(op, x);
  WEFT_CHECK(x.dtype() == Dtype::f32 || x.dtype() == Dtype::f64 || x.dtype() == Dtype::i64, DtypeError, op,
             ": takes f32, f64 and i64, got ", x.dtype());
  return (reaches(x.device().type) ? x.detach() : x.detach().to(Device())).contiguous();
}

Tensor ProcessGroup::all_gather(const Tensor& x) {
  const NoGrad off;
  const Tensor mine = reachable("all_gather", x);
  Shape shape = x.shape();
  shape.insert(0, size());
  Tensor all = empty(shape, mine.options());
  run({Collective::all_gather, x.dtype(), x.numel(), 0, mine.raw_data(), all.mut_raw_data()});
  return all.to(x.device());
}

void ProcessGroup::run_in_place(const char* op, Request r, Tensor& x) {
  const NoGrad off;
  Tensor mine = reachable(op, x);
  r.dtype = mine.dtype();
  r.count = mine.numel();
  r.in = mine.raw_data();
  r.out = mine.mut_raw_data();
  run(r);
  if (x.raw_data() != mine.raw_data()) x.copy_(mine);
}

void ProcessGroup::all_reduce(Tensor& x) { run_in_place("all_reduce", {Collective::all_reduce}, x); }

void ProcessGroup::broadcast(Tensor& x, int root) {
  WEFT_CHECK(root >= 0 && root < size(), ValueError, "broadcast: root ", root, " is not in a group of ", size(),
             " ranks");
  run_in_place("broadcast", {.collective = Collective::broadcast, .root = root}, x);
}

void ProcessGroup::barrier() { run({}); }

void SingleProcess::run(const Request& r) {
  if (r.count > 0 && r.out != r.in) std::memcpy(r.out, r.in, static_cast<size_t>(r.count) * itemsize(r.dtype));
}

}  // namespace weft
