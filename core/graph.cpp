#include "weft/core/graph.h"

#include <algorithm>

#include "weft/core/backend.h"
#include "weft/core/factory.h"
#include "weft/core/fn/integer.h"
#include "weft/core/kernels.h"

namespace weft::detail {
namespace {

constexpr int64_t kAlignment = 512;  // of blocks in the arena: what any kernel asks for

}  // namespace

Graph::Graph(Recording& r, std::vector<Tensor> results) {
  for (const Tensor& t : results) results_.push_back({r.result(t), t.shape(), t.strides(), t.dtype(), t.device()});
  results.clear();
  r.finish();
  blocks_ = std::move(r.blocks);
  calls_ = std::move(r.calls);
  watched_ = std::move(r.watched);
  leaves_ = std::move(r.leaves);
  conditions_ = std::move(r.conditions);
  swaps_ = swaps;
  drawn_from_ = r.drawn_from;
  drawn_ = r.drawn;
  for (const Block& b : blocks_)
    if (b.kind == Block::state && b.external) states_.push_back(b.keep.get());
  for (size_t i = calls_.size(); i-- > 0;)
    if (calls_[i].call->slot) device_ = calls_[i].call->device;  // what is deferred has none
  drop_dead();
  fuse(calls_, blocks_, r.of() == Recording::Of::training);
  chain(calls_, blocks_);
  share_memory();
  plan();
  find_writes();
}

// Calls whose results nobody reads. Those that write nothing check something, and stay.
void Graph::drop_dead() {
  std::vector<char> needed(blocks_.size());
  for (size_t i = 0; i < blocks_.size(); ++i)
    needed[i] = blocks_[i].kind == Block::output || blocks_[i].kind == Block::state;
  std::vector<char> kept(calls_.size());
  for (bool more = true; more;) {  // a block may be written by several calls: until nothing changes
    more = false;
    for (size_t i = calls_.size(); i-- > 0;) {
      if (kept[i]) continue;
      bool writes = false, wanted = false;
      for (const Use& u : calls_[i].uses)
        if (u.written) writes = true, wanted = wanted || needed[u.block];
      if (writes && !wanted) continue;
      kept[i] = 1;
      more = true;
      for (const Use& u : calls_[i].uses) needed[u.block] = 1;
    }
  }
  size_t i = 0;
  std::erase_if(calls_, [&](const GraphCall&) { return !kept[i++]; });
}

// An elementwise kernel may write over an input that ends with it.
void Graph::share_memory() {
  std::vector<int> first(blocks_.size(), -1), last(blocks_.size(), -1);
  for (size_t i = 0; i < calls_.size(); ++i)
    for (const Use& u : calls_[i].uses) {
      if (first[u.block] < 0) first[u.block] = static_cast<int>(i);
      last[u.block] = static_cast<int>(i);
    }
  for (size_t i = 0; i < calls_.size(); ++i) {
    const KernelSlot* slot = calls_[i].call->slot;
    const ElementPlan* p = calls_[i].call->plan();
    if (slot != &kernels::norm_apply && (!p || p->rank != 1 || p->strides[0][0] != 1)) continue;
    const int at = static_cast<int>(i), out = calls_[i].uses[0].block;
    if (blocks_[out].stays() || first[out] != at) continue;
    for (size_t k = 0; k < calls_[i].uses.size(); ++k) {
      const Use& u = calls_[i].uses[k];
      const Block& b = blocks_[u.block];
      if (p && p->strides[k][0] != 1) continue;
      if (u.written || b.kind != Block::temporary || last[u.block] != at || b.bytes != blocks_[out].bytes ||
          u.offset != calls_[i].uses[0].offset)
        continue;
      // the older block goes on as the newer one, which may be an output
      for (size_t k = 0; k < i; ++k)
        for (Use& older : calls_[k].uses)
          if (older.block == u.block) older.block = out;
      const int gone = u.block;
      for (Use& mine : calls_[i].uses)
        if (mine.block == gone) mine.block = out;
      first[out] = first[gone];
      break;
    }
  }
}

// Offsets in the arena: the largest block first, each as low as those allow that live at the same time.
void Graph::plan() {
  struct Life {
    int block, first, last;
    int64_t bytes;
  };
  std::vector<Life> lives(blocks_.size());
  for (size_t b = 0; b < blocks_.size(); ++b)
    lives[b] = {static_cast<int>(b), -1, -1, fn::round_up(static_cast<int64_t>(blocks_[b].bytes), kAlignment)};
  for (size_t i = 0; i < calls_.size(); ++i)
    for (const Use& u : calls_[i].uses) {
      Life& l = lives[static_cast<size_t>(u.block)];
      if (l.first < 0) l.first = static_cast<int>(i);
      l.last = static_cast<int>(i);
    }
  std::erase_if(lives, [&](const Life& l) {
    return l.first < 0 || blocks_[static_cast<size_t>(l.block)].kind != Block::temporary;
  });
  std::stable_sort(lives.begin(), lives.end(), [](const Life& a, const Life& b) { return a.bytes > b.bytes; });
  at_.assign(blocks_.size(), 0);
  std::vector<Life> placed;  // by offset
  for (const Life& l : lives) {
    int64_t at = 0;
    for (const Life& p : placed) {
      if (p.last < l.first || l.last < p.first) continue;
      const int64_t begin = at_[static_cast<size_t>(p.block)];
      if (begin >= at + l.bytes) break;
      at = std::max(at, begin + p.bytes);
    }
    at_[static_cast<size_t>(l.block)] = at;
    arena_bytes_ = std::max(arena_bytes_, static_cast<size_t>(at + l.bytes));
    const auto where = std::upper_bound(placed.begin(), placed.end(), at, [&](int64_t a, const Life& p) {
      return a < at_[static_cast<size_t>(p.block)];
    });
    placed.insert(where, l);
  }
  std::vector<char> used(blocks_.size());
  for (const GraphCall& c : calls_)
    for (const Use& u : c.uses) used[static_cast<size_t>(u.block)] = 1;
  for (size_t b = 0; b < blocks_.size(); ++b) {
    if (used[b] && (blocks_[b].kind == Block::input || blocks_[b].kind == Block::output)) {
      staged_.push_back(static_cast<int>(b));
      at_[b] = static_cast<int64_t>(staging_bytes_);
      staging_bytes_ += static_cast<size_t>(fn::round_up(static_cast<int64_t>(blocks_[b].bytes), kAlignment));
    }
    if (blocks_[b].kind == Block::output) outputs_.push_back(static_cast<int>(b));
    blocks_[b].storage = nullptr;
  }
}

void Graph::find_writes() {
  for (size_t i = 0; i < calls_.size(); ++i) {
    size_t operands = 0;  // what is deferred has none, and counts its writes itself
    calls_[i].call->operands([&](const Operand&) { ++operands; });
    for (size_t k = 0; k < calls_[i].uses.size(); ++k) {
      const Use& u = calls_[i].uses[k];
      const Block& b = blocks_[static_cast<size_t>(u.block)];
      if (!u.written || b.kind != Block::state) continue;
      changed_.push_back(b.keep.get());
      if (k < operands) writes_.emplace_back(i, b.keep.get());
    }
  }
  std::sort(changed_.begin(), changed_.end());
}

std::unique_ptr<Graph::Instance> Graph::instance() {
  void* const queue = backend(device_.type).current_stream(device_.index);
  {
    const std::lock_guard lock(mutex_);
    for (size_t i = idle_.size(); i-- > 0;)
      if (idle_[i]->queue == queue) {
        auto found = std::move(idle_[i]);
        idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
        return found;
      }
  }
  {
    const std::lock_guard lock(mutex_);
    idle_.reserve(++instances_);
  }
  auto made = std::make_unique<Instance>();
  made->queue = queue;
  if (backend(device_.type).makes_graphs()) made->until_join = 1;
  made->arena = make_ref<Storage>(arena_bytes_, device_);
  char* const arena = static_cast<char*>(made->arena->data());
  for (const GraphCall& c : calls_) {
    auto call = c.call->clone();
    size_t k = 0;
    call->operands([&](const Operand& o) {
      const Use& u = c.uses[k++];
      const Block& b = blocks_[static_cast<size_t>(u.block)];
      if (o.storage) *o.storage = b.stays() ? b.keep.get() : nullptr;
      char* base = nullptr;
      if (b.stays()) base = static_cast<char*>(b.keep->data());
      else if (b.kind == Block::temporary) base = arena + at_[static_cast<size_t>(u.block)];
      else made->places.push_back({o.data, o.mut, u.block, u.offset});
      if (!base) return;
      *o.data = base + u.offset;
      if (o.mut) *o.mut = base + u.offset;
    });
    if (Generator::State* from = call->draw()) made->draws.push_back({from, from->offset - drawn_from_.offset});
    made->calls.push_back(std::move(call));
  }
  return made;
}

// Whoever asks for the version of a state, as caches of packed weights do, sees that it is about to change.
void Graph::run_calls(const Instance& instance) {
  const Generator::State now = drawn_ > 0 ? default_generator().reserve(drawn_) : Generator::State();
  for (const Draw& d : instance.draws) *d.from = {now.seed, now.offset + d.at};
  size_t w = 0;
  const auto bump_until = [&](size_t end) {
    for (; w < writes_.size() && writes_[w].first < end; ++w) writes_[w].second->bump();
  };
  auto joined = instance.joined.begin();
  for (size_t i = 0; i < instance.calls.size();) {
    if (joined != instance.joined.end() && joined->first == i) {
      const Joined& j = *joined++;
      if (!profiling() && j.graph->launch()) {  // a profiler sees kernels
        bump_until(i = j.end);
        continue;
      }
    }
    bump_until(i + 1);
    instance.calls[i++]->run();
  }
  for (const RecordedLeaf& l : leaves_) Tensor(l.leaf).set_grad(l.after);
}

// An input that the step writes to would be read as it was when the step was captured: before, or behind.
void Graph::check_apart(const std::vector<Tensor>& inputs) const {
  for (size_t i = 0; i < inputs.size(); ++i)
    WEFT_CHECK(!std::binary_search(changed_.begin(), changed_.end(), inputs[i].impl()->storage.get()), ValueError,
               "Captured: input ", i, " is memory that the step writes to; pass a clone()");
}

std::vector<Tensor> Graph::run(const std::vector<Tensor>& inputs) {
  if (!changed_.empty()) check_apart(inputs);
  std::vector<Ref<Storage>> fresh(outputs_.size());
  for (size_t i = 0; i < outputs_.size(); ++i)
    fresh[i] = make_ref<Storage>(blocks_[static_cast<size_t>(outputs_[i])].bytes, device_);
  const auto storage_of = [&](int block) {
    const auto it = std::lower_bound(outputs_.begin(), outputs_.end(), block);
    return fresh[static_cast<size_t>(it - outputs_.begin())];
  };
  struct Loan {
    Graph& graph;
    std::unique_ptr<Instance> it;
    ~Loan() {
      const std::lock_guard lock(graph.mutex_);
      graph.idle_.push_back(std::move(it));
    }
  } loan{*this, instance()};
  Instance& it = *loan.it;
  const auto given = [&](int block) {
    const Block& b = blocks_[static_cast<size_t>(block)];
    return b.kind == Block::input ? const_cast<void*>(inputs[static_cast<size_t>(b.index)].raw_data())
                                  : storage_of(block)->data();
  };
  if (it.until_join >= 0 && it.until_join-- == 0) join(it);
  const auto copy_staged = [&](Block::Kind kind) {
    for (const int block : staged_) {
      const Block& b = blocks_[static_cast<size_t>(block)];
      if (b.kind != kind) continue;
      void *from = given(block), *to = static_cast<char*>(it.staging->data()) + at_[static_cast<size_t>(block)];
      if (kind == Block::output) std::swap(from, to);
      backend(device_.type).copy(to, device_, from, device_, b.bytes, true);
    }
  };
  if (it.staging) copy_staged(Block::input);
  else point(it, given);
  run_calls(it);
  if (it.staging) copy_staged(Block::output);

  std::vector<Tensor> out;
  for (const Result& r : results_) {
    if (r.use.block < 0) {
      out.push_back(empty_strided(r.shape, r.strides, {r.dtype, r.device}));
      continue;
    }
    const Block& b = blocks_[static_cast<size_t>(r.use.block)];
    int64_t offset = r.use.offset / static_cast<int64_t>(itemsize(r.dtype));
    Ref<Storage> storage;
    if (b.stays()) {  // of which nobody gets hold
      const Tensor kept(make_ref<TensorImpl>(b.keep, r.shape, r.strides, offset, r.dtype));
      out.push_back(empty_strided(r.shape, r.strides, {r.dtype, r.device}));
      kernels::copy(r.device, mut_ref(out.back()), ref(kept));
      continue;
    }
    if (b.kind == Block::input) {
      const TensorImpl& in = *inputs[static_cast<size_t>(b.index)].impl();
      storage = in.storage;
      offset += in.offset;
    } else {
      storage = storage_of(r.use.block);
    }
    out.emplace_back(make_ref<TensorImpl>(std::move(storage), r.shape, r.strides, offset, r.dtype));
  }
  return out;
}

bool Graph::stale(const std::vector<uint32_t>& held) const {
  if (!states_.empty() && swaps_ != swaps) return true;
  for (size_t i = 0; i < states_.size(); ++i)
    if (states_[i]->use_count() <= held[i]) return true;
  if (!std::all_of(conditions_.begin(), conditions_.end(), [](const auto& holds) { return holds(); })) return true;
  for (const RecordedLeaf& l : leaves_) {
    if (l.leaf.requires_grad() != l.requires_grad) return true;
    if (l.needs_before && !l.leaf.grad().is_same(l.before)) return true;
  }
  return std::any_of(watched_.begin(), watched_.end(), [](const auto& w) { return w.first->version() != w.second; });
}

std::string Graph::str() const {
  std::string s;
  for (const GraphCall& c : calls_) {
    s += c.call->name();
    s += '\n';
  }
  return s;
}

}  // namespace weft::detail
