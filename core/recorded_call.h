// How a slot's arguments are kept for later. Included by core/kernels.h.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>

#include "weft/core/attention_params.h"
#include "weft/core/fn/optim.h"
#include "weft/core/generator.h"
#include "weft/core/kernels.h"
#include "weft/core/recording.h"

namespace weft {

struct ByteTaps;  // core/kernels/picture.h

namespace detail {

/// A TensorRef or MutTensorRef with axes of its own.
template <class R> class KeptRef {
 public:
  explicit KeptRef(const R& from) : ref(from) { point(); }
  KeptRef(const KeptRef& o) : ref(o.ref) { point(); }
  KeptRef& operator=(const KeptRef& o) {
    ref = o.ref;
    point();
    return *this;
  }
  R ref;

 private:
  void point() {
    std::copy_n(ref.shape, ref.rank, shape_);
    std::copy_n(ref.strides, ref.rank, strides_);
    ref.shape = shape_, ref.strides = strides_;
  }
  int64_t shape_[kMaxRank] = {}, strides_[kMaxRank] = {};
};
/// A list of them.
class KeptList {
 public:
  KeptList(const TensorRef* list, int count) {
    for (int i = 0; i < count; ++i) items_.emplace_back(list[i]);
    gather();
  }
  KeptList(const KeptList& o) : items_(o.items_) { gather(); }
  KeptList& operator=(const KeptList&) = delete;
  std::vector<TensorRef> refs;

 private:
  void gather() {
    refs.clear();
    for (const auto& i : items_) refs.push_back(i.ref);
  }
  std::vector<KeptRef<TensorRef>> items_;
};
/// A functor that a kernel is given a pointer to.
struct KeptFunctor {
  static constexpr size_t kMost = 32;
  KeptFunctor(const void* f, size_t bytes) {
    WEFT_ASSERT(bytes <= kMost);
    std::copy_n(static_cast<const std::byte*>(f), bytes, functor);
  }
  alignas(8) std::byte functor[kMost] = {};
};

/// What an argument is kept as. The last bare pointer of a signature is a functor's.
template <class A, bool Last> auto kept(A a, int listed, size_t functor_bytes) {
  if constexpr (std::is_same_v<A, const TensorRef&>) return KeptRef<TensorRef>(a);
  else if constexpr (std::is_same_v<A, const MutTensorRef&>) return KeptRef<MutTensorRef>(a);
  else if constexpr (std::is_same_v<A, const TensorRef*>) return KeptList(a, listed);
  else if constexpr (std::is_same_v<A, const void*> && Last) return KeptFunctor(a, functor_bytes);
  else if constexpr (std::is_same_v<A, const char*>) return std::string(a);
  else if constexpr (std::is_same_v<A, std::span<const fn::FlatEntry>>) return std::vector(a.begin(), a.end());
  else return std::decay_t<A>(a);
}
template <class K> const K& given(const K& k) { return k; }
template <class R> const R& given(const KeptRef<R>& k) { return k.ref; }
inline const TensorRef* given(const KeptList& k) { return k.refs.data(); }
inline const void* given(const KeptFunctor& k) { return k.functor; }
inline const char* given(const std::string& k) { return k.c_str(); }

template <class F> void visit(TensorRef& r, const F& f) {
  if (r.data && r.numel > 0) f(Operand{&r.data, nullptr, &r.storage});
}
template <class F> void visit_operand(KeptRef<TensorRef>& k, const F& f) { visit(k.ref, f); }
template <class F> void visit_operand(KeptRef<MutTensorRef>& k, const F& f) {
  if (k.ref.data && k.ref.numel > 0) f(Operand{&k.ref.data, &k.ref.mut, &k.ref.storage});
}
template <class F> void visit_operand(KeptList& k, const F& f) {
  for (TensorRef& r : k.refs) visit(r, f);
}
template <class F> void visit_operand(std::vector<fn::FlatEntry>& table, const F& f) {
  for (fn::FlatEntry& e : table)
    if (e.numel > 0) f(Operand{const_cast<const void**>(&e.data), &e.data, nullptr});
}
template <class F> void visit_operand(const void*& p, const F& f) { f(Operand{&p, nullptr, nullptr}); }
template <class F> void visit_operand(void*& p, const F& f) { f(Operand{const_cast<const void**>(&p), &p, nullptr}); }
template <class K, class F> void visit_operand(K&, const F&) {}

inline void is_plan(const ElementPlan& k, const ElementPlan*& p) { p = &k; }
template <class K> void is_plan(const K&, const ElementPlan*&) {}

inline void is_draw(Generator::State& s, Generator::State*& p) { p = &s; }
inline void is_draw(AttentionParams& a, Generator::State*& p) { p = a.keep < 1 ? &a.from : p; }
template <class K> void is_draw(K&, Generator::State*&) {}

template <class... A, size_t... I> auto kept_all(std::index_sequence<I...>, int listed, size_t functor_bytes, A... a) {
  return std::tuple{kept<A, I + 1 == sizeof...(A)>(a, listed, functor_bytes)...};
}

template <class Sig> class CallOf;
template <class... A> class CallOf<void(A...)> final : public RecordedCall {
 public:
  CallOf(const Kernel<void(A...)>& k, Device d, int listed, A... a)
      : RecordedCall(&k, d), args(kept_all<A...>(std::index_sequence_for<A...>(), listed, k.functor_bytes(), a...)) {}
  void run() const override {
    std::apply([&](const auto&... k) { static_cast<const Kernel<void(A...)>&> (*slot)(device, given(k)...); }, args);
  }
  std::unique_ptr<RecordedCall> clone() const override { return std::make_unique<CallOf>(*this); }
  void operands(const std::function<void(const Operand&)>& f) override {
    std::apply([&](auto&... k) { (visit_operand(k, f), ...); }, args);
  }
  const ElementPlan* plan() const override {
    const ElementPlan* p = nullptr;
    std::apply([&](const auto&... k) { (is_plan(k, p), ...); }, args);
    return p;
  }
  Generator::State* draw() override {
    Generator::State* p = nullptr;
    std::apply([&](auto&... k) { (is_draw(k, p), ...); }, args);
    return p;
  }
  decltype(kept_all<A...>(std::index_sequence_for<A...>(), 0, 0, std::declval<A>()...)) args;
};

template <class A>
constexpr bool kHoldsPointers = std::is_same_v<A, std::span<const fn::StepEntry>> || std::is_same_v<A, const ByteTaps&>;

/// Notes the call; false: it is to run now.
template <class... A> bool record_call(Recording& r, const Kernel<void(A...)>& k, Device d, A... a) {
  if constexpr ((kHoldsPointers<A> || ...)) {
    r.refuse(k.name(), "takes a table of addresses");
  } else {
    KernelCall call{k, d};
    (call.add(a), ...);
    return r.note(std::make_unique<CallOf<void(A...)>>(k, d, call.listed, a...));
  }
}

}  // namespace detail
}  // namespace weft
