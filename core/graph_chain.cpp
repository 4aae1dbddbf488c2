// Elementwise calls over the same number of elements become one kernel, with whatever lies between them and does not
// need them moved behind.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "weft/core/element_chain.h"
#include "weft/core/graph.h"

namespace weft::detail {
namespace {

class ChainCall final : public RecordedCall {
 public:
  ChainCall(Device device, ElementChain chain)
      : RecordedCall(&kernels::element_chain, device), chain_(std::move(chain)) {}
  void run() const override { kernels::element_chain(device, chain_); }
  std::unique_ptr<RecordedCall> clone() const override { return std::make_unique<ChainCall>(*this); }
  void operands(const std::function<void(const Operand&)>& f) override {
    for (ElementChain::Operand& o : chain_.operands)
      if (o.local < 0) f({&o.data, o.mut ? &o.mut : nullptr, nullptr});
  }

 private:
  ElementChain chain_;
};

/// Memory as a step sees it: block, offset, one element for all?
using Range = std::tuple<int, int64_t, bool>;

class Chainer {
 public:
  Chainer(std::vector<GraphCall>& calls, const std::vector<Block>& blocks) : calls_(calls), blocks_(blocks) {
    for (const GraphCall& c : calls) uses_.push_back(c.uses);
  }

  void run() {
    std::vector<GraphCall> out;
    for (size_t i = 0; i < calls_.size();) {
      const std::vector<size_t> members = group(i);
      if (members.size() < 2) {
        if (calls_[i].call) out.push_back(std::move(calls_[i]));
        ++i;
        continue;
      }
      // what lies between stays in front where the chain needs it, which `group` has seen to, else goes behind
      const size_t last = members.back();
      out.push_back(joined(members));
      for (size_t k = i; k <= last; ++k)
        if (calls_[k].call) out.push_back(std::move(calls_[k]));
      i = last + 1;
    }
    calls_ = std::move(out);
  }

 private:
  bool flat(const GraphCall& c) const {
    const ElementPlan* p = c.call->plan();
    if (!p || p->rank != 1 || p->strides[0][0] != 1 || p->numel < 2) return false;
    if (!kernels::element_chain.has(c.call->device.type)) return false;
    for (int k = 1; k < p->operands; ++k)
      if (p->strides[k][0] != 0 && p->strides[k][0] != 1) return false;
    return functor_of(c) != nullptr || c.call->slot == &kernels::where;
  }

  // Calls from `first` on that can run as one, in order.
  std::vector<size_t> group(size_t first) const {
    std::vector<size_t> members;
    if (!flat(calls_[first])) return members;
    const int64_t numel = calls_[first].call->plan()->numel;
    const Device device = calls_[first].call->device;
    std::set<int> behind_reads, behind_writes;  // of calls that go behind the chain
    std::map<int, int64_t> written;             // blocks of the chain: at which offset
    std::map<int, std::set<int64_t>> seen;
    std::set<int> ones;  // blocks of which an element is read by all
    for (size_t i = first; i < calls_.size(); ++i) {
      const GraphCall& c = calls_[i];
      bool joins = flat(c) && c.call->plan()->numel == numel && c.call->device == device;
      for (size_t k = 0; joins && k < c.uses.size(); ++k) {
        const Use& u = c.uses[k];
        if (behind_writes.contains(u.block) || (u.written && behind_reads.contains(u.block))) joins = false;
        // neighbours' elements in the same memory: blocks would be computed before what they are made of
        const auto at = written.find(u.block);
        if (at != written.end() && at->second != u.offset) joins = false;
        if (const auto s = seen.find(u.block);
            u.written && s != seen.end() && (s->second.size() > 1 || !s->second.contains(u.offset)))
          joins = false;
        if (c.call->plan()->strides[k][0] == 0 && written.contains(u.block)) joins = false;
        if (u.written && ones.contains(u.block)) joins = false;
      }
      for (size_t k = 1; joins && k < c.uses.size(); ++k)  // not even by itself
        if (c.call->plan()->strides[k][0] == 0 && c.uses[k].block == c.uses[0].block) joins = false;
      if (joins) {
        for (size_t k = 1; k < c.uses.size(); ++k)
          if (c.call->plan()->strides[k][0] == 0) ones.insert(c.uses[k].block);
      }
      if (joins) {
        members.push_back(i);
        for (const Use& u : c.uses) {
          seen[u.block].insert(u.offset);
          if (u.written) written[u.block] = u.offset;
        }
        continue;
      }
      for (const Use& u : c.uses) {
        behind_reads.insert(u.block);
        if (u.written) behind_writes.insert(u.block);
      }
    }
    return members;
  }

  GraphCall joined(const std::vector<size_t>& members) {
    ElementChain chain;
    chain.numel = calls_[members[0]].call->plan()->numel;
    const Device device = calls_[members[0]].call->device;
    std::map<Range, int> index;
    std::map<int, size_t> last_use;  // of a block: the last member
    for (size_t m = 0; m < members.size(); ++m)
      for (const Use& u : calls_[members[m]].uses) last_use[u.block] = m;
    std::vector<Use> uses;
    std::vector<int> free;
    for (size_t m = 0; m < members.size(); ++m) {
      GraphCall& c = calls_[members[m]];
      const ElementPlan& plan = *c.call->plan();
      ElementChain::Step step{c.call->slot, plan.operands - 1, dtype_of(c), {}, KeptFunctor(nullptr, 0)};
      if (const KeptFunctor* f = functor_of(c)) step.functor = *f;
      std::set<int> ending;  // places that are free after this step
      for (size_t k = 0; k < c.uses.size(); ++k) {
        const Use& u = c.uses[k];
        const bool one = plan.strides[k][0] == 0;
        const Range range{u.block, u.offset, one};
        auto at = index.find(range);
        if (at == index.end()) {
          const bool local = k == 0 && handed_on(u, members, chain.numel * width(c, k));
          int place = -1;
          if (local) {
            if (free.empty()) free.push_back(chain.locals++);
            place = free.back();
            free.pop_back();
          }
          at = index.emplace(range, static_cast<int>(chain.operands.size())).first;
          chain.operands.push_back({nullptr, nullptr, width(c, k), one, place});
          if (!local) uses.push_back(u);
        }
        ElementChain::Operand& o = chain.operands[static_cast<size_t>(at->second)];
        step.operand[k] = at->second;
        if (u.written) {
          static char some;  // set before each run
          o.mut = &some;
          if (o.local < 0)
            for (Use& used : uses)
              if (used.block == u.block) used.written = true;
        }
        if (o.local >= 0 && last_use[u.block] == m) ending.insert(o.local);
      }
      free.insert(free.end(), ending.begin(), ending.end());
      chain.steps.push_back(step);
      c.call.reset();
    }
    GraphCall made;
    made.call = std::make_unique<ChainCall>(device, std::move(chain));
    made.uses = std::move(uses);
    return made;
  }
  // Is the block written by the chain first, and used by nothing else?
  bool handed_on(const Use& u, const std::vector<size_t>& members, int64_t bytes) const {
    const Block& b = blocks_[static_cast<size_t>(u.block)];
    if (b.kind != Block::temporary || u.offset != 0 || static_cast<int64_t>(b.bytes) != bytes) return false;
    for (size_t i = 0; i < uses_.size(); ++i) {
      const bool member = std::binary_search(members.begin(), members.end(), i);
      for (const Use& other : uses_[i])
        if (other.block == u.block && !member) return false;
    }
    return true;
  }

  static const KeptFunctor* functor_of(const GraphCall& c) {
    const KernelSlot* s = c.call->slot;
    if (kernels::unary.contains(s)) return &std::get<4>(static_cast<CallOf<kernels::UnarySig>&>(*c.call).args);
    if (kernels::binary.contains(s)) return &std::get<5>(static_cast<CallOf<kernels::BinarySig>&>(*c.call).args);
    if (kernels::ternary.contains(s)) return &std::get<6>(static_cast<CallOf<kernels::TernarySig>&>(*c.call).args);
    return nullptr;
  }
  static Dtype dtype_of(const GraphCall& c) {
    const KernelSlot* s = c.call->slot;
    if (kernels::unary.contains(s)) return std::get<3>(static_cast<CallOf<kernels::UnarySig>&>(*c.call).args);
    if (kernels::binary.contains(s)) return std::get<4>(static_cast<CallOf<kernels::BinarySig>&>(*c.call).args);
    if (kernels::ternary.contains(s)) return std::get<5>(static_cast<CallOf<kernels::TernarySig>&>(*c.call).args);
    return std::get<5>(static_cast<CallOf<WhereSig>&>(*c.call).args);
  }
  using WhereSig = void(const ElementPlan&, void*, const void*, const void*, const void*, Dtype);
  // Bytes of an element of operand k.
  static int64_t width(const GraphCall& c, size_t k) {
    const bool flag = k == 0 ? c.call->slot->gives_bool() : k == 1 && c.call->slot == &kernels::where;
    return flag ? 1 : static_cast<int64_t>(itemsize(dtype_of(c)));
  }

  std::vector<GraphCall>& calls_;
  std::vector<std::vector<Use>> uses_;  ///< of all calls, those that have moved on, too
  const std::vector<Block>& blocks_;
};

}  // namespace

void chain(std::vector<GraphCall>& calls, const std::vector<Block>& blocks) { Chainer(calls, blocks).run(); }

}  // namespace weft::detail
