#include "weft/train/distributed.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <unordered_map>
#include <utility>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/node.h"
#include "weft/autograd/ops/elementwise/binary.h"
#include "weft/core/factory.h"
#include "weft/nn/norm.h"
#include "weft/nn/sync_batch_norm.h"

namespace weft::training {

namespace {

constexpr double kMiB = 1 << 20;

/// "name shape dtype" of each, a line each.
std::string description(const std::vector<nn::NamedTensor>& tensors) {
  std::string s;
  for (const auto& [name, t] : tensors) s += str(name, ' ', t.shape(), ' ', t.dtype(), '\n');
  return s;
}

void check_same(const ProcessGroup& group, const char* what, const std::vector<nn::NamedTensor>& tensors) {
  const std::vector<std::string> all = group.all_gather(description(tensors));
  for (int r = 1; r < group.size(); ++r) {
    const std::string &a = all[0], &b = all[static_cast<size_t>(r)];
    if (a == b) continue;
    size_t at = static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
    at = at == 0 ? 0 : a.rfind('\n', at - 1) + 1;
    const auto line = [at](const std::string& s) {
      return at < s.size() ? s.substr(at, s.find('\n', at) - at) : std::string("nothing more");
    };
    raise<ValueError>("DistributedDataParallel: ", what, " of the ranks differ: rank 0 has ", line(a), ", rank ", r,
                      " has ", line(b));
  }
}

}  // namespace

struct DistributedDataParallel::State final : LeafWatch {
  /// A parameter, and where its gradient goes round.
  struct Entry {
    std::string name;
    Tensor parameter;
    size_t bucket = 0;
    int64_t place = 0;  // of its first element in the bucket
    int64_t flag = 0;   // where the bucket says whether any rank has used it
    Tensor view;        // of the bucket, in the parameter's shape
    Tensor before;      // the gradient that earlier backwards have left
    bool arrived = false;
    // Pairwise, between exchanges:
    Tensor now;                   // the gradient of the backward that runs
    std::vector<Tensor> waiting;  // [d]: the sum of 2^d such, whose neighbours are to come
    Tensor base;                  // the gradient that was there before them
    Stamp shown;                  // of grad(), which is all of it; another one: the user has changed it
    bool fits(const Tensor& leaf) const { return view.dtype() == leaf.dtype() && view.device() == leaf.device(); }
    bool accumulates() const {
      return std::any_of(waiting.begin(), waiting.end(), [](const Tensor& w) { return w.defined(); });
    }
    /// With what waits, the newest first: pairs are added as ranks are.
    Tensor sum_with(Tensor g) const {
      for (const Tensor& w : waiting)
        if (w.defined()) g = g.defined() ? w + g : w;
      return g;
    }
  };

  /// Gradients of some parameters, one after the other; behind them a number for each that is not 0 where it was used.
  struct Bucket {
    std::vector<size_t> entries;
    Tensor memory;
    size_t arrived = 0;
    std::shared_ptr<comm::Work> work;
  };

  State(const nn::Module& m, const DistributedOptions& o) : model(m), options(o) {}

  void begin() override {
    WEFT_CHECK(
        !busy.exchange(true), NotSupported,
        "DistributedDataParallel: a backward began before another one of the same model had ended, inside of it or "
        "in another thread");
    active = sync;
    group.set_timeout(options.group.timeout());  // of the user's group, as it is now
    bool any = false;
    for (Entry& e : entries) {
      if (!e.accumulates()) continue;
      const Tensor g = e.parameter.grad();
      if (g.defined() && Stamp(g) == e.shown) any = true;
      else e.waiting.clear(), e.base = Tensor();  // zero_grad, or a gradient of the user's
    }
    if (!any) backwards = 0;
  }
  Tensor place(const Tensor& leaf) override {
    const auto at = places.find(leaf.impl());
    if (!active || at == places.end()) return {};
    const Entry& e = entries[at->second];
    const bool alone = !e.parameter.grad().defined() && e.waiting.empty();
    return alone && e.fits(leaf) ? e.view.detach() : Tensor();
  }
  bool take(const Tensor& leaf, const Tensor& g) override {
    if (!active && !options.pairwise_accumulation) return false;
    WEFT_CHECK(!grad_enabled(), NotSupported,
               "DistributedDataParallel: gradients of gradients do not go round; take grad() and all_reduce");
    const auto at = places.find(leaf.impl());
    if (at == places.end()) return false;
    Entry& e = entries[at->second];
    WEFT_CHECK(e.fits(leaf), Error, "DistributedDataParallel: ", e.name, " was ", e.view.dtype(), " on ",
               e.view.device(), " when the model was wrapped and is ", leaf.dtype(), " on ", leaf.device(),
               " now; move the model first, then wrap it");
    if (!active) {
      e.now = g.clone();
      return true;
    }
    collect(e, g);
    if (first) order.push_back(at->second);
    ++buckets[e.bucket].arrived;
    send_full(false);
    return true;
  }

  void finish(bool failed) override {
    struct Ended {
      std::atomic<bool>& busy;
      ~Ended() { busy = false; }
    } ended{busy};
    if (!active) {
      if (options.pairwise_accumulation) join_pairs(failed);
      return;
    }
    std::exception_ptr error;
    const auto attempt = [&](const auto& f) {
      try {
        f();
      } catch (...) {
        if (!error) error = std::current_exception();
      }
    };
    if (!failed) attempt([&] { send_full(true); });
    for (Bucket& b : buckets)  // all of them: their memory is the group's until then
      if (b.work) attempt([&] { b.work->wait(); });
    if (!failed && !error) attempt([&] { give_back(); });
    if (failed || error) restore();
    else reset();
    if (error && !failed) std::rethrow_exception(error);  // else the error of the backward itself goes on
    if (!failed && first) rebuild();
  }
  /// Gradients as they were before this backward.
  void restore() {
    for (Entry& e : entries)
      if (e.before.defined() && e.parameter.grad().defined() && e.parameter.grad().raw_data() == e.view.raw_data())
        e.view.copy_(e.before);
    reset();
    if (first) order.clear();
  }

  /// Into the bucket: this backward's gradient, and what earlier ones have left.
  void collect(Entry& e, const Tensor& g) {
    e.arrived = true;
    const Tensor sum = e.sum_with(g), base = e.accumulates() ? e.base : e.parameter.grad();
    keep(e, base);
    if (base.defined()) e.view.add_(sum);
    else if (sum.raw_data() != e.view.raw_data()) e.view.copy_(sum);  // else it was made there
  }
  /// Pairwise, after a backward that is not exchanged: the number of those so far says which sums have found their
  /// neighbour.
  void join_pairs(bool failed) {
    const NoGrad off;
    for (Entry& e : entries) {
      Tensor sum = std::exchange(e.now, Tensor());
      if (failed) continue;
      if (const Tensor g = e.parameter.grad(); !e.accumulates() && g.defined())
        e.base = g.clone();  // of the bucket, maybe
      size_t depth = 0;
      for (; backwards >> depth & 1; ++depth) {
        if (e.waiting.size() <= depth) continue;
        if (const Tensor w = std::exchange(e.waiting[depth], Tensor()); w.defined()) sum = sum.defined() ? w + sum : w;
      }
      if (e.waiting.size() <= depth) e.waiting.resize(depth + 1);
      e.waiting[depth] = sum;
      if (!e.accumulates()) continue;
      const Tensor all = e.sum_with({});
      e.parameter.set_grad(e.base.defined() ? e.base + all : all.clone());
      e.shown = Stamp(e.parameter.grad());
    }
    if (!failed) ++backwards;
  }
  /// The gradient is kept apart until the ranks' mean is there; `base`, what counts of it, goes into the bucket.
  void keep(Entry& e, const Tensor& base) {
    const auto is_view = [&](const Tensor& t) { return t.raw_data() == e.view.raw_data(); };
    if (const Tensor before = e.parameter.grad(); before.defined())
      e.before = is_view(before) ? before.clone() : before;
    if (base.defined() && !is_view(base)) e.view.copy_(base);
  }
  /// Starts the full buckets, in their order, which is the same on every rank. `all`: the rest too, whose parameters
  /// this rank has not used.
  void send_full(bool all) {
    for (; next < buckets.size(); ++next) {
      Bucket& b = buckets[next];
      if (!all && b.arrived < b.entries.size()) return;
      for (const size_t i : b.entries) {
        Entry& e = entries[i];
        if (!e.arrived && e.accumulates()) collect(e, Tensor());
        b.memory.narrow(0, e.flag, 1).fill_(e.arrived ? 1 : 0);
        if (e.arrived) continue;
        keep(e, e.parameter.grad());
        if (!e.before.defined()) e.view.zero_();
      }
      if (group.reaches(b.memory.device().type)) b.work = group.start_all_reduce_(b.memory, ReduceOp::mean);
      else group.all_reduce_(b.memory, ReduceOp::mean);
    }
  }
  void give_back() {
    for (Bucket& b : buckets) {
      const std::vector<double> used = b.memory
                                           .narrow(0, b.memory.numel() - static_cast<int64_t>(b.entries.size()),
                                                   static_cast<int64_t>(b.entries.size()))
                                           .to_vector<double>();
      for (size_t i = 0; i < b.entries.size(); ++i)
        if (Entry& e = entries[b.entries[i]]; used[i] != 0) e.parameter.set_grad(e.view);
        else if (e.before.defined()) e.view.copy_(e.before);
    }
    for (Entry& e : entries) e.waiting.clear(), e.base = Tensor();
    backwards = 0;
  }
  void reset() {
    for (Bucket& b : buckets) b.arrived = 0, b.work = nullptr;
    for (Entry& e : entries) e.arrived = false, e.before = Tensor();
    next = 0;
  }

  /// Buckets in the order in which rank 0's gradients came, those that it did not meet behind.
  void rebuild() {
    std::vector<bool> met(entries.size());
    for (const size_t i : order) met[i] = true;
    for (size_t i = entries.size(); i-- > 0;)
      if (!met[i]) order.push_back(i);
    std::vector<int64_t> numbers(order.begin(), order.end());
    Tensor of_root = tensor(numbers);
    group.broadcast_(of_root);
    numbers = of_root.to_vector<int64_t>();
    order.assign(numbers.begin(), numbers.end());
    first = false;
    fill_buckets();
    for (Entry& e : entries)
      if (const Tensor g = e.parameter.grad(); g.defined()) {
        e.view.copy_(g);
        e.parameter.set_grad(e.view);
      }
  }
  void fill_buckets() {
    buckets.clear();
    const auto size_of = [&](size_t i) {
      const Tensor& p = entries[i].parameter;
      return static_cast<double>(p.numel()) * static_cast<double>(itemsize(p.dtype()));
    };
    // What goes round last is waited for: little.
    size_t tail = order.size();
    for (double rest = 0; tail > 0 && (rest += size_of(order[tail - 1])) <= std::min(1.0, options.bucket_mb) * kMiB;)
      --tail;
    double bytes = 0;
    const Entry* last = nullptr;
    for (size_t k = 0; k < order.size(); ++k) {
      const size_t i = order[k];
      Entry& e = entries[i];
      const double size = size_of(i);
      const double most = buckets.size() <= 1 ? std::min(1.0, options.bucket_mb) * kMiB : options.bucket_mb * kMiB;
      const bool fits = last && k != tail && last->parameter.dtype() == e.parameter.dtype() &&
                        last->parameter.device() == e.parameter.device() && bytes + size <= most;
      if (!fits) buckets.emplace_back(), bytes = 0;
      buckets.back().entries.push_back(i);
      e.bucket = buckets.size() - 1;
      bytes += size;
      last = &e;
    }
    const NoGrad off;
    for (Bucket& b : buckets) {
      int64_t n = 0;
      for (const size_t i : b.entries) {
        entries[i].place = n;
        n += entries[i].parameter.numel();
      }
      const Tensor& like = entries[b.entries[0]].parameter;
      b.memory = zeros({n + static_cast<int64_t>(b.entries.size())}, {like.dtype(), like.device()});
      for (const size_t i : b.entries) {
        Entry& e = entries[i];
        e.flag = n++;
        e.view = b.memory.narrow(0, e.place, e.parameter.numel()).reshape(e.parameter.shape());
      }
    }
    reset();
  }

  nn::Module model;
  DistributedOptions options;
  ProcessGroup group;  // of its own: the model's collectives have another order
  std::vector<Entry> entries;
  std::unordered_map<const TensorImpl*, size_t> places;
  std::vector<Bucket> buckets;
  std::vector<size_t> order;
  size_t next = 0;
  uint64_t backwards = 0;  // pairwise: since the last exchange
  bool sync = true, first = true;
  bool active = true;  // in this backward
  std::atomic<bool> busy = false;

  /// Parameters are no longer watched.
  void release() {
    for (const Entry& e : entries)
      if (auto& watch = detail::meta(e.parameter).watch; watch.get() == this) watch = nullptr;
  }
};

DistributedDataParallel::DistributedDataParallel(const nn::Module& model, DistributedOptions o)
    : state_(std::make_shared<State>(model, o)) {
  WEFT_CHECK(o.bucket_mb > 0, ValueError, "DistributedDataParallel: bucket_mb must be positive, got ", o.bucket_mb);
  State& s = *state_;
  check_same(o.group, "parameters", model.named_parameters());
  check_same(o.group, "buffers", model.named_buffers());
  s.group = o.group.split(0, o.group.rank());
  s.group.set_timeout(o.group.timeout());
  if (o.broadcast_start) {
    const NoGrad off;
    for (Tensor& p : model.parameters()) o.group.broadcast_(p);
    broadcast_buffers();
  }
  for (auto& [name, p] : model.named_parameters())
    if (p.requires_grad()) s.entries.push_back({.name = name, .parameter = p});
  WEFT_CHECK(!s.entries.empty(), ValueError, "DistributedDataParallel: the model has no parameter that requires grad");
  for (size_t i = 0; i < s.entries.size(); ++i) s.places[s.entries[i].parameter.impl()] = i;
  for (size_t i = s.entries.size(); i-- > 0;) s.order.push_back(i);  // gradients come from the end
  s.fill_buckets();
  s.order.clear();
  for (const State::Entry& e : s.entries)
    WEFT_CHECK(!detail::meta(e.parameter).watch, ValueError, "DistributedDataParallel: ", e.name,
               " is in another one already");
  for (const State::Entry& e : s.entries) detail::meta(e.parameter).watch = state_;
}

DistributedDataParallel::DistributedDataParallel(DistributedDataParallel&&) noexcept = default;
DistributedDataParallel& DistributedDataParallel::operator=(DistributedDataParallel&& o) noexcept {
  if (this == &o) return *this;
  const std::shared_ptr<State> old = std::exchange(state_, std::move(o.state_));
  if (old) old->release();
  return *this;
}
DistributedDataParallel::~DistributedDataParallel() {
  if (state_) state_->release();
}

DistributedDataParallel::NoSync::NoSync(bool& sync) : sync_(sync), before_(sync) { sync_ = false; }
DistributedDataParallel::NoSync::~NoSync() { sync_ = before_; }
DistributedDataParallel::NoSync DistributedDataParallel::no_sync() { return NoSync(state_->sync); }

void DistributedDataParallel::broadcast_buffers(int root) const {
  const NoGrad off;
  for (Tensor& b : state_->model.buffers()) state_->options.group.broadcast_(b, root);
}

std::vector<std::vector<std::string>> DistributedDataParallel::buckets() const {
  std::vector<std::vector<std::string>> names;
  for (const State::Bucket& b : state_->buckets) {
    names.emplace_back();
    for (const size_t i : b.entries) names.back().push_back(state_->entries[i].name);
  }
  return names;
}

int64_t convert_sync_batchnorm(const nn::Module& model, const ProcessGroup& group) {
  int64_t n = 0;
  const auto give = [&]<class Norm>(const std::vector<Norm>& norms) {
    for (const Norm& norm : norms) norm.options->group = group, ++n;
  };
  give(model.modules<nn::BatchNorm1d>());
  give(model.modules<nn::BatchNorm2d>());
  give(model.modules<nn::BatchNorm3d>());
  give(model.modules<nn::SyncBatchNorm>());
  return n;
}

}  // namespace weft::training
