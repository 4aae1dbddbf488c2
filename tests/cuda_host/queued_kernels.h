// The CPU's kernels for cards that are made up: put into the current stream, with the arguments of now, and run when
// its turn comes.
#pragma once

#include <memory>
#include <tuple>
#include <utility>

#include "support/fake_card/cuda_runtime.h"
#include "weft/backends/cuda/services.h"
#include "weft/core/kernels.h"
#include "weft/core/kernels/norm.h"

namespace queued {

template <class... A> void start(const weft::Kernel<void(A...)>& k, std::type_identity_t<A>... a) {
  weft::detail::KernelCall given{k, {}};
  (given.add(a), ...);
  const auto call = std::make_shared<weft::detail::CallOf<void(A...)>>(k, weft::Device(), given.listed, a...);
  call->operands([](const weft::detail::Operand& o) {
    if (o.storage) *o.storage = nullptr;  // it may be gone by then
  });
  fake_card::launch(static_cast<cudaStream_t>(weft::cuda::stream()), [call, f = k.get(weft::DeviceType::cpu)] {
    std::apply([&](const auto&... kept) { f(weft::detail::given(kept)...); }, call->args);
  });
}

template <auto& slot> struct Lend {
  template <class... A> explicit Lend(weft::Kernel<void(A...)>& k) {
    k.set(weft::DeviceType::cuda, [](A... a) { start<A...>(slot, a...); });
  }
};
template <auto&... slots> void lend() { (Lend<slots>(slots), ...); }

template <auto& family, class F> struct LendMember {
  template <class... A> explicit LendMember(weft::Kernel<void(A...)>& k) {
    k.set(weft::DeviceType::cuda, [](A... a) { start<A...>(family.template of<F>(), a...); });
  }
};
template <auto& family> void lend_family() {
  std::remove_reference_t<decltype(family)>::Functors::for_each(
      []<class F> { LendMember<family, F>(family.template of<F>()); });
}

/// An optimiser's step runs at once, behind all that was started.
template <class F> void step(std::span<const weft::fn::StepEntry> table, const void* hypers) {
  weft::cuda::refuse_capture("an optimiser's step");
  fake_card::launch(nullptr, [] {});  // to be counted
  fake_card::run_all();
  weft::kernels::optim_step.of<F>().get(weft::DeviceType::cpu)(table, hypers);
}

inline void lend_kernels() {
  namespace k = weft::kernels;
  lend<k::copy, k::fill, k::where, k::arg_extreme, k::softmax, k::softmax_grad, k::matmul, k::conv, k::conv_input_grad,
       k::conv_weight_grad, k::norm_stats, k::norm_apply, k::norm_forward, k::norm_backward_reduce,
       k::norm_backward_apply, k::norm_backward, k::update_running, k::max_pool, k::max_pool_scatter, k::resample,
       k::cross_entropy, k::cross_entropy_backward, k::multi_norm, k::multi_clip, k::cat, k::refuse_any, k::dropout>();
  lend_family<k::unary>();
  lend_family<k::binary>();
  lend_family<k::ternary>();
  lend_family<k::reduce>();
  weft::fn::OptimOps::for_each([]<class F> { k::optim_step.of<F>().set(weft::DeviceType::cuda, step<F>); });
}

}  // namespace queued
