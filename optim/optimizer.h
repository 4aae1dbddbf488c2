// What all optimisers share: parameter groups with complete options, per-parameter state, saving, and the table of the
// multi-tensor step. An optimiser takes tensors and never modules.
#pragma once

#include <array>
#include <concepts>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "weft/autograd/grad_mode.h"
#include "weft/core/alive.h"
#include "weft/core/choice.h"
#include "weft/core/kernels.h"
#include "weft/core/stamp.h"
#include "weft/core/state_dict.h"
#include "weft/optim/param_list.h"
#include "weft/optim/state.h"

namespace weft::optim {

/// Parameters with options of their own: every option is there, none is inherited.
template <class Options> struct ParamGroup {
  ParamList params;      ///< the tensors
  Options options = {};  ///< for all of them
};

/// Parameters to add to an optimiser: `{head.parameters()}` gets the options that the optimiser was made with, `{{w},
/// {.lr = 0.1}}` has its own.
template <class Options> class NewGroup {
 public:
  NewGroup(ParamList params) : params_(std::move(params)) {}
  NewGroup(ParamList params, Options o) : params_(std::move(params)), options_(std::move(o)) {}
  template <std::same_as<ParamGroup<Options>> G>
  NewGroup(G g) : params_(std::move(g.params)), options_(std::move(g.options)) {}
  /// The group, with `defaults` where it has no options.
  ParamGroup<Options> with(const Options& defaults) && {
    return {std::move(params_), options_ ? *std::move(options_) : defaults};
  }

 private:
  ParamList params_;
  std::optional<Options> options_;
};

/// A number, and not `{}`, which stands for options.
template <class T>
concept LearningRate = std::is_arithmetic_v<T>;

/// Names of a parameter's state tensors; null: not used.
using StateNames = std::array<const char*, 3>;

/// Base of all optimisers. A parameter without a gradient is skipped, and its state with it. Halves (f16, bf16) are
/// stepped in an f32 master copy, so that small steps are not lost. An optimiser may have no parameters, or none yet.
class WEFT_API Optimizer {
 public:
  /// Orders tensors by identity, not by their values.
  struct ByIdentity {
    /// By the address of the impl.
    bool operator()(const Tensor& a, const Tensor& b) const { return std::less<>()(a.impl(), b.impl()); }
  };
  /// State tensors by name, of each parameter that has been stepped.
  using State = std::map<Tensor, std::map<std::string, Tensor>, ByIdentity>;
  virtual ~Optimizer();
  Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;
  /// Changes the parameters by their gradients.
  virtual void step() = 0;
  /// Calls `closure`, which computes the loss and its gradients, steps, and returns the loss.
  virtual Tensor step(const std::function<Tensor()>& closure);
  /// Forgets the gradients, or zeroes them where they are.
  void zero_grad(Only<bool> set_to_none = true);

  /// All parameters, group by group.
  std::vector<Tensor> parameters() const;

  // What schedules change
  /// Number of parameter groups.
  virtual int64_t num_groups() const = 0;
  /// The learning rate of a group. ValueError for a group that is not there.
  virtual double lr(int64_t group = 0) const = 0;
  /// Sets the learning rate of a group.
  virtual void set_lr(double lr, int64_t group) = 0;
  /// Momentum, or Adam's beta1. NotSupported where there is none.
  virtual double momentum(int64_t group = 0) const;
  /// Sets it. NotSupported where there is none.
  virtual void set_momentum(double momentum, int64_t group);
  /// The group's rate when its first schedule was made; the present rate where there is no schedule.
  double initial_lr(int64_t group) const;
  /// Called by schedules: keeps the present rates as the initial ones, unless there are some.
  void keep_initial_lr();

  /// What the optimiser keeps of its parameters, by PyTorch's names: `opt.state().at(p).at("exp_avg")`. "step" is a
  /// copy, the others are the optimiser's own tensors; "master" is the f32 copy of a half.
  State state() const;

  /// Is told of each step: what may hide gradients before it, and exchange parameters after it.
  class WEFT_API StepHook {
   public:
    virtual ~StepHook();
    virtual void before() = 0;
    /// `failed`: by an exception, which goes on after this, and none may come of it.
    virtual void after(bool failed) = 0;
    /// What others must save instead of the optimiser's state, which is a part only; "" where it is all.
    virtual const char* saved_by() const { return ""; }
  };
  /// One at a time; null takes it away. Of no effect in L-BFGS.
  void set_step_hook(std::shared_ptr<StepHook> hook) { hook_ = std::move(hook); }
  bool has_step_hook() const { return hook_ != nullptr; }

  /// `state.PARAMETER.NAME` (names as PyTorch has them; parameters count through the groups), options as metadata
  /// `group.GROUP.OPTION`. NotSupported while ZeroRedundancy keeps other shares elsewhere: its own has all.
  StateDict state_dict() const;
  /// One ValueError for all that is missing, unexpected, misshapen or no valid option, by name; nothing is changed
  /// then.
  void load_state_dict(const StateDict& dict);

 protected:
  /// A parameter and its state. `state` and `master` are in the compute dtype and in the parameter's order of elements.
  struct Slot {
    Tensor param;                 ///< the parameter
    int32_t group = 0;            ///< its group
    int64_t step = 0;             ///< steps that changed it
    std::array<Tensor, 3> state;  ///< undefined where not used, or before the first step
    Tensor master;                ///< f32 copy of a half
    Stamp seen;                   // of the parameter that the master was made from
  };
  std::vector<Slot> slots_;

  /// Makes slots for them. ValueError for a tensor that is undefined, no leaf, or there already; DtypeError for
  /// integers.
  void add_params(const std::vector<Tensor>& params, int32_t group);
  /// Of Slot::state.
  virtual StateNames state_names() const = 0;
  /// Gets an option's name and value.
  using Visit = std::function<void(const char* name, double& number)>;
  /// Calls f for every option of the group, which f may change; returns what puts the changes in place. ValueError for
  /// values that the optimiser does not take.
  virtual std::function<void()> visit_options(int64_t group, const Visit& f) = 0;
  /// Calls f for every option of the group, without a change.
  virtual void read_options(int64_t group, const Visit& f) const = 0;
  /// Other state that has to survive; loading returns what puts it in place.
  virtual void save_extra(StateDict&) const {}
  virtual std::function<void()> load_extra(StateReader&) {
    return [] {};
  }

  /// What one functor does in a step: F for the parameters with a gradient in groups for which `uses(group)` holds;
  /// hypers: one per group. `fill(slot, scale, fresh)` sets the entry's scale after the slot's step count was raised;
  /// `fresh`: its state arrays were just made, filled with `initial(group)`.
  template <class F, class Uses, class Fill, class Initial> struct Part {
    std::vector<F> hypers;              ///< one per group
    Uses uses;                          ///< does the part step that group?
    Fill fill;                          ///< the entry's scale
    Initial initial;                    ///< of new state
    mutable size_t begin = 0, end = 0;  // of the table
  };
  template <class F, class Uses, class Fill, class Initial>
  static Part<F, Uses, Fill, Initial> part(std::vector<F> hypers, Uses uses, Fill fill, Initial initial) {
    static_assert(std::is_trivially_copyable_v<F>);
    return {std::move(hypers), std::move(uses), std::move(fill), std::move(initial)};
  }
  /// One step, whole or not at all: all that may fail for want of memory is done for every part before the first
  /// change.
  template <class... Parts> void run(const Parts&... parts) {
    if (deferred()) return;
    NoGrad guard;
    struct Told {
      std::shared_ptr<StepHook> hook;
      ~Told() {
        if (hook) hook->after(true);
      }
    } told{hook_};
    if (told.hook) told.hook->before();
    begin();
    try {
      (prepare_part(parts), ...);
    } catch (...) {
      forget();
      throw;
    }
    if (!table_.empty()) {
      commit();
      (run_part(parts), ...);
    }
    forget();
    if (const auto hook = std::move(told.hook)) hook->after(false);
  }

 private:
  /// An entry of the table before it takes effect.
  struct Pending {
    Slot* slot;
    std::array<Tensor, 3> state;
    Tensor master;
    unsigned states;
    bool fresh;
    Device device;
  };
  using StepKernel = void (*)(Device, std::span<const fn::StepEntry>, const void*);
  template <class F, class... A> void prepare_part(const Part<F, A...>& p) {
    p.begin = table_.size();
    for (Slot& s : slots_)
      if (p.uses(s.group)) prepare(s, F::states, p.initial(s.group));
    p.end = table_.size();
  }
  template <class F, class... A> void run_part(const Part<F, A...>& p) {
    for (size_t i = p.begin; i < p.end; ++i) p.fill(*pending_[i].slot, table_[i].scale, pending_[i].fresh);
    launch(p.begin, p.end, p.hypers.data(), [](Device d, std::span<const fn::StepEntry> table, const void* h) {
      kernels::optim_step.of<F>()(d, table, h);
    });
  }
  /// Calls f for what the slot keeps, in the order in which it is saved.
  void visit_state(const Slot& s, const std::function<void(const char* name, const Tensor&)>& f) const;
  bool deferred();
  void begin();
  /// Appends the slot's entry if it has a gradient.
  void prepare(Slot& s, unsigned states, double initial);
  void commit();
  void launch(size_t begin, size_t end, const void* hypers, StepKernel kernel);
  void forget();

  std::shared_ptr<StepHook> hook_;
  std::vector<std::optional<double>> initial_lr_;  // by group
  std::vector<fn::StepEntry> table_;
  weft::detail::Alive alive_;
  std::vector<Pending> pending_;   // beside the table
  std::vector<Tensor> converted_;  // gradients that had another layout than their parameter
};

/// An optimiser whose groups carry `Options`: an aggregate with `lr`, a `name`, `state_names`, a static `visit(options,
/// f)`, and, where they say more than "not negative", `check()` and `any_sign(name of an option)`. `momentum` or
/// `betas` among the options is what schedules cycle.
template <class Options> class WEFT_API OptimizerOf : public Optimizer {
 public:
  /// A group of this optimiser.
  using Group = ParamGroup<Options>;
  /// One group of all `params`. ValueError for options out of range.
  explicit OptimizerOf(ParamList params, Options o = {}) : defaults_(o) {
    put_group({std::move(params), std::move(o)});
  }
  /// PyTorch's short form: `Adam(params, 1e-3)`.
  OptimizerOf(ParamList params, LearningRate auto lr) : OptimizerOf(std::move(params), with_lr(lr)) {}
  /// Several groups, each with its own options.
  explicit OptimizerOf(std::vector<Group> groups) { add_groups(std::move(groups)); }
  /// Several groups, with `defaults` where they have no options: `SGD({{body}, {head, {.lr = 1e-3}}}, {.lr = 1e-2})`.
  OptimizerOf(std::vector<NewGroup<Options>> groups, Options defaults) : defaults_(defaults) {
    std::vector<Group> all;
    for (NewGroup<Options>& g : groups) all.push_back(std::move(g).with(defaults));
    add_groups(std::move(all));
  }
  using Optimizer::step;

  /// The options that the optimiser was made with; of one that was made with groups, the options' initial values.
  const Options& defaults() const { return defaults_; }
  /// The groups, to read.
  const std::vector<Group>& groups() const { return groups_; }
  /// The groups, to change their options: `for (auto& g : opt.param_groups()) g.options.lr /= 10;`
  std::span<Group> param_groups() { return groups_; }
  std::span<const Group> param_groups() const { return groups_; }
  /// The options of a group, to read or change. ValueError for a group that is not there.
  Options& options(int64_t group = 0) {
    WEFT_CHECK(group >= 0 && group < num_groups(), ValueError, Options::name, ": group ", group, " of ", num_groups());
    return groups_[static_cast<size_t>(group)].options;
  }
  const Options& options(int64_t group = 0) const { return const_cast<OptimizerOf*>(this)->options(group); }
  /// Adds parameters later (unfreezing a trunk): `opt.add_group({head.parameters()})`. ValueError for options out of
  /// range, and for a parameter that is there already.
  void add_group(NewGroup<Options> g) { put_group(std::move(g).with(defaults_)); }
  /// add_group with PyTorch's name.
  void add_param_group(NewGroup<Options> g) { add_group(std::move(g)); }
  /// As Optimizer's.
  int64_t num_groups() const override { return static_cast<int64_t>(groups_.size()); }
  double lr(int64_t group = 0) const override { return options(group).lr; }
  void set_lr(double lr, int64_t group) override { options(group).lr = lr; }
  double momentum(int64_t group = 0) const override {
    return has_momentum ? momentum_of(const_cast<Options&>(options(group))) : Optimizer::momentum(group);
  }
  void set_momentum(double m, int64_t group) override {
    if constexpr (has_momentum) momentum_of(options(group)) = m;
    else Optimizer::set_momentum(m, group);
  }

 protected:
  void put_group(Group g) {
    check(g.options);
    add_params(g.params, static_cast<int32_t>(groups_.size()));
    groups_.push_back(std::move(g));
  }
  /// All of them, or none where one is refused.
  void add_groups(std::vector<Group> groups) {
    const size_t params = slots_.size(), before = groups_.size();
    try {
      for (Group& g : groups) put_group(std::move(g));
    } catch (...) {
      slots_.resize(params);
      groups_.resize(before);
      throw;
    }
  }
  /// What Optimizer asks of its classes, by the options' own members.
  StateNames state_names() const override { return Options::state_names; }
  void read_options(int64_t group, const Visit& f) const override {
    Options copy = options(group);
    visit(copy, f);
  }
  std::function<void()> visit_options(int64_t group, const Visit& f) override {
    Options copy = options(group);
    visit(copy, f);
    check(copy);
    return [this, group, copy] { options(group) = copy; };
  }
  /// One functor per group.
  template <class F, class Make> std::vector<F> hypers(const Make& make) const {
    std::vector<F> out;
    for (const Group& g : groups_) out.push_back(make(g.options));
    return out;
  }
  static Options with_lr(double lr) {
    Options o;
    o.lr = lr;
    return o;
  }
  std::vector<Group> groups_;

 private:
  Options defaults_;
  static constexpr bool has_betas = requires(Options o) { o.betas; };
  static constexpr bool has_momentum = has_betas || requires(Options o) { o.momentum; };
  static double& momentum_of(Options& o) {
    if constexpr (has_betas) return o.betas[0];
    else if constexpr (has_momentum) return o.momentum;
    else return o.lr;  // never asked for
  }
  static void check(Options o) {
    visit(o, [](const char* name, double& x) {
      bool any_sign = false;
      if constexpr (requires { Options::any_sign(name); }) any_sign = Options::any_sign(name);
      WEFT_CHECK(x >= 0 || (any_sign && x < 0), ValueError, Options::name, ": invalid ", name, " ", x);
    });
    if constexpr (requires { o.check(); }) o.check();
  }
  template <class T> static double number_of(const T& value) { return static_cast<double>(value); }
  template <class E> static double number_of(const Choice<E>& value) {
    return static_cast<double>(static_cast<E>(value));
  }
  template <class T> static void set_number(T& value, int64_t number) { value = static_cast<T>(number); }
  /// A mode that is not there leaves the value as it is.
  template <class E> static void set_number(Choice<E>& value, int64_t number) {
    if (number >= 0 && static_cast<size_t>(number) < mode_words(E{}).list.size()) value = static_cast<E>(number);
  }
  static void visit(Options& o, const Visit& f) {
    Options::visit(o, [&](const char* name, auto& value) {
      using T = std::remove_reference_t<decltype(value)>;
      double number = number_of(value);
      f(name, number);
      if constexpr (std::is_same_v<T, double>) {
        value = number;
      } else {
        // Counts, switches and modes hold whole numbers.
        const bool whole = number > -1e15 && number < 1e15;
        T converted = value;
        if (whole) set_number(converted, static_cast<int64_t>(number));
        WEFT_CHECK(whole && number_of(converted) == number, ValueError, Options::name, ": invalid ", name, " ", number);
        value = converted;
      }
    });
  }
};

}  // namespace weft::optim
