#include "weft/nn/parameter.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

#include "weft/nn/module.h"

namespace weft::nn {

namespace {
std::mutex rings;  // handles are copied and dropped by threads that share a module
}

ModuleTensor::ModuleTensor(const Tensor& t, const ModuleTensor* o) : Tensor(t) {
  if (o) join(*o);
}
ModuleTensor::ModuleTensor(const ModuleTensor& o) : Tensor(o.tensor()) {
  const ModuleTensor* from = &o;
  if (const detail::CloneScope* scope = detail::CloneScope::current())
    if (const ModuleTensor* clone = scope->find(o)) from = clone;
  Tensor::operator=(from->tensor());
  if (defined()) join(*from);
}
ModuleTensor::ModuleTensor(ModuleTensor&& o) noexcept
    : Tensor(static_cast<Tensor&&>(o)), owner_(std::exchange(o.owner_, nullptr)) {
  take_place(o);
}

namespace {
[[noreturn]] void refuse(const ModuleTensor& o) {
  raise<ValueError>("assignment: a parameter or buffer cannot become another one",
                    o.defined() ? "" : ", an undefined one",
                    "; nn::tie(a, b) lets b share a's tensor, b.copy_(a) under NoGrad copies the values");
}
}  // namespace

ModuleTensor& ModuleTensor::operator=(const ModuleTensor& o) {
  if (this == &o) return *this;
  if (defined() && !is_same(o) && !detail::Reassigned::allows(*this, o)) refuse(o);
  take(ModuleTensor(o));
  return *this;
}
ModuleTensor& ModuleTensor::operator=(ModuleTensor&& o) {
  if (this == &o) return *this;
  // a vector's elements move up by one; two modules never have handles side by side
  const bool neighbours = this + 1 == &o || &o + 1 == this;
  if (defined() && !is_same(o) && !neighbours && would_leave_its_module(o) && !detail::Reassigned::allows(*this, o))
    refuse(o);
  take(std::move(o));
  return *this;
}
void ModuleTensor::take(ModuleTensor&& o) noexcept {
  leave();
  if (o.owner_) owner_ = std::exchange(o.owner_, nullptr);
  Tensor::operator=(static_cast<Tensor&&>(o));
  take_place(o);
}

bool ModuleTensor::would_leave_its_module(const ModuleTensor& o) const {
  const std::lock_guard lock(rings);
  const auto any_of_ring = [](const ModuleTensor& one, const auto& f) {
    const ModuleTensor* each = &one;
    do {
      if (each->owner_ && f(each->owner_)) return true;
      each = each->next_;
    } while (each && each != &one);
    return false;
  };
  const auto has_o = [&](const void* owner) {
    return any_of_ring(o, [&](const void* other) { return other == owner; });
  };
  return any_of_ring(*this, [](const void*) { return true; }) && !any_of_ring(*this, has_o);
}

void ModuleTensor::stand_in(const Tensor& t) {
  leave();
  Tensor::operator=(t);
}

ModuleTensor& ModuleTensor::operator+=(const Tensor& y) { return add_(y), *this; }
ModuleTensor& ModuleTensor::operator-=(const Tensor& y) { return sub_(y), *this; }
ModuleTensor& ModuleTensor::operator*=(const Tensor& y) { return mul_(y), *this; }
ModuleTensor& ModuleTensor::operator/=(const Tensor& y) { return div_(y), *this; }
ModuleTensor& ModuleTensor::operator+=(Scalar y) { return add_(y), *this; }
ModuleTensor& ModuleTensor::operator-=(Scalar y) { return sub_(y), *this; }
ModuleTensor& ModuleTensor::operator*=(Scalar y) { return mul_(y), *this; }
ModuleTensor& ModuleTensor::operator/=(Scalar y) { return div_(y), *this; }

void ModuleTensor::join(const ModuleTensor& o) {
  const std::lock_guard lock(rings);
  if (!o.next_) o.next_ = o.before_ = &o;
  next_ = o.next_;
  before_ = &o;
  next_->before_ = o.next_ = this;
}
void ModuleTensor::leave() noexcept {
  if (!defined()) return;
  const std::lock_guard lock(rings);
  if (!next_) return;
  before_->next_ = next_;
  next_->before_ = before_;
  next_ = before_ = nullptr;
}
void ModuleTensor::take_place(ModuleTensor& o) noexcept {
  if (!defined()) return;
  const std::lock_guard lock(rings);
  if (!o.next_) return;
  next_ = std::exchange(o.next_, nullptr);
  before_ = std::exchange(o.before_, nullptr);
  if (next_ == &o) next_ = before_ = this;  // o was alone
  else before_->next_ = next_->before_ = this;
}

void ModuleTensor::replace(const Tensor& t) const {
  std::vector<Tensor> old;  // dropped after the lock: their graphs and hooks may hold handles
  const std::lock_guard lock(rings);
  const ModuleTensor* each = this;
  do {
    old.push_back(each->tensor());
    static_cast<Tensor&>(const_cast<ModuleTensor&>(*each)) = t;  // which may be one of the ring
    each = each->next_;
  } while (each && each != this);
}

void tie(const Parameter& a, const Parameter& b) {
  WEFT_CHECK(a.defined() && b.defined(), ValueError, "tie: a parameter is undefined");
  WEFT_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device(), ValueError,
             "tie: parameters ", a.shape(), " ", a.dtype(), " on ", str(a.device()), " and ", b.shape(), " ", b.dtype(),
             " on ", str(b.device()), " cannot share a tensor");
  b.replace(a);
  const std::lock_guard lock(rings);
  for (const ModuleTensor* each = a.next_; each && each != &a; each = each->next_)
    if (each == &b) return;  // tied already
  if (&a == &b) return;
  for (const ModuleTensor* one : {static_cast<const ModuleTensor*>(&a), static_cast<const ModuleTensor*>(&b)})
    if (!one->next_) one->next_ = one->before_ = one;
  // Two circles become one: each goes on where the other did.
  std::swap(a.next_, b.next_);
  a.next_->before_ = &a;
  b.next_->before_ = &b;
}

namespace detail {

namespace {

/// The storages of both sides of an assignment, whose numbers are never used again: nothing is kept alive.
using Storages = std::unordered_set<uint64_t>;
uint64_t storage_of(const Tensor& t) { return t.impl()->storage->id(); }
struct Assignment {
  Storages from, to;
};
/// The last few of this thread: members of one object may be modules that its own tree does not hold.
template <class T> struct Recent {
  std::array<T, 8> list = {};
  size_t next = 0;
  void push(T entry) { list[next++ % list.size()] = std::move(entry); }
};
thread_local Recent<Assignment> recent;
thread_local Recent<std::ptrdiff_t> distances;  // from the objects on the left to those on the right, and 0

Storages storages_of(const Module& root) {
  Storages out;
  for (const Module& m : root.modules()) {
    for (const Module::State::ParamEntry& p : m.state().params) out.insert(storage_of(p.tensor));
    for (const Module::State::BufferEntry& b : m.state().buffers) out.insert(storage_of(b.tensor));
  }
  return out;
}
bool within(const Storages& part, const Storages& all) {
  return std::all_of(part.begin(), part.end(), [&](uint64_t each) { return all.contains(each); });
}

}  // namespace

void Reassigned::note(const Module& from, const Module& to) {
  distances.push(reinterpret_cast<intptr_t>(&to) - reinterpret_cast<intptr_t>(&from));
  if (from.is_same(to)) return;
  Assignment now{storages_of(from), storages_of(to)};
  for (const Assignment& a : recent.list)  // of a member of an object that is being assigned
    if (within(now.from, a.from) && within(now.to, a.to)) return;
  recent.push(std::move(now));
}

bool Reassigned::covers(const void* from, const void* to) {
  const std::ptrdiff_t distance = reinterpret_cast<intptr_t>(to) - reinterpret_cast<intptr_t>(from);
  return distance != 0 && std::find(distances.list.begin(), distances.list.end(), distance) != distances.list.end();
}

bool Reassigned::allows(const Tensor& from, const Tensor& to) {
  for (const Assignment& a : recent.list)
    if (a.from.contains(storage_of(from)) && (!to.defined() || a.to.contains(storage_of(to)))) return true;
  return false;
}

}  // namespace detail

}  // namespace weft::nn
