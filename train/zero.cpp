#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <sstream>

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/shape/shape.h"
#include "weft/core/factory.h"
#include "weft/io/safetensors.h"
#include "weft/optim/lbfgs.h"
#include "weft/train/distributed.h"

namespace weft::training {

struct ZeroRedundancy::State final : optim::Optimizer::StepHook {
  State(std::vector<Tensor> p, ProcessGroup g) : parameters(std::move(p)), group(std::move(g)) {
    double all = 0, before = 0;
    for (const Tensor& t : parameters) all += static_cast<double>(t.numel());
    for (const Tensor& t : parameters) {  // by the middle of each parameter
      const double middle = before + static_cast<double>(t.numel()) / 2;
      before += static_cast<double>(t.numel());
      owners.push_back(std::min(group.size() - 1, static_cast<int>(middle / std::max(all, 1.0) * group.size())));
    }
  }

  bool is_mine(size_t i) const { return owners[i] == group.rank(); }
  const char* saved_by() const override {
    return group.size() == 1 || opened ? "" : "ZeroRedundancy::state_dict(), which every rank calls";
  }
  /// This rank's share.
  StateDict share_of(const optim::Optimizer& opt) {
    opened = true;
    StateDict share = opt.state_dict();
    opened = false;
    return share;
  }

  void before() override {
    hidden.assign(parameters.size(), Tensor());
    for (size_t i = 0; i < parameters.size(); ++i)
      if (!is_mine(i)) {
        hidden[i] = parameters[i].grad();
        parameters[i].set_grad(Tensor());
      }
  }
  void after(bool failed) override {
    for (size_t i = 0; i < parameters.size(); ++i)
      if (hidden[i].defined()) parameters[i].set_grad(hidden[i]);
    hidden.clear();
    if (!failed) exchange();
  }
  /// Every rank's parameters from their owner, dtype by dtype.
  void exchange() {
    std::map<Dtype, std::vector<size_t>> of_dtype;
    for (size_t i = 0; i < parameters.size(); ++i) of_dtype[parameters[i].dtype()].push_back(i);
    for (const auto& [dtype, list] : of_dtype) {
      std::vector<Tensor> mine{empty({0}, {dtype, parameters[list[0]].device()})};
      for (const size_t i : list)
        if (is_mine(i)) mine.push_back(parameters[i].detach().reshape({-1}));
      const Tensor all = group.all_gather_cat(cat(mine));
      int64_t at = 0;  // owners rise with the parameters' numbers
      for (const size_t i : list) {
        const int64_t n = parameters[i].numel();
        if (!is_mine(i)) parameters[i].detach().copy_(all.narrow(0, at, n).reshape(parameters[i].shape()));
        at += n;
      }
    }
  }

  std::vector<Tensor> parameters;
  ProcessGroup group;
  std::vector<int> owners;
  std::vector<Tensor> hidden;  // gradients during a step
  bool opened = false;         // for share_of
};

namespace {
/// The parameter's number in "state.12.exp_avg" or "state.12"; -1 for other names.
int64_t number_of(const std::string& key) {
  constexpr std::string_view kState = "state.";
  if (key.compare(0, kState.size(), kState) != 0) return -1;
  return std::atoll(key.c_str() + kState.size());
}
}  // namespace

ZeroRedundancy::ZeroRedundancy(optim::Optimizer& opt, const ProcessGroup& group) : opt_(opt) {
  WEFT_CHECK(!dynamic_cast<optim::LBFGS*>(&opt), NotSupported,
             "ZeroRedundancy: L-BFGS keeps one state of all parameters together");
  WEFT_CHECK(!opt.has_step_hook(), ValueError, "ZeroRedundancy: the optimiser is in another one already");
  WEFT_CHECK(opt.state().empty(), ValueError,
             "ZeroRedundancy: the optimiser has stepped; make this before the first step, and load its state after");
  state_ = std::make_shared<State>(opt.parameters(), group);
  opt.set_step_hook(state_);
}
ZeroRedundancy::~ZeroRedundancy() { opt_.set_step_hook(nullptr); }

namespace {
constexpr const char *kShard = "zero_shard",  // metadata: "2 of 4"
    *kSaving = "zero_saving";                 // the same in all shards that were saved together
}

StateDict ZeroRedundancy::shard_state_dict() const {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  const std::string saving = state_->group.broadcast(str(now, ' ', getpid()));
  StateDict mine = state_->share_of(opt_);
  mine.metadata[kShard] = str(state_->group.rank(), " of ", state_->group.size());
  mine.metadata[kSaving] = saving;
  return mine;
}

StateDict ZeroRedundancy::merge(const std::vector<StateDict>& shards) {
  WEFT_CHECK(!shards.empty(), ValueError, "ZeroRedundancy::merge: no shards were given");
  StateDict whole;
  std::map<int64_t, std::vector<std::pair<std::string, Tensor>>> by_number;
  std::vector<bool> seen(shards.size());
  for (const StateDict& one : shards) {
    const auto mark = one.metadata.find(kShard);
    WEFT_CHECK(mark != one.metadata.end(), ValueError, "ZeroRedundancy::merge: a state has no mark of a shard in its ",
               "metadata; shard_state_dict makes them");
    size_t r = 0;
    while (r < seen.size() && mark->second != str(r, " of ", shards.size())) ++r;
    WEFT_CHECK(r < seen.size() && !seen[r], ValueError, "ZeroRedundancy::merge: ", shards.size(),
               " shards were given, ", r < seen.size() ? "twice " : "among them ", mark->second,
               "; give each shard of one state once");
    seen[r] = true;
    const auto saving = one.metadata.find(kSaving), first = shards[0].metadata.find(kSaving);
    WEFT_CHECK(saving != one.metadata.end() && first != shards[0].metadata.end() && saving->second == first->second,
               ValueError, "ZeroRedundancy::merge: shard ", mark->second, " was not saved together with the first one");
    for (const auto& [key, t] : one)
      if (number_of(key) >= 0) by_number[number_of(key)].emplace_back(key, t);
      else if (!whole.contains(key)) whole.insert(key, t);
    for (const auto& [key, text] : one.metadata)
      if (key != kShard && key != kSaving) whole.metadata[key] = text;
  }
  for (const auto& [number, entries] : by_number)
    for (const auto& [key, t] : entries) whole.insert(key, t);
  return whole;
}

StateDict ZeroRedundancy::state_dict() const {
  const NoGrad off;
  std::ostringstream bytes;
  io::save(shard_state_dict(), bytes);
  std::vector<StateDict> shards;
  for (const std::string& one : state_->group.all_gather(bytes.str())) {
    std::istringstream in(one);
    shards.push_back(io::load(in));
  }
  return merge(shards);
}

void ZeroRedundancy::load_state_dict(const StateDict& whole) {
  StateDict share;
  const auto is_mine = [&](const std::string& key) {
    const int64_t n = number_of(key);
    return n < 0 || n >= static_cast<int64_t>(state_->parameters.size()) || state_->is_mine(static_cast<size_t>(n));
  };
  for (const auto& [key, t] : whole)
    if (is_mine(key)) share.insert(key, t);
  for (const auto& [key, text] : whole.metadata)
    if (is_mine(key)) share.metadata[key] = text;
  // All ranks load, or none.
  StateDict before;
  {
    const NoGrad off;
    const StateDict now = state_->share_of(opt_);
    for (const auto& [key, t] : now) before.insert(key, t.clone());
    before.metadata = now.metadata;
  }
  std::string why;
  try {
    opt_.load_state_dict(share);
  } catch (const std::exception& e) { why = e.what(); }
  const std::vector<std::string> all = state_->group.all_gather(why);
  for (int r = 0; r < state_->group.size(); ++r) {
    const std::string& theirs = all[static_cast<size_t>(r)];
    if (theirs.empty()) continue;
    if (why.empty()) opt_.load_state_dict(before);
    raise<ValueError>("ZeroRedundancy: the share of rank ", r, " does not fit: ", theirs);
  }
}

const std::vector<int>& ZeroRedundancy::owners() const { return state_->owners; }

}  // namespace weft::training
