// While a Recording lives, its thread's kernels are noted instead of run, as far as they depend on what changes from
// run to run; the rest runs at once. core/graph.h runs what was noted. Knows no single kernel.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "weft/core/generator.h"
#include "weft/core/profile.h"
#include "weft/core/tensor_ref.h"

namespace weft {

class KernelSlot;
struct ElementPlan;

namespace detail {

/// An argument of a call that points to memory. Changing what the pointers point to changes the call.
struct Operand {
  const void** data;  ///< the first element
  void** mut;         ///< the same, where it is written; null: only read
  Storage** storage;  ///< a TensorRef's; null for a bare pointer
};

/// One call of a slot, with arguments of its own.
class WEFT_API RecordedCall {
 public:
  RecordedCall(const KernelSlot* slot, Device device) : slot(slot), device(device) {}
  virtual ~RecordedCall() = default;
  virtual void run() const = 0;
  virtual std::unique_ptr<RecordedCall> clone() const = 0;
  /// Calls f for every operand that there is, always in the same order.
  virtual void operands(const std::function<void(const Operand&)>& f) = 0;
  /// An elementwise call's; null for others.
  virtual const ElementPlan* plan() const { return nullptr; }
  /// Where its random numbers begin; null: it draws none.
  virtual Generator::State* draw() { return nullptr; }
  /// For people.
  virtual const char* name() const;
  const KernelSlot* slot;  ///< null: no kernel
  Device device;
};

/// Memory that calls read and write.
struct Block {
  enum Kind {
    constant,   ///< the same in every run
    state,      ///< memory that stays, and changes: a step of training reads and writes it
    input,      ///< of the run
    temporary,  ///< of the run
    output,     ///< of the run, made for it
  };
  Kind kind = constant;
  Ref<Storage> keep;                 ///< a constant's, a state's
  bool external = false;             ///< was there before
  bool has_content = false;          ///< written by something that has run
  bool read = false;                 ///< by a recorded call
  bool written = false;              ///< by a recorded call
  bool kept = false;                 ///< by a leaf or a deferred call, from run to run
  const char* asked = nullptr;       ///< what asked for a state's values on the host
  const Storage* storage = nullptr;  ///< while recording
  const char* base = nullptr;        ///< while recording
  size_t bytes = 0;
  int index = 0;  ///< of the input
  /// Is its memory the same in every run?
  bool stays() const { return kind == constant || kind == state; }
};
/// Where an operand lies.
struct Use {
  int block = -1;  ///< -1: no memory (no elements)
  int64_t offset = 0;
  bool written = false;
};
struct GraphCall {
  std::unique_ptr<RecordedCall> call;
  std::vector<Use> uses;  ///< of its operands, and of what else it reads and writes
};
/// Grows when contents of tensors change places: graphs of before know the old places.
inline std::atomic<uint64_t> swaps{0};

/// A leaf whose gradient a step of training reads or replaces.
struct RecordedLeaf {
  Tensor leaf;
  Tensor before;      ///< its gradient when the recording began
  bool needs_before;  ///< it was read
  Tensor after;       ///< its gradient at the end
  bool requires_grad;
};

/// Notes the kernels of the calling thread from its construction on.
class WEFT_API Recording {
 public:
  /// What stays the same from run to run: `evaluation`: all that was there before; `training`: its memory alone.
  enum class Of { evaluation, training };
  /// `op` begins the texts of errors. The inputs' memory is nobody else's.
  Recording(const char* op, const std::vector<Tensor>& inputs, Of of);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  /// The calling thread's, or null.
  static Recording* current();
  Of of() const { return of_; }
  /// False: nothing of it depends on the inputs, run it now.
  bool note(std::unique_ptr<RecordedCall> call);
  /// The operands of the next call are parts of these, as far as it has bare pointers.
  void know(const Tensor& t);
  /// Notes something that is no kernel, `f`, which reads and writes these, and is not to be done now; the graph is of
  /// use while `holds()`. NotSupported in an evaluation.
  void defer(const char* name, const std::vector<Tensor>& reads, const std::vector<Tensor>& writes,
             std::function<void()> f, std::function<bool()> holds);
  /// Called before the gradient of a leaf is read, or (`replaced`) replaced unread.
  void touch(const Tensor& leaf, const Tensor& grad, bool replaced);
  void made(const Storage& s);
  void ended(const Storage& s);
  /// NotSupported: the function that is recorded asks for values, which there are none of.
  void refuse_read(const Tensor& t, const char* what);
  [[noreturn]] void refuse(const char* what, const char* why) const;
  /// The block of a result, which becomes an output.
  Use result(const Tensor& t);
  /// What was noted. ValueError if the function keeps a tensor that has no values. In a step of training gradients are
  /// kept as state, and leaves get those back that they had.
  void finish();

  std::vector<Block> blocks;
  std::vector<GraphCall> calls;
  std::vector<std::pair<Ref<Storage>, uint32_t>> watched;  ///< what was there before and was read: with its version
  std::vector<RecordedLeaf> leaves;
  std::vector<std::function<bool()>> conditions;  ///< of what was asked or deferred: hold as long as the graph is of use
  Generator::State drawn_from;                    ///< of the thread's generator at the beginning
  uint64_t drawn = 0;                             ///< blocks that the function took

 private:
  int block_of(const void* p, Storage* storage);
  int block_of(const Tensor& t);
  int add_external(Storage& s);
  int restored(int block);
  int renewed(int block);
  Ref<Storage> copied(const Block& b);
  void check_draw(RecordedCall& call) const;
  [[noreturn]] void refuse_values(const Block& b, const char* what) const;
  Use use_of(const Tensor& t, bool written = false);
  Use kept(const Tensor& t, bool written = false);
  void add(std::unique_ptr<RecordedCall> call, std::vector<Use> uses);
  const char* op_;
  const Of of_;
  std::map<const char*, int> live_;  ///< by first byte
};

/// The same, in places that must not be slow while there is none.
inline Recording* recording() { return observed() ? Recording::current() : nullptr; }

}  // namespace detail
}  // namespace weft
