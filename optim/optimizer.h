// What all optimisers share: parameter groups with complete options, per-parameter state, saving, and the table of the
// multi-tensor step. An optimiser takes tensors and never modules.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <type_traits>
#include <vector>

#include "weft/autograd/grad_mode.h"
#include "weft/core/kernels.h"
#include "weft/core/state_dict.h"

namespace weft::optim {

/// Parameters with options of their own: every option is there, none is inherited.
template <class Options> struct ParamGroup {
  std::vector<Tensor> params;
  Options options = {};
};

/// Base of all optimisers. A parameter without a gradient is skipped, and its state with it. Halves (f16, bf16) are
/// stepped in an f32 master copy, so that small steps are not lost.
class WEFT_API Optimizer {
 public:
  virtual ~Optimizer();
  Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  /// Changes the parameters by their gradients.
  virtual void step() = 0;
  /// Calls `closure`, which computes the loss and its gradients, steps, and returns the loss.
  virtual Tensor step(const std::function<Tensor()>& closure);
  /// Forgets the gradients, or zeroes them where they are.
  void zero_grad(bool set_to_none = true);

  // What schedules change
  virtual int64_t num_groups() const = 0;
  virtual double lr(int64_t group = 0) const = 0;
  virtual void set_lr(double lr, int64_t group) = 0;
  /// Momentum, or Adam's beta1. NotSupported where there is none.
  virtual double momentum(int64_t group = 0) const;
  virtual void set_momentum(double momentum, int64_t group);

  /// `state.PARAMETER.NAME` (names as PyTorch has them; parameters count through the groups), options as metadata
  /// `group.GROUP.OPTION`.
  StateDict state_dict() const;
  /// Error: another number of groups or parameters, or state of another shape; nothing is changed then.
  void load_state_dict(const StateDict& dict);

 protected:
  /// A parameter and its state. `state` and `master` are in the compute dtype and in the parameter's order of elements.
  struct Slot {
    Tensor param;
    int32_t group = 0;
    int64_t step = 0;
    std::array<Tensor, 3> state;
    Tensor master;
    uint64_t seen = 0;  // storage and version of the parameter that the master was made from
    uint32_t seen_version = 0;
  };
  std::vector<Slot> slots_;

  void add_params(const std::vector<Tensor>& params, int32_t group);
  /// Names of state[0..2]; null: not used by this optimiser.
  virtual std::array<const char*, 3> state_names() const = 0;
  using Visit = std::function<void(const char* name, double& number)>;
  /// Calls f for every option of the group; changes are kept by `write_options`.
  virtual void read_options(int64_t group, const Visit& f) const = 0;
  virtual void write_options(int64_t group, const Visit& f) = 0;
  /// Other text that has to survive, by key.
  virtual void save_extra(StateDict&) const {}
  virtual void load_extra(const StateDict&) {}

  /// One step of functor F for the parameters with a gradient in groups for which `uses(group)` holds; hypers: one per
  /// group. `fill(slot, scale, fresh)` sets the entry's scale after the slot's step count was raised; `fresh`: its state
  /// arrays were just made, filled with `initial(group)`.
  template <class F, class Uses, class Fill, class Initial>
  void run(const std::vector<F>& hypers, const Uses& uses, const Fill& fill, const Initial& initial) {
    static_assert(std::is_trivially_copyable_v<F>);
    NoGrad guard;
    begin();
    for (Slot& s : slots_)
      if (uses(s.group)) prepare(s, F::states, initial(s.group));
    if (table_.empty()) return;
    for (size_t i = 0; i < table_.size(); ++i) {
      ++pending_[i].slot->step;
      fill(*pending_[i].slot, table_[i].scale, pending_[i].fresh);
    }
    launch(hypers.data(), [](Device d, std::span<const fn::StepEntry> table, const void* h) {
      kernels::optim_step.of<F>()(d, table, h);
    });
  }

 private:
  struct Pending {
    Slot* slot;
    bool fresh;
    Device device;
  };
  void begin();
  /// Appends the slot's entry if it has a gradient.
  void prepare(Slot& s, unsigned states, double initial);
  void launch(const void* hypers, void (*kernel)(Device, std::span<const fn::StepEntry>, const void*));

  std::vector<fn::StepEntry> table_;
  std::vector<Pending> pending_;   // beside the table
  std::vector<Tensor> converted_;  // gradients that had another layout than their parameter
};

/// An optimiser whose groups carry `Options`, an aggregate with a static `visit(options, f)`.
template <class Options> class OptimizerOf : public Optimizer {
 public:
  using Group = ParamGroup<Options>;
  explicit OptimizerOf(std::vector<Group> groups) : groups_(std::move(groups)) {
    for (size_t g = 0; g < groups_.size(); ++g) {
      groups_[g].options.check();
      add_params(groups_[g].params, static_cast<int32_t>(g));
    }
    WEFT_CHECK(!slots_.empty(), ValueError, Options::name, ": the list of parameters is empty");
  }
  using Optimizer::step;

  const std::vector<Group>& groups() const { return groups_; }
  Options& options(int64_t group = 0) {
    WEFT_CHECK(group >= 0 && group < num_groups(), ValueError, Options::name, ": group ", group, " of ", num_groups());
    return groups_[static_cast<size_t>(group)].options;
  }
  const Options& options(int64_t group = 0) const { return const_cast<OptimizerOf*>(this)->options(group); }
  /// Adds parameters later (unfreezing a trunk).
  void add_group(Group g) {
    g.options.check();
    add_params(g.params, static_cast<int32_t>(groups_.size()));
    groups_.push_back(std::move(g));
  }
  int64_t num_groups() const override { return static_cast<int64_t>(groups_.size()); }
  double lr(int64_t group = 0) const override { return options(group).lr; }
  void set_lr(double lr, int64_t group) override { options(group).lr = lr; }

 protected:
  void read_options(int64_t group, const Visit& f) const override {
    Options copy = options(group);
    visit(copy, f);
  }
  void write_options(int64_t group, const Visit& f) override { visit(options(group), f); }
  /// One functor per group.
  template <class F, class Make> std::vector<F> hypers(const Make& make) const {
    std::vector<F> out;
    for (const Group& g : groups_) out.push_back(make(g.options));
    return out;
  }
  std::vector<Group> groups_;

 private:
  static void visit(Options& o, const Visit& f) {
    Options::visit(o, [&](const char* name, auto& value) {
      double number = static_cast<double>(value);
      f(name, number);
      value = static_cast<std::remove_reference_t<decltype(value)>>(number);
    });
  }
};

}  // namespace weft::optim
