#include <algorithm>
#include <memory>

#include "weft/backends/cpu/register.h"
#include "weft/core/element_chain.h"
#include "weft/core/fn/integer.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace {

constexpr int64_t kBlock = 2048;   // elements: a few operands of a block fit the first cache
constexpr int64_t kMostWidth = 8;  // bytes of an element

template <class Sig> typename Kernel<Sig>::Fn kernel_of(const KernelSlot* slot) {
  return static_cast<const Kernel<Sig>*>(slot)->get(DeviceType::cpu);
}

void run_step(const ElementChain::Step& s, const ElementPlan& plan, void* const* p) {
  const void* f = s.functor.functor;
  if (s.slot == &kernels::where) kernels::where.get(DeviceType::cpu)(plan, p[0], p[1], p[2], p[3], s.dtype);
  else if (s.inputs == 1) kernel_of<kernels::UnarySig>(s.slot)(plan, p[0], p[1], s.dtype, f);
  else if (s.inputs == 2) kernel_of<kernels::BinarySig>(s.slot)(plan, p[0], p[1], p[2], s.dtype, f);
  else kernel_of<kernels::TernarySig>(s.slot)(plan, p[0], p[1], p[2], p[3], s.dtype, f);
}

void element_chain(const ElementChain& chain) {
  parallel_for(fn::ceil_div(chain.numel, kBlock), kSerialBelow / kBlock, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<std::byte[]> room(
        new std::byte[static_cast<size_t>(chain.locals * kBlock * kMostWidth + 64)]);
    char* const places = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(room.get()) + 63) & ~uintptr_t{63});
    ElementPlan plan;
    plan.rank = 1;
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kBlock;
      plan.numel = plan.shape[0] = std::min(kBlock, chain.numel - first);
      for (const ElementChain::Step& s : chain.steps) {
        void* p[4];
        plan.operands = s.inputs + 1;
        for (int k = 0; k <= s.inputs; ++k) {
          const ElementChain::Operand& o = chain.operands[static_cast<size_t>(s.operand[k])];
          plan.strides[k][0] = o.one ? 0 : 1;
          p[k] = o.local >= 0 ? places + o.local * kBlock * kMostWidth
                              : const_cast<char*>(static_cast<const char*>(o.data)) + (o.one ? 0 : first * o.width);
        }
        run_step(s, plan, p);
      }
    }
  });
}

}  // namespace

void register_chain_slot() { kernels::element_chain.set(DeviceType::cpu, element_chain); }

}  // namespace weft::cpu
