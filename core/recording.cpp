#include "weft/core/recording.h"

#include <algorithm>
#include <utility>

#include "weft/core/backend.h"
#include "weft/core/kernels.h"

namespace weft::detail {
namespace {

thread_local Recording* t_recording = nullptr;

/// Puts what a block held before the first recorded call wrote to it back.
class RestoreCall final : public RecordedCall {
 public:
  RestoreCall(const void* from, void* to, size_t bytes, Device device)
      : RecordedCall(nullptr, device), from_(from), to_(to), bytes_(bytes) {}
  void run() const override { backend(device.type).copy(to_, device, from_, device, bytes_, true); }
  std::unique_ptr<RecordedCall> clone() const override { return std::make_unique<RestoreCall>(*this); }
  void operands(const std::function<void(const Operand&)>& f) override {
    f(Operand{&from_, nullptr, nullptr});
    f(Operand{const_cast<const void**>(&to_), &to_, nullptr});
  }

 private:
  const void* from_;
  void* to_;
  size_t bytes_;
};

/// What is no kernel: a step of an optimiser, whose numbers change from run to run.
class DeferredCall final : public RecordedCall {
 public:
  DeferredCall(const char* name, std::function<void()> f) : RecordedCall(nullptr, {}), name_(name), f_(std::move(f)) {}
  void run() const override { f_(); }
  std::unique_ptr<RecordedCall> clone() const override { return std::make_unique<DeferredCall>(*this); }
  void operands(const std::function<void(const Operand&)>&) override {}
  const char* name() const override { return name_; }

 private:
  const char* name_;
  std::function<void()> f_;
};

// The bytes from the first element of t to the end of its memory.
size_t bytes_of(const Tensor& t) {
  const Storage& s = *t.impl()->storage;
  return s.bytes() - static_cast<size_t>(static_cast<const char*>(t.raw_data()) - static_cast<const char*>(s.data()));
}

}  // namespace

const char* RecordedCall::name() const { return slot ? slot->name() : "restore"; }

Recording* Recording::current() { return t_recording; }

Recording::Recording(const char* op, const std::vector<Tensor>& inputs, Of of)
    : drawn_from(default_generator().state()), op_(op), of_(of) {
  WEFT_CHECK(!t_recording, NotSupported, op, ": this thread is inside of another capture");
  for (const Tensor& t : inputs) {
    Block b;
    b.kind = Block::input;
    b.storage = t.impl()->storage.get();
    b.base = static_cast<const char*>(t.raw_data());
    b.bytes = bytes_of(t);
    b.index = static_cast<int>(blocks.size());
    if (b.bytes > 0) live_[b.base] = b.index;
    blocks.push_back(std::move(b));
  }
  t_recording = this;
  ++observers;
}

Recording::~Recording() {
  if (t_recording != this) return;
  --observers;
  t_recording = nullptr;
  default_generator().set_state(drawn_from);
  for (RecordedLeaf& l : leaves) l.leaf.set_grad(l.before);
}

void Recording::made(const Storage& s) {
  if (s.bytes() == 0) return;
  Block b;
  b.storage = &s;
  b.base = static_cast<const char*>(s.data());
  b.bytes = s.bytes();
  live_[b.base] = static_cast<int>(blocks.size());
  blocks.push_back(std::move(b));
}

void Recording::ended(const Storage& s) {
  const auto it = live_.find(static_cast<const char*>(s.data()));
  if (it == live_.end() || blocks[it->second].storage != &s) return;
  blocks[it->second].storage = nullptr;
  live_.erase(it);
}

int Recording::add_external(Storage& s) {
  Block b;
  b.keep = Ref<Storage>(&s);
  b.external = b.has_content = true;
  if (of_ == Of::training) b.kind = Block::state;
  b.storage = &s;
  b.base = static_cast<const char*>(s.data());
  b.bytes = s.bytes();
  if (of_ == Of::evaluation) watched.emplace_back(b.keep, s.version());
  const int at = static_cast<int>(blocks.size());
  live_[b.base] = at;
  blocks.push_back(std::move(b));
  return at;
}

int Recording::block_of(const void* p, Storage* storage) {
  const char* at = static_cast<const char*>(p);
  auto it = live_.upper_bound(at);
  if (it != live_.begin()) {
    --it;
    const Block& b = blocks[it->second];
    if (at < b.base + b.bytes) return it->second;
  }
  return storage && storage->bytes() > 0 ? add_external(*storage) : -1;
}

int Recording::block_of(const Tensor& t) { return block_of(t.raw_data(), t.impl()->storage.get()); }

void Recording::know(const Tensor& t) {
  if (t.defined() && t.numel() > 0) (void)block_of(t);
}

// What a block holds now, in memory of its own.
Ref<Storage> Recording::copied(const Block& b) {
  const Block from = b;  // making memory adds a block
  const Device device = from.storage->device();
  const Ref<Storage> kept = make_ref<Storage>(from.bytes, device);
  live_.erase(static_cast<const char*>(kept->data()));
  backend(device.type).copy(kept->data(), device, from.base, device, from.bytes, false);
  return kept;
}

// Memory that recorded calls have read is written to: they keep what they have read.
int Recording::renewed(int block) {
  const Ref<Storage> kept = copied(blocks[block]);
  Block now = blocks[block];
  now.keep = nullptr;
  now.read = false;
  blocks[block].keep = kept;
  blocks[block].storage = nullptr;
  live_[now.base] = static_cast<int>(blocks.size());
  blocks.push_back(std::move(now));
  return static_cast<int>(blocks.size()) - 1;
}

// A recorded call writes to memory that has contents already: every replay begins with those.
int Recording::restored(int block) {
  const Device device = blocks[block].storage->device();
  const int fresh = renewed(block);
  Block& now = blocks[fresh];
  now.kind = Block::temporary;
  GraphCall call;
  call.call = std::make_unique<RestoreCall>(blocks[block].keep->data(), const_cast<char*>(now.base), now.bytes, device);
  call.uses = {{block, 0, false}, {fresh, 0, true}};
  calls.push_back(std::move(call));
  return fresh;
}

bool Recording::note(std::unique_ptr<RecordedCall> call) {
  if (const ElementPlan* p = call->plan(); p && p->numel == 0) return false;
  std::vector<Use> uses;
  check_draw(*call);
  bool depends = call->draw() != nullptr;
  call->operands([&](const Operand& o) {
    Use u;
    u.block = block_of(*o.data, o.storage ? *o.storage : nullptr);
    if (u.block < 0) refuse(call->name(), "works on memory that is no tensor's");
    u.offset = static_cast<const char*>(*o.data) - blocks[u.block].base;
    u.written = o.mut != nullptr;
    depends = depends || blocks[u.block].kind != Block::constant;
    uses.push_back(u);
  });
  for (const Use& u : uses)
    if (u.written && blocks[u.block].external && of_ == Of::evaluation)
      raise<NotSupported>(op_, ": ", call->name(), " writes into a tensor that was there before (",
                          blocks[u.block].bytes,
                          " bytes); what changes from call to call must be an input or a result, and the model in "
                          "evaluation mode, or the function captured as a step of training");
  if (!depends) {
    for (const Use& u : uses) {
      if (!u.written) continue;
      const int block = blocks[u.block].read ? renewed(u.block) : u.block;
      blocks[block].has_content = true;
    }
    return false;
  }
  for (Use& u : uses) {
    if (u.written && blocks[u.block].kind == Block::input)
      raise<NotSupported>(op_, ": ", call->name(), " writes into input ", blocks[u.block].index);
    if (!u.written || blocks[u.block].kind != Block::constant) continue;
    // More than the one `mut_raw_data` of this call: the host wrote to it, as factories of few elements do.
    const bool has_content = blocks[u.block].has_content || blocks[u.block].storage->version() > 1;
    const int before = u.block;
    int now = before;
    if (has_content) now = restored(before);
    else blocks[before].kind = Block::temporary;
    for (Use& other : uses)
      if (other.block == before) other.block = now;
  }
  add(std::move(call), std::move(uses));
  return true;
}

void Recording::add(std::unique_ptr<RecordedCall> call, std::vector<Use> uses) {
  for (const Use& u : uses) {  // constants that only this graph holds
    Block& b = blocks[u.block];
    b.read = true;
    b.written = b.written || u.written;
    if (b.kind == Block::state && b.written && b.asked) refuse_values(b, b.asked);
    if (b.kind == Block::constant && !b.keep) b.keep = Ref<Storage>(const_cast<Storage*>(b.storage));
  }
  calls.push_back({std::move(call), std::move(uses)});
}

void Recording::check_draw(RecordedCall& call) const {
  const Generator::State *from = call.draw(), now = default_generator().state();
  if (from && (from->seed != drawn_from.seed || from->offset < drawn_from.offset || from->offset >= now.offset))
    refuse(call.name(), "draws from a generator that is not the thread's; every run would draw the same numbers");
}

Use Recording::use_of(const Tensor& t, bool written) {
  const int block = block_of(t);
  return {block, static_cast<const char*>(t.raw_data()) - blocks[block].base, written};
}

Use Recording::kept(const Tensor& t, bool written) {
  const Use u = use_of(t, written);
  blocks[u.block].kept = true;
  return u;
}

void Recording::defer(const char* name, const std::vector<Tensor>& reads, const std::vector<Tensor>& writes,
                      std::function<void()> f, std::function<bool()> holds) {
  if (of_ == Of::evaluation)
    refuse(name, "changes what was there before; capture the function as a step of training (CaptureOptions)");
  std::vector<Use> uses;
  for (const Tensor& t : reads)
    if (t.defined() && t.numel() > 0) uses.push_back(kept(t));
  for (const Tensor& t : writes)
    if (t.defined() && t.numel() > 0) uses.push_back(kept(t, true));
  conditions.push_back(std::move(holds));
  add(std::make_unique<DeferredCall>(name, std::move(f)), std::move(uses));
}

void Recording::touch(const Tensor& leaf, const Tensor& grad, bool replaced) {
  if (of_ == Of::evaluation) return;
  if (leaf.numel() > 0 && blocks[block_of(leaf)].kind != Block::state) return;
  if (std::none_of(leaves.begin(), leaves.end(), [&](const RecordedLeaf& l) { return l.leaf.is_same(leaf); }))
    leaves.push_back({leaf, grad, !replaced, {}, leaf.requires_grad()});
}

void Recording::refuse_read(const Tensor& t, const char* what) {
  if (t.numel() == 0) return;
  Block& b = blocks[block_of(t)];  // watched from now on
  if (b.kind == Block::state && b.external && !b.written) {
    if (!b.asked) watched.emplace_back(b.keep, b.keep->version());
    b.asked = what;
  } else if (b.kind != Block::constant) {
    refuse_values(b, what);
  }
}

void Recording::refuse_values(const Block& b, const char* what) const {
  raise<NotSupported>(op_, ": ", what, " asks for values that ",
                      b.kind == Block::state ? "change from step to step" : "depend on the input",
                      ", and a capture has none; use ops, or call the model itself");
}

void refuse_recorded(const Tensor& t, const char* what) {
  if (t_recording && t.defined()) t_recording->refuse_read(t, what);
}

void Recording::refuse(const char* what, const char* why) const {
  raise<NotSupported>(op_, ": ", what, " cannot be captured: it ", why);
}

Use Recording::result(const Tensor& t) {
  if (t.numel() == 0) return {};
  const Use u = use_of(t);
  Block& b = blocks[u.block];
  if (b.kind == Block::temporary) b.kind = Block::output;
  if (b.kind == Block::constant) b.keep = t.impl()->storage;
  return u;
}

void Recording::finish() {
  for (RecordedLeaf& l : leaves) {
    l.after = l.leaf.grad();
    if (l.after.defined() && l.after.numel() > 0) (void)kept(l.after);
  }
  const Generator::State end = default_generator().state();
  if (end.seed != drawn_from.seed || end.offset < drawn_from.offset)
    refuse("the function", "seeds the thread's generator; seed it outside");
  t_recording = nullptr;
  --observers;
  drawn = end.offset - drawn_from.offset;
  default_generator().set_state(drawn_from);
  for (RecordedLeaf& l : leaves) l.leaf.set_grad(l.before);
  for (const auto& [base, at] : live_) {
    Block& b = blocks[at];
    if (b.kept && (b.kind == Block::temporary || b.kind == Block::output)) {
      b.kind = Block::state;
      b.keep = Ref<Storage>(const_cast<Storage*>(b.storage));
      continue;
    }
    if (b.kind == Block::state) continue;
    WEFT_CHECK(b.kind == Block::constant || b.kind == Block::input, ValueError, op_,
               ": the function keeps a tensor of ", b.bytes, " bytes that ",
               of_ == Of::training ? "changes from step to step" : "depends on its input",
               ", and that has no values now; return it instead",
               of_ == Of::training ? ", or copy_ it into a tensor that was there before" : "");
  }
}

}  // namespace weft::detail
