#include "weft/train/profile_record.h"

#include <algorithm>
#include <deque>

#include "weft/core/backend.h"
#include "weft/nn/call.h"

namespace weft::training::detail {
namespace {

using weft::detail::KernelCall;
using weft::detail::ProfileToken;

std::mutex g_mutex;
std::shared_ptr<ProfileSession> g_session;  // under the mutex
std::atomic<uint32_t> g_listening{0};       // its number while it listens
std::atomic<uint32_t> g_sessions{0};

/// Numbers for values that stay. Never destroyed: threads may end after main.
template <class Key, class Value> class Numbers {
 public:
  template <class K, class Make> uint32_t of(const K& key, const Make& make) {
    std::lock_guard lock(mutex_);
    if (const auto it = numbers_.find(key); it != numbers_.end()) return it->second;
    values_.push_back(make());
    const auto number = static_cast<uint32_t>(values_.size());
    numbers_.emplace(Key(key), number);
    return number;
  }
  const Value& operator[](uint32_t number) {
    std::lock_guard lock(mutex_);
    return number == 0 ? none_ : values_[number - 1];
  }

 private:
  std::mutex mutex_;
  std::map<Key, uint32_t, std::less<>> numbers_;
  std::deque<Value> values_;
  Value none_{};
};
Numbers<std::string, std::string>& names() {
  static auto* n = new Numbers<std::string, std::string>;
  return *n;
}
using ModuleKey = std::pair<uint32_t, std::string>;
Numbers<ModuleKey, ModuleName>& module_names() {
  static auto* n = new Numbers<ModuleKey, ModuleName>;
  return *n;
}
uint32_t number_of_module(const std::string& path, uint32_t parent) {
  return module_names().of(ModuleKey(parent, path), [&] { return ModuleName{path, parent}; });
}

// The calling thread's part of the session that it last heard of.
struct MyLog {
  uint32_t session = 0;
  std::shared_ptr<ProfileSession> of;
  std::shared_ptr<ThreadLog> log;
  std::unordered_map<std::string_view, uint32_t> names;

  uint32_t name(std::string_view text) {
    if (const auto it = names.find(text); it != names.end()) return it->second;
    const uint32_t number = number_of_name(text);
    names.emplace(name_of(number), number);
    return number;
  }
};
thread_local MyLog* t_log = nullptr;
thread_local bool t_ended = false;

/// Null where nothing is recorded: between sessions, and while the thread ends.
MyLog* my_log() {
  const uint32_t listening = g_listening.load(std::memory_order_relaxed);
  if (t_log && t_log->session == listening && listening != 0) [[likely]]
    return t_log;
  if (listening == 0 || t_ended) return nullptr;
  struct Owner {
    MyLog log;
    ~Owner() {
      t_log = nullptr;
      t_ended = true;
    }
  };
  thread_local Owner owner;
  const std::shared_ptr<ProfileSession> session = ProfileSession::current();
  if (!session || session->number() != listening) return nullptr;
  owner.log.log = session->add_thread();
  owner.log.of = session;
  owner.log.session = listening;
  return t_log = &owner.log;
}

/// Is the block an output of the call? Of tensors without a storage the size has to do.
bool is_output(const ThreadLog::Block& b, const KernelCall& call, const KernelCost& cost) {
  if (call.plan) return b.bytes == cost.written;
  for (int i = 0; i < call.count; ++i) {
    if (!(call.written >> i & 1)) continue;
    const TensorRef& y = *call.operands[i];
    if (y.storage ? y.storage->id() == b.storage : b.bytes == y.numel * static_cast<int64_t>(itemsize(y.dtype)))
      return true;
  }
  return false;
}

ProfileToken open(MyLog& mine, ThreadLog::Event* e, uint32_t module) {
  ThreadLog& log = *mine.log;
  const auto index = static_cast<uint32_t>(log.events.size());
  e->parent = log.open.empty() ? 0 : log.open.back().event + 1;
  e->module = module;
  log.open.push_back({index, log.module});
  log.module = module;
  e->begin = mine.of->now();
  log.events.publish();
  return {mine.session, index, log.number};
}

ThreadLog::Event* next_event(ThreadLog& log) {
  ThreadLog::Event* e = log.events.next();
  if (!e) log.dropped.fetch_add(1, std::memory_order_relaxed);
  else static_cast<ProfileEvent&>(*e) = {};  // a call that failed here may have left something
  return e;
}

void* device_mark(Device d) {
  Backend& b = backend(d.type);
  void* mark = b.new_event(d.index);
  b.record_event(d.index, mark, b.current_stream(d.index));
  return mark;
}

/// What f gives; nothing where memory or a device fails, which is no reason to fail for what is profiled.
template <class F> ProfileToken unless_it_fails(const F& f) noexcept {
  try {
    if (MyLog* mine = my_log()) return f(*mine);
  } catch (...) {}
  return {};
}

ProfileToken on_kernel(const KernelCall& call) noexcept {
  return unless_it_fails([&](MyLog& mine) -> ProfileToken {
    ThreadLog& log = *mine.log;
    const KernelCost cost = cost_of(call);
    std::erase_if(log.pending, [&](size_t i) {
      if (!is_output(log.blocks[i], call, cost)) return false;
      log.blocks[i].slot.store(&call.slot, std::memory_order_relaxed);
      return true;
    });
    ThreadLog::Event* e = next_event(log);
    if (!e) return {};
    e->kind = ProfileKind::kernel;
    e->slot = &call.slot;
    e->device = call.device;
    e->dtype = call.count > 0 ? call.operands[0]->dtype : call.dtype;
    e->flop = cost.flop, e->read = cost.read, e->written = cost.written;
    if (call.device.type != DeviceType::cpu && backend(call.device.type).asynchronous()) {
      mine.of->mark_device(call.device);
      e->device_begin = device_mark(call.device);
    }
    return open(mine, e, log.module);
  });
}
ProfileToken on_call(const nn::Module& m) noexcept {
  return unless_it_fails([&](MyLog& mine) -> ProfileToken {
    ThreadLog& log = *mine.log;
    log.pending.clear();
    uint32_t& number = log.modules[m.state().id];
    if (number == 0) number = mine.of->module_number(m, log.module);
    const uint32_t name = mine.name(m.name());
    ThreadLog::Event* e = next_event(log);
    if (!e) return {};
    e->kind = ProfileKind::module;
    e->name = name;
    return open(mine, e, number);
  });
}
ProfileToken open_named(ProfileKind kind, std::string_view text, const uint32_t* module) noexcept {
  return unless_it_fails([&](MyLog& mine) -> ProfileToken {
    ThreadLog& log = *mine.log;
    log.pending.clear();
    const uint32_t name = mine.name(text);
    ThreadLog::Event* e = next_event(log);
    if (!e) return {};
    e->kind = kind;
    e->name = name;
    return open(mine, e, module ? *module : log.module);
  });
}
ProfileToken on_backward(const char* name, uint32_t module) noexcept {
  return open_named(ProfileKind::backward, name, &module);
}

void on_leave(ProfileToken token) noexcept {
  MyLog* mine = t_log;
  if (!mine || mine->session != token.session || mine->log->number != token.thread) return;
  ThreadLog& log = *mine->log;
  const auto is_it = [&](const ThreadLog::Open& o) { return o.event == token.index; };
  if (std::none_of(log.open.rbegin(), log.open.rend(), is_it)) return;  // a range that ended with the one around it
  const int64_t now = std::max<int64_t>(mine->of->now(), 1);
  for (bool found = false; !found;) {
    const ThreadLog::Open last = log.open.back();
    log.open.pop_back();
    log.module = last.module_before;
    found = is_it(last);
    ThreadLog::Event& e = log.events[last.event];
    try {
      if (e.device_begin) e.device_end = device_mark(e.device);
    } catch (...) {}
    e.end.store(now, std::memory_order_release);
    if (e.kind != ProfileKind::kernel) log.pending.clear();
  }
}

uint32_t on_module() noexcept {
  MyLog* mine = nullptr;
  try {
    mine = my_log();
  } catch (...) {}
  return mine ? mine->log->module : 0;
}

void note_block(uint64_t storage, int64_t bytes, Device device) noexcept {
  unless_it_fails([&](MyLog& mine) -> ProfileToken {
    ThreadLog& log = *mine.log;
    const char* op = bytes >= 0 ? weft::detail::op_name() : nullptr;
    const uint32_t name = op ? mine.name(op) : 0;
    ThreadLog::Block* b = log.blocks.next();
    if (!b) {
      log.dropped.fetch_add(1, std::memory_order_relaxed);
      return {};
    }
    b->storage = storage;
    b->bytes = bytes;
    b->device = device;
    b->name = name;
    b->module = log.module;
    b->parent = log.open.empty() ? 0 : log.open.back().event + 1;
    if (b->parent != 0 && log.events[b->parent - 1].kind == ProfileKind::kernel) {
      b->slot.store(log.events[b->parent - 1].slot, std::memory_order_relaxed);
      b->parent = log.events[b->parent - 1].parent;
    } else if (bytes >= 0) {
      if (log.pending.size() == 64) log.pending.erase(log.pending.begin());  // nobody's, by now
      log.pending.push_back(log.blocks.size());
    }
    b->time = mine.of->now();
    log.blocks.publish();
    return {};
  });
}
void on_allocated(uint64_t storage, size_t bytes, Device device) noexcept {
  note_block(storage, static_cast<int64_t>(bytes), device);
}
void on_freed(uint64_t storage) noexcept { note_block(storage, -1, {}); }

constexpr weft::detail::ProfileListener kListener{on_kernel, on_call,      on_backward, on_leave,
                                                  on_module, on_allocated, on_freed};

}  // namespace

uint32_t number_of_name(std::string_view name) {
  return names().of(name, [&] { return std::string(name); });
}
const std::string& name_of(uint32_t number) { return names()[number]; }
const ModuleName& module_of(uint32_t number) { return module_names()[number]; }

weft::detail::ProfileScope open_range(std::string_view name) {
  if (const weft::detail::ProfileListener* l = weft::detail::profiling())
    return {*l, open_named(ProfileKind::range, name, nullptr)};
  return {};
}

ProfileSession::ProfileSession(const nn::Module* model, int64_t max_events)
    : start_(std::chrono::steady_clock::now()), max_events_(max_events), number_(++g_sessions) {
  if (!model) return;
  const uint32_t root = number_of_module("(model)", 0);
  numbers_[model->state().id] = root;
  modules_.emplace(root, *model);
  add_tree(*model, root, "");
}
ProfileSession::~ProfileSession() {
  const auto free = [](Device d, void* mark) {
    if (mark) backend(d.type).free_event(d.index, mark);
  };
  for (const auto& log : threads_)
    for (size_t i = 0; i < log->events.size(); ++i) {
      const ThreadLog::Event& e = log->events[i];
      if (!e.device_begin) continue;
      free(e.device, e.device_begin);
      free(e.device, e.device_end);
    }
  for (const auto& [device, mark] : device_starts_)
    free(Device(static_cast<DeviceType>(device.first), device.second), mark);
}

void ProfileSession::reserve(const std::shared_ptr<ProfileSession>& s) {
  std::lock_guard lock(g_mutex);
  WEFT_CHECK(!g_session, ValueError, "Profiler: another one is running; stop() it first");
  g_session = s;
}
void ProfileSession::listen() {
  {
    std::lock_guard lock(mutex_);
    start_ = std::chrono::steady_clock::now();
  }
  g_listening.store(number_, std::memory_order_release);
  ++nn::detail::observers;
  ++weft::detail::observers;
  weft::detail::profile_listener.store(&kListener, std::memory_order_release);
}
void ProfileSession::stop() {
  if (g_listening.load(std::memory_order_relaxed) == number_) {
    weft::detail::profile_listener.store(nullptr, std::memory_order_release);
    --weft::detail::observers;
    --nn::detail::observers;
    g_listening.store(0, std::memory_order_release);
  }
  std::unordered_map<uint32_t, nn::Module> modules;  // ends outside of the lock
  {
    std::lock_guard lock(mutex_);
    stopped_ = now();
    modules.swap(modules_);
    numbers_.clear();
  }
  std::lock_guard lock(g_mutex);
  g_session = nullptr;
}
void ProfileSession::forget() {
  if (t_log && t_log->session == number_) *t_log = {};
}
std::shared_ptr<ProfileSession> ProfileSession::current() {
  std::lock_guard lock(g_mutex);
  return g_session;
}

void ProfileSession::step() {
  std::lock_guard lock(mutex_);
  steps_.push_back(now());
}

std::shared_ptr<ThreadLog> ProfileSession::add_thread() {
  auto log = std::make_shared<ThreadLog>(max_events_);
  std::lock_guard lock(mutex_);
  log->number = static_cast<uint32_t>(threads_.size());
  threads_.push_back(log);
  return log;
}

void ProfileSession::mark_device(Device d) {
  std::lock_guard lock(mutex_);
  void*& mark = device_starts_[{static_cast<int>(d.type), d.index}];
  if (!mark) mark = device_mark(d);
}

void ProfileSession::add_tree(const nn::Module& root, uint32_t number, const std::string& prefix) {
  std::map<std::string, uint32_t> here{{"", number}};
  for (const auto& [name, module] : root.named_modules()) {
    if (name.empty()) continue;
    const size_t dot = name.rfind('.');
    const auto parent = here.find(dot == std::string::npos ? "" : name.substr(0, dot));
    const uint32_t mine = number_of_module(prefix + name, parent == here.end() ? number : parent->second);
    here[name] = mine;
    if (numbers_.try_emplace(module.state().id, mine).second) modules_.emplace(mine, module);
  }
}

uint32_t ProfileSession::module_number(const nn::Module& m, uint32_t around) {
  std::lock_guard lock(mutex_);
  const uint64_t id = m.state().id;
  if (const auto it = numbers_.find(id); it != numbers_.end()) return it->second;
  if (const auto it = modules_.find(around); it != modules_.end()) {  // added since, or by a call of its own
    const std::string& path = module_of(around).path;
    add_tree(nn::Module(it->second), around, path.starts_with('(') ? "" : path + ".");
    if (const auto found = numbers_.find(id); found != numbers_.end()) return found->second;
  }
  const uint32_t root = number_of_module(m.name(), 0);
  numbers_[id] = root;
  modules_.emplace(root, m);
  add_tree(m, root, m.name() + ".");
  return root;
}

ProfileData ProfileSession::data() {
  ProfileData out;
  std::lock_guard lock(mutex_);
  out.duration = stopped_ >= 0 ? stopped_ : now();
  out.steps = steps_;
  for (const auto& log : threads_) {
    ProfileThread& t = out.threads.emplace_back();
    out.dropped += log->dropped.load(std::memory_order_relaxed);
    const size_t blocks = log->blocks.size(), events = log->events.size();  // a block's call stands before it
    t.events.reserve(events);
    t.blocks.reserve(blocks);
    for (size_t i = 0; i < events; ++i) {
      ThreadLog::Event& e = log->events[i];
      FinishedEvent& f = t.events.emplace_back();
      f.end = e.end.load(std::memory_order_acquire);
      const bool ended = f.end != 0;
      static_cast<ProfileEvent&>(f) = ProfileEvent{e.begin, e.slot,   e.name, e.module, e.parent,  e.kind,
                                                   e.dtype, e.device, e.flop, e.read,   e.written, e.device_begin};
      if (!ended) f.end = std::max(out.duration, f.begin);
      if (!ended || !e.device_begin || !e.device_end) continue;
      f.device_end = e.device_end;
      Backend& b = backend(e.device.type);
      b.synchronize_event(e.device.index, e.device_end);
      f.device_start_ms = b.elapsed_ms(device_starts_[{static_cast<int>(e.device.type), e.device.index}],
                                       e.device_begin);
      f.device_ms = b.elapsed_ms(e.device_begin, e.device_end);
    }
    for (size_t i = 0; i < blocks; ++i) {
      FinishedBlock& f = t.blocks.emplace_back();
      static_cast<ProfileBlock&>(f) = log->blocks[i];
      f.slot = log->blocks[i].slot.load(std::memory_order_relaxed);
    }
  }
  return out;
}

}  // namespace weft::training::detail
