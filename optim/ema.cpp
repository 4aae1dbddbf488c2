#include "weft/optim/ema.h"

#include <algorithm>
#include <unordered_set>

#include "weft/autograd/grad_mode.h"
#include "weft/core/factory.h"
#include "weft/core/kernels.h"
#include "weft/core/recording.h"

namespace weft::optim {

namespace {

std::string key(size_t i) { return weft::str("average.", i); }

void check_decay(double decay) {
  WEFT_CHECK(decay >= 0 && decay <= 1, ValueError, "ExponentialMovingAverage: decay must be in [0, 1], got ", decay);
}

/// A dense copy with t's order of elements.
Tensor dense_copy(const Tensor& t, Dtype dtype) { return empty_like(t, dtype).copy_(t.detach()); }

}  // namespace

ExponentialMovingAverage::ExponentialMovingAverage(ParamList params, const EmaOptions& o, const ParamList& buffers)
    : o_(o) {
  check_decay(o.decay);
  params.insert(params.end(), buffers.begin(), buffers.end());
  std::unordered_set<TensorImpl*> seen;
  NoGrad guard;
  for (Tensor& t : params) {
    WEFT_CHECK(t.defined(), ValueError, "ExponentialMovingAverage: an undefined tensor among the parameters");
    WEFT_CHECK(seen.insert(t.impl()).second, ValueError, "ExponentialMovingAverage: a tensor ", t.shape(),
               " was given twice");
    WEFT_CHECK(t.is_dense(), ValueError, "ExponentialMovingAverage: a tensor ", t.shape(), " has gaps");
    Entry e{t, dense_copy(t, t.dtype()), {}};
    if (is_half(t.dtype())) e.master = dense_copy(t, Dtype::f32);
    entries_.push_back(std::move(e));
  }
}

ExponentialMovingAverage::~ExponentialMovingAverage() = default;

void ExponentialMovingAverage::check_idle(const char* what) const {
  WEFT_CHECK(!in_use_, Error, "ExponentialMovingAverage: ", what, " while the parameters hold the averages");
}

/// A model that was moved or cast takes its averages along.
void ExponentialMovingAverage::follow() {
  for (Entry& e : entries_) {
    const Dtype dtype = e.source.dtype();
    const Tensor exact = e.master.defined() ? e.master : e.average;
    e.average = detail::fitted(is_half(dtype) ? e.average : exact, e.source, dtype);
    e.master = is_half(dtype) ? detail::fitted(exact, e.source, Dtype::f32) : Tensor();
  }
}

void ExponentialMovingAverage::update() {
  check_idle("update");
  if (weft::detail::Recording* r = weft::detail::recording()) {
    std::vector<Tensor> sources, averages;
    for (const Entry& e : entries_) {
      sources.push_back(e.source);
      averages.insert(averages.end(), {e.average, e.master});
    }
    return r->defer(
        "update of averages", sources, averages, [this] { update(); },
        [there = alive_.watch()] { return !there.expired(); });
  }
  NoGrad guard;
  follow();
  const double t = static_cast<double>(updates_ + 1);
  const double decay = o_.warmup ? std::min(o_.decay, (1 + t) / (10 + t)) : o_.decay;
  std::vector<fn::StepEntry> table;
  std::vector<Device> devices;
  for (Entry& e : entries_) {
    if (!e.source.is_floating()) continue;
    fn::StepEntry s;
    s.param = e.average.mut_raw_data();
    s.grad = e.source.raw_data();
    s.master = e.master.defined() ? e.master.mut_raw_data() : s.param;
    s.numel = e.source.numel();
    s.scale[0] = 1 - decay;
    s.dtype = e.source.dtype();
    table.push_back(s);
    devices.push_back(e.source.device());
  }
  // nothing was changed so far
  for (Entry& e : entries_)
    if (!e.source.is_floating()) e.average.copy_(e.source);
  const fn::Ema functor;
  for (size_t begin = 0, end = 0; begin < table.size(); begin = end) {
    while (end < table.size() && devices[end] == devices[begin]) ++end;
    kernels::optim_step.of<fn::Ema>()(devices[begin], std::span(table).subspan(begin, end - begin), &functor);
  }
  ++updates_;
}

void ExponentialMovingAverage::swap() {
  for (Entry& e : entries_) e.source.swap_contents(e.average);
  in_use_ = !in_use_;
}

ExponentialMovingAverage::Scope ExponentialMovingAverage::average_parameters() {
  check_idle("average_parameters");
  {
    NoGrad guard;
    follow();
  }
  swap();
  return Scope(this);
}

ExponentialMovingAverage::Scope::~Scope() {
  if (ema_) ema_->swap();
}

void ExponentialMovingAverage::copy_to_parameters() {
  check_idle("copy_to_parameters");
  NoGrad guard;
  for (Entry& e : entries_) e.source.copy_(e.average);
}

StateDict ExponentialMovingAverage::state_dict() const {
  StateDict out;
  // While they are in use, the parameters hold them.
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    out.insert(key(i), e.master.defined() ? e.master : in_use_ ? e.source.detach() : e.average);
  }
  out.metadata = {{"updates", std::to_string(updates_)},
                  {"decay", number_text(o_.decay)},
                  {"warmup", o_.warmup ? "1" : "0"},
                  {"averages", std::to_string(entries_.size())}};
  return out;
}

void ExponentialMovingAverage::load_state_dict(const StateDict& dict) {
  check_idle("load_state_dict");
  NoGrad guard;
  StateReader in(dict, "the ExponentialMovingAverage");
  const int64_t updates = in.count("updates"), averages = in.count("averages");
  EmaOptions o{.decay = in.number("decay"), .warmup = in.count("warmup") != 0};
  if (!(o.decay >= 0 && o.decay <= 1)) in.fault(weft::str("decay is ", o.decay, ", not in [0, 1]"));
  if (averages != static_cast<int64_t>(entries_.size()))
    in.fault(weft::str("it has ", averages, " averages, expected ", entries_.size()));
  std::vector<Entry> loaded = entries_;
  for (size_t i = 0; i < loaded.size(); ++i) {
    Entry& e = loaded[i];
    const Dtype dtype = e.source.dtype();
    e.average = in.tensor(key(i), e.source, compute_dtype(dtype));
    if (!is_half(dtype) || !e.average.defined()) continue;
    e.master = e.average;
    e.average = dense_copy(e.master, dtype);
  }
  in.finish();
  entries_ = std::move(loaded);
  updates_ = updates;
  o_ = o;
}

}  // namespace weft::optim
