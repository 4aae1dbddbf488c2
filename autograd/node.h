// A recorded op and its edges, and what a tensor knows of autograd.
// Knows Tensor; knows no op.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "weft/core/mutex.h"
#include "weft/core/small_vec.h"
#include "weft/core/stamp.h"
#include "weft/core/tensor.h"

namespace weft {

class Node;
WEFT_API void destroy(Node* n);  // through a queue: graphs of any length are freed without recursion

/// Gradients for the inputs of a node, in their order; an undefined tensor means none.
using Grads = SmallVec<Tensor, 4>;

/// Where an input's gradient goes: output `index` of `node`. `dtype` and `shape_of` are checked on the way.
struct Edge {
  Ref<Node> node;            // null: the input needs no gradient
  uint32_t index = 0;        ///< which output of `node`
  Dtype dtype = Dtype::f32;  ///< of the gradient
};

/// Hook on one output of a node: sees the gradient before the node runs.
struct GradHook {
  int64_t handle;                             ///< what add and remove of hooks go by
  uint32_t index;                             ///< the output
  std::function<Tensor(const Tensor&)> call;  ///< gets the gradient; an undefined result leaves it
  bool last = false;                          // retain_grad's: stays behind all others
};

class BackwardCtx;

/// One recorded op.
class WEFT_API Node : public RefCounted {
 public:
  explicit Node(const char* name);
  virtual ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// The op's name, for errors.
  const char* name() const { return name_; }
  /// Grows with every node made: the engine runs nodes in falling order.
  uint64_t sequence() const { return sequence_; }
  /// A profiler's number of the module in whose call the node was made; 0: none.
  uint32_t module() const { return module_; }
  SmallVec<Edge, 3> edges;
  /// Computes the inputs' gradients. `ctx` gives the outputs' gradients and says what is wanted.
  virtual Grads backward(BackwardCtx& ctx) = 0;
  /// Frees what was saved. The engine calls it once, when nobody runs backward() of this node any more.
  virtual void release() = 0;
  /// Does it accumulate into a tensor instead of passing gradients on?
  virtual bool is_leaf() const { return false; }

  /// Before backward(): false if the saves are gone. Several threads may be inside at once.
  bool enter();
  /// After it; the last one that leaves frees the saves if one of them asked for that.
  void leave(bool done);

  /// An output, for zero gradients and checks.
  struct Output {
    Shape shape;
    Dtype dtype;
    Device device;
  };
  SmallVec<Output, 1> outputs;
  std::unique_ptr<std::vector<GradHook>> hooks;  ///< null: none

 protected:
  const char* name_;
  uint64_t sequence_;

 private:
  uint32_t module_ = 0;
  std::atomic<uint32_t> state_{0};  // twice the number of threads inside, plus 1 once the saves are to go
};

/// Is told of the gradients of some leaves while backward runs, to send them off before it ends. Runs of `grad` do not
/// tell it.
class WEFT_API LeafWatch {
 public:
  LeafWatch();
  virtual ~LeafWatch();
  LeafWatch(const LeafWatch&) = delete;
  LeafWatch& operator=(const LeafWatch&) = delete;
  /// A backward that leads to watched leaves begins. May throw.
  virtual void begin() = 0;
  /// Memory of the leaf's shape and dtype, contiguous, that its gradient may be written to; undefined: none. Asked for
  /// where the leaf gets one gradient in this backward.
  virtual Tensor place(const Tensor& /*leaf*/) { return {}; }
  /// The leaf's gradient of this backward is complete, the hooks have seen it. True: `finish` will accumulate it.
  virtual bool take(const Tensor& leaf, const Tensor& g) = 0;
  /// The backward has ended. `failed`: by an exception, which goes on after this.
  virtual void finish(bool failed) = 0;
  /// Is there any in this process?
  static bool any();
  /// Several end in the order of their making, which is the same on all ranks.
  const uint64_t number;
};

/// What a tensor knows of autograd. For a leaf it is itself the node that accumulates.
class WEFT_API AutogradMeta final : public Node {
 public:
  AutogradMeta();
  ~AutogradMeta() override;
  Grads backward(BackwardCtx&) override { return {}; }
  void release() override {}
  /// True while no op has made the tensor.
  bool is_leaf() const override { return !grad_node; }

  bool requires_grad = false;   ///< asked for by the user; of leaves
  uint32_t output_index = 0;    ///< which output of grad_node the tensor is
  Ref<Node> grad_node;          // null for a leaf
  Tensor grad;                  ///< what grad() gives; of leaves, and of others with retain_grad
  TensorImpl* owner = nullptr;  // null once the tensor is gone
  Mutex mutex;                  // leaves may be shared by graphs that run at once
  int64_t next_hook = 1;        ///< the handle that the next hook gets
  int64_t retain_hook = 0;      // handle of retain_grad's hook
  std::unique_ptr<std::vector<std::function<void(Tensor&)>>> post_hooks;  ///< run when the leaf's gradient is complete
  std::shared_ptr<LeafWatch> watch;                                       ///< null: none

  /// u-muP's tag of a parameter: survives copies of a module.
  struct ParamInfo {
    /// What kind of parameter it is.
    enum class MupType : uint8_t { none, weight, bias, norm, output } type = MupType::none;
    std::optional<int64_t> depth = std::nullopt;  ///< layers of the stack that it is in
  };
  std::unique_ptr<ParamInfo> param_info;

  /// The half-precision values that autocast made of a parameter. Made anew at the first use after it changed, dropped
  /// with it.
  struct Lowered {
    Stamp of;                ///< the contents that they were made of
    Dtype dtype{};           ///< to which
    void* stream = nullptr;  ///< where
    Tensor values;           ///< undefined after a first use in training: the parameter mostly changes before a second
    Stamp made;              ///< of the values, which a user of `autocast` may write to
  };
  std::unique_ptr<Lowered> lowered;  ///< guarded by the mutex
};

namespace detail {
WEFT_API AutogradMeta& meta(const Tensor& t);  ///< makes one if there is none
/// The edge that a gradient of t goes along; null node if t needs none.
WEFT_API Edge edge_to(const Tensor& t);
}  // namespace detail

}  // namespace weft
