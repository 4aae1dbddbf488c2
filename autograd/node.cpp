#include "weft/autograd/node.h"

#include <atomic>

#include "weft/autograd/record.h"
#include "weft/core/profile.h"

namespace weft {
namespace {

std::atomic<uint64_t> g_sequence{0};

// Nodes whose last reference went while another is being destroyed wait here: a chain of any length is freed by a loop.
thread_local SmallVec<Node*, 16>* t_dying = nullptr;

std::atomic<int> g_watches{0};
std::atomic<uint64_t> g_watch_number{0};

}  // namespace

LeafWatch::LeafWatch() : number(++g_watch_number) { ++g_watches; }
LeafWatch::~LeafWatch() { --g_watches; }
bool LeafWatch::any() { return g_watches.load(std::memory_order_relaxed) > 0; }

Node::Node(const char* name) : name_(name), sequence_(g_sequence.fetch_add(1, std::memory_order_relaxed)) {
  if (const detail::ProfileListener* l = detail::profiling()) [[unlikely]]
    module_ = l->module();
}
Node::~Node() = default;

bool Node::enter() {
  uint32_t s = state_.load(std::memory_order_relaxed);
  do {
    if (s & 1) return false;
  } while (!state_.compare_exchange_weak(s, s + 2, std::memory_order_acquire, std::memory_order_relaxed));
  return true;
}

void Node::leave(bool done) {
  if (done) state_.fetch_or(1, std::memory_order_relaxed);
  if (state_.fetch_sub(2, std::memory_order_acq_rel) == 3) release();  // the last one inside, and nobody comes any more
}

void destroy(Node* n) {
  if (t_dying) {
    t_dying->push_back(n);
    return;
  }
  SmallVec<Node*, 16> dying;
  t_dying = &dying;
  delete n;
  while (!dying.empty()) {
    Node* next = dying.back();
    dying.pop_back();
    delete next;
  }
  t_dying = nullptr;
}

void destroy(AutogradMeta* m) { destroy(static_cast<Node*>(m)); }

AutogradMeta::AutogradMeta() : Node("leaf") {}
AutogradMeta::~AutogradMeta() {
  // retain_grad's hook writes to this object
  if (retain_hook && grad_node && grad_node->hooks)
    std::erase_if(*grad_node->hooks,
                  [&](const GradHook& h) { return h.handle == retain_hook && h.index == output_index; });
}

namespace detail {

AutogradMeta& meta(const Tensor& t) {
  TensorImpl& impl = *t.impl();
  if (!impl.autograd) {
    impl.autograd = make_ref<AutogradMeta>();
    impl.autograd->owner = &impl;
  }
  return *impl.autograd;
}

Edge edge_to(const Tensor& t) {
  if (!t.defined() || !t.requires_grad()) return {};
  AutogradMeta& m = *t.impl()->autograd;
  Ref<Node> node = m.grad_node ? m.grad_node : Ref<Node>(&m);
  return {std::move(node), m.output_index, t.dtype()};
}

bool any_requires_grad(const Tensor* inputs, size_t n) {
  for (size_t i = 0; i < n; ++i)
    if (inputs[i].defined() && inputs[i].requires_grad()) return true;
  return false;
}

void attach(const Ref<Node>& node, const Tensor* inputs, size_t n, Tensor* outputs, size_t m) {
  node->edges.reserve(static_cast<int>(n));
  for (size_t i = 0; i < n; ++i) node->edges.push_back(edge_to(inputs[i]));
  for (size_t i = 0; i < m; ++i) {
    Tensor& y = outputs[i];
    node->outputs.push_back({y.shape(), y.dtype(), y.device()});
    if (!y.is_floating()) continue;
    // an op may hand back its input's own handle (contiguous() of a contiguous tensor): the tape needs one of its own
    if (y.impl()->autograd) y = Tensor(y.impl()->detached());
    AutogradMeta& meta = detail::meta(y);
    meta.requires_grad = true;
    meta.grad_node = node;
    meta.output_index = static_cast<uint32_t>(i);
  }
}

}  // namespace detail
}  // namespace weft
