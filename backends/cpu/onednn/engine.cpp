#include "weft/backends/cpu/onednn/engine.h"

#include <dnnl_debug.h>

#include <atomic>

#include "weft/backends/cpu/gemm.h"
#include "weft/backends/cpu/packed_weights.h"
#include "weft/backends/cpu/primitive_stats.h"
#include "weft/core/parallel.h"

namespace weft::cpu {
namespace onednn {
namespace {
std::atomic<uint64_t> g_created{0};
}

const dnnl::engine& engine() {
  // Never destroyed: packed weights and thread caches may outlive static objects.
  static auto* e = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *e;
}

bool has_avx512() {
  static const bool has = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
  return has;
}

dnnl_stream_t stream() {
  thread_local dnnl::stream s(engine());
  return s.get();
}

void check(dnnl_status_t status, const char* what) {
  WEFT_CHECK(status != dnnl_out_of_memory, OutOfMemory, "cpu: out of memory in oneDNN: ", what,
             "; use smaller batches or free tensors");
  WEFT_CHECK(status == dnnl_success, Error, "oneDNN: ", what, " failed: ", dnnl_status2str(status));
}

dnnl::memory::data_type data_type(Dtype d) {
  switch (d) {
    case Dtype::f32: return dnnl::memory::data_type::f32;
    case Dtype::bf16: return dnnl::memory::data_type::bf16;
    case Dtype::f16: return dnnl::memory::data_type::f16;
    default: raise<NotSupported>("oneDNN: no dtype ", name(d));
  }
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

void Compiled::init(dnnl::primitive p, const dnnl::memory::desc& scratchpad, const Args& args) {
  primitive_ = std::move(p);
  scratchpad_ = scratchpad.get_size();
  for (const auto& [id, desc] : args) {
    memory_.emplace_back(desc, engine(), nullptr);
    args_.push_back({id, memory_.back().get()});
  }
  if (scratchpad_ > 0) {
    memory_.emplace_back(scratchpad, engine(), nullptr);
    args_.push_back({DNNL_ARG_SCRATCHPAD, memory_.back().get()});
  }
  g_created.fetch_add(1, std::memory_order_relaxed);
}

void Compiled::run(const void* const* pointers, size_t count) const {
  size_t i = 0;
  for (; i < count; ++i)
    check(dnnl_memory_set_data_handle(args_[i].memory, const_cast<void*>(pointers[i])), "set_data_handle");
  Scratch scratch(scratchpad_);
  if (scratchpad_ > 0) check(dnnl_memory_set_data_handle(args_[i++].memory, scratch.as()), "set_data_handle");
  if (num_threads() > 1) weft::detail::notice_crowding();
  check(dnnl_primitive_execute(primitive_.get(), stream(), static_cast<int>(args_.size()), args_.data()), "execute");
}

Compiled make_reorder(const dnnl::memory::desc& from, const dnnl::memory::desc& to) {
  if (from == to) return {};
  dnnl::reorder::primitive_desc desc(engine(), from, engine(), to, attributes());
  return Compiled(desc, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

}  // namespace onednn

PrimitiveStats primitive_stats() { return {onednn::g_created.load(), packed_count()}; }

}  // namespace weft::cpu
