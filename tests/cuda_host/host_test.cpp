// What the CUDA backend's host code asks of the driver, over cards that are made up: order of streams, devices, errors.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "support/fake_card/cuda_runtime.h"
#include "support/throws.h"
#include "weft/backends/cuda/fault.h"
#include "weft/backends/cuda/register.h"
#include "weft/backends/cuda/runtime.h"
#include "weft/backends/cuda/transfer.h"
#include "weft/core/backend.h"
#include "weft/core/error.h"

using namespace weft;
using fake_card::calls;
using support::message_of;

namespace {

constexpr size_t kBytes = 3 << 20;

/// The backend, with `count` cards on which nothing happens yet.
Backend& cards(int count = 2) {
  static const char* missing = cuda::register_services();
  REQUIRE(missing == nullptr);
  fake_card::reset(count);
  return backend(DeviceType::cuda);
}
Device card(int i) { return {DeviceType::cuda, i}; }
int runtime_device() {
  int now = -1;
  (void)cudaGetDevice(&now);
  return now;
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A stream that is the current one of its device until the end of the scope.
struct InStream {
  Backend& b;
  int device;
  void* stream;
  InStream(Backend& of, int d) : b(of), device(d), stream(of.new_stream(d)) { b.set_stream(device, stream); }
  ~InStream() {
    b.set_stream(device, nullptr);
    b.free_stream(device, stream);
  }
  cudaStream_t handle() const { return static_cast<cudaStream_t>(stream); }
};

/// A block on card 1 that another stream reads is freed and given to its own stream again, which writes: what the
/// reader sees.
int seen_by_reader(Backend& b) {
  const InStream own(b, 1);
  auto* reader = static_cast<cudaStream_t>(b.new_stream(1));
  b.activate(0);
  auto* p = static_cast<int*>(b.allocate(kBytes, 1));
  *p = 7;
  int seen = 0;
  fake_card::launch(reader, [p, &seen] { seen = *p; });
  b.record_stream(p, 1, reader);
  b.deallocate(p, kBytes, 1);
  void* again = b.allocate(kBytes, 1);
  REQUIRE(again == p);
  fake_card::launch(own.handle(), [p] { *p = 8; });
  b.synchronize_stream(1, own.stream);
  CHECK(*p == 8);
  fake_card::run_all();
  b.deallocate(again, kBytes, 1);
  b.free_stream(1, reader);
  return seen;
}

}  // namespace

TEST_SUITE_BEGIN("cuda host code");

TEST_CASE("a block of another card is used again behind the streams that read it") {
  Backend& b = cards();
  CHECK(seen_by_reader(b) == 7);
  CHECK(runtime_device() == 0);
  CHECK(calls("cudaEventRecord") == 1);
  CHECK(calls("cudaStreamSynchronize") == 1);  // the test's
}

TEST_CASE("where no event can be had the host waits, and nobody is blamed") {
  for (const char* broken : {"cudaEventRecord", "cudaStreamWaitEvent"}) {
    CAPTURE(broken);
    Backend& b = cards();
    fake_card::fail(broken, cudaErrorInvalidValue);
    CHECK(seen_by_reader(b) == 7);
    CHECK(cudaGetLastError() == cudaSuccess);
  }
}

TEST_CASE("a block keeps each stream once") {
  Backend& b = cards();
  auto* a = b.new_stream(0);
  auto* c = b.new_stream(0);
  void* p = b.allocate(kBytes, 0);
  for (int i = 0; i < 1000; ++i) {
    b.record_stream(p, 0, a);
    b.record_stream(p, 0, c);
    b.record_stream(p, 0, nullptr);  // its own
  }
  b.deallocate(p, kBytes, 0);
  CHECK(calls("cudaEventRecord") == 2);
  b.free_stream(0, a);
  b.free_stream(0, c);
}

TEST_CASE("the device that others have set is asked for and given back") {
  Backend& b = cards();
  b.activate(1);
  REQUIRE(cudaSetDevice(0) == cudaSuccess);  // another library
  b.activate(1);
  CHECK(cuda::device() == 1);
  REQUIRE(cudaSetDevice(0) == cudaSuccess);
  b.empty_cache(1);
  const size_t before = fake_card::taken(1);
  void* p = b.allocate(kBytes, 1);
  CHECK(runtime_device() == 0);
  b.deallocate(p, kBytes, 1);
  b.synchronize(1);
  b.free_stream(1, b.new_stream(1));
  b.free_event(1, b.new_event(1));
  b.empty_cache(1);
  CHECK(runtime_device() == 0);
  CHECK(fake_card::taken(1) == before);
}

TEST_CASE("no memory is an OutOfMemory, any other failure is told as it is") {
  Backend& b = cards(8);
  b.empty_cache(3);
  fake_card::fail("cudaMallocAsync", cudaErrorMemoryAllocation, 100);
  CHECK(has(message_of<OutOfMemory>([&] { b.allocate(kBytes, 3); }), "out of memory: 3145728 bytes requested"));
  CHECK(cudaGetLastError() == cudaSuccess);
  fake_card::fail("cudaMallocAsync", cudaErrorNotSupported, 1);
  CHECK(message_of<DeviceError>([&] { b.allocate(kBytes, 3); }) == "cuda: cudaMallocAsync: operation not supported");
  CHECK(cudaGetLastError() == cudaSuccess);
  fake_card::fail("cudaMallocAsync", cudaErrorMemoryAllocation, 1);  // the cache is emptied and helps
  b.deallocate(b.allocate(kBytes, 3), kBytes, 3);

  // What another stream keeps is given back and waited for, but for one that is being captured.
  auto* other = static_cast<cudaStream_t>(b.new_stream(3));
  b.set_stream(3, other);
  b.deallocate(b.allocate(600 << 20, 3), 600 << 20, 3);
  b.set_stream(3, nullptr);
  b.deallocate(b.allocate(700 << 20, 3), 700 << 20, 3);
  fake_card::begin_capture(other);
  CHECK(has(message_of<OutOfMemory>([&] { b.allocate(size_t{2} << 30, 3); }), "out of memory"));
  CHECK(fake_card::end_capture(other));
  b.free_stream(3, other);
  b.empty_cache(3);
}

TEST_CASE("freeing never throws") {
  Backend& b = cards();
  auto* other = b.new_stream(1);
  void* p = b.allocate(kBytes, 1);
  void* host = b.allocate_pinned(kBytes);
  b.record_stream(p, 1, other);
  for (const char* f : {"cudaSetDevice", "cudaGetDevice", "cudaEventRecord", "cudaStreamSynchronize", "cudaEventCreate",
                        "cudaEventDestroy"})
    fake_card::fail(f, cudaErrorIllegalAddress, 100);
  b.deallocate(p, kBytes, 1);
  b.deallocate_pinned(host, kBytes);
  b.free_stream(1, other);
  b.free_event(1, nullptr);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("a card without memory pools has cudaMalloc") {
  Backend& b = cards(8);
  fake_card::set_memory_pools(false);
  void* p = b.allocate(kBytes, 5);
  CHECK(calls("cudaMallocAsync") == 0);
  CHECK(calls("cudaMalloc") == 1);
  b.deallocate(p, kBytes, 5);
  b.empty_cache(5);
  CHECK(calls("cudaFree") == 1);
  CHECK(fake_card::taken(5) == 0);
  CHECK(b.memory_stats(5).reserved == 0);
}

TEST_CASE("blocks do not differ in their alignment") {
  Backend& b = cards(8);
  std::vector<std::pair<void*, size_t>> all;
  for (size_t bytes : {0, 1, 63, 512, 513, 600, 1025, 4000, 70'000, 1 << 20, 5 << 20})
    for (int i = 0; i < 3; ++i) all.emplace_back(b.allocate(bytes, 4), bytes);
  for (auto [p, bytes] : all) {
    CHECK(reinterpret_cast<uintptr_t>(p) % 512 == 0);
    b.deallocate(p, bytes, 4);
  }
  CHECK(b.memory_stats(4).active == 0);
}

TEST_CASE("WEFT_CUDA_ALLOCATOR=direct: every block is the driver's own") {
  Backend& b = cards(8);
  REQUIRE(setenv("WEFT_CUDA_ALLOCATOR", "direct", 1) == 0);
  void *p = b.allocate(100, 6), *q = b.allocate(0, 6);
  REQUIRE(unsetenv("WEFT_CUDA_ALLOCATOR") == 0);
  CHECK(calls("cudaMalloc") == 2);
  CHECK(fake_card::taken(6) == 101);
  CHECK(b.memory_stats(6).active == 100);
  b.record_stream(p, 6, nullptr);
  b.deallocate(p, 100, 6);
  b.deallocate(q, 0, 6);
  CHECK(calls("cudaFree") == 2);
  CHECK(fake_card::taken(6) == 0);
  b.set_memory_limit(50, 6);
  CHECK(has(message_of<OutOfMemory>([&] { b.allocate(100, 6); }), "cuda:6: out of memory: 100 bytes requested"));
  b.set_memory_limit(0, 6);
}

TEST_CASE("errors name the call or the kernel, and a lost context says so once") {
  cards();
  (void)cudaSetDevice(99);  // somebody's error that nobody looked at
  cuda::check(cudaSuccess, "cudaEventRecord");
  cuda::check_launch(cudaSuccess, nullptr);
  const auto launched = [](cudaError_t e) { return message_of<DeviceError>([e] { cuda::check_launch(e, nullptr); }); };
  CHECK(launched(cudaErrorNotSupported) == "cuda: launch of weft::cuda::copy_kernel(): operation not supported");
  CHECK(cudaGetLastError() == cudaSuccess);
  const auto copied = [] {
    return message_of<DeviceError>([] { cuda::check(cudaErrorIllegalAddress, "cudaMemcpyAsync"); });
  };
  const std::string first = copied();
  CHECK(has(first, "cuda: cudaMemcpyAsync: an illegal memory access was encountered"));
  CHECK(has(first, "the context is lost, start the process again"));
  CHECK(copied() == "cuda: cudaMemcpyAsync: the context was lost before; start the process again");
}

TEST_CASE("what a kernel reports is raised when the host waits") {
  Backend& b = cards();
  b.activate(0);
  cuda::Fault* f = cuda::fault();
  const int32_t index = cuda::fault_site("gather", 1), text = cuda::fault_site("div", 0, "integer division by zero");
  CHECK(index != text);
  const auto report = [f](int32_t site) {
    f->claimed = 1, f->site = site, f->index = 9, f->size = 5;
    f->published = 1;
  };
  fake_card::launch(nullptr, [&] { report(index); });
  const std::string gather = message_of<ValueError>([&] { b.synchronize(0); });
  CHECK(has(gather, "gather: index 9 is out of range for dimension 1 of size 5 (on cuda:0"));
  b.synchronize(0);
  fake_card::launch(nullptr, [&] { report(text); });
  int host = 0;
  void* p = b.allocate(4, 0);
  CHECK(has(message_of<ValueError>([&] { b.copy(&host, Device(), p, card(0), 4, false); }),
            "div: integer division by zero (on cuda:0"));
  b.deallocate(p, 4, 0);
}

TEST_CASE("pinned memory is used again when the copies from it are done") {
  Backend& b = cards();
  void* p = b.allocate(kBytes, 0);
  const int before = calls("cudaHostAlloc");
  void* host = b.allocate_pinned(kBytes);
  std::memset(host, 1, kBytes);
  b.copy(p, card(0), static_cast<char*>(host) + 5, Device(), 100, true);  // a part of it
  b.deallocate_pinned(host, kBytes);
  void* other = b.allocate_pinned(kBytes);
  CHECK(other != host);  // the copy has not run
  fake_card::run_all();
  void* third = b.allocate_pinned(kBytes);
  CHECK(third == host);
  CHECK(*static_cast<char*>(p) == 1);
  CHECK(calls("cudaHostAlloc") - before <= 2);
  b.deallocate_pinned(other, kBytes);
  b.deallocate_pinned(third, kBytes);
  b.empty_cache(0);
  CHECK(calls("cudaFreeHost") >= 2);
  b.deallocate(p, kBytes, 0);
}

TEST_CASE("a copy from plain host memory waits for nothing and is staged by nobody else") {
  Backend& b = cards();
  constexpr size_t n = 20 << 20;  // several pieces
  std::vector<char> host(n);
  std::iota(host.begin(), host.end(), 0);
  const std::vector<char> expected = host;
  auto* p = static_cast<char*>(b.allocate(n, 0));
  bool before = false;
  fake_card::launch(nullptr, [&] { before = true; });
  b.copy(p, card(0), host.data(), Device(), n, false);
  std::fill(host.begin(), host.end(), 0);
  CHECK_FALSE(before);
  CHECK(calls("cudaStreamSynchronize") + calls("cudaDeviceSynchronize") + calls("cudaEventSynchronize") == 0);
  CHECK(fake_card::pageable_copies() == 0);
  b.copy(host.data(), Device(), p, card(0), n, false);
  CHECK(before);
  CHECK(host == expected);

  b.empty_cache(0);
  fake_card::fail("cudaHostAlloc", cudaErrorMemoryAllocation, 100);  // then the driver has to
  b.copy(p, card(0), host.data(), Device(), n, false);
  fake_card::run_all();
  CHECK(std::memcmp(p, expected.data(), n) == 0);
  CHECK(fake_card::pageable_copies() > 0);
  CHECK(has(message_of<OutOfMemory>([&] { b.allocate_pinned(n); }), "no pinned memory for 20971520 bytes"));
  CHECK(cudaGetLastError() == cudaSuccess);
  b.deallocate(p, n, 0);
}

TEST_CASE("tables go up in the stream's order and wait for nothing, also into a graph") {
  Backend& b = cards();
  const InStream s(b, 1);
  b.activate(1);
  for (const size_t n : {size_t{100}, size_t{100'000}}) {
    std::vector<unsigned char> host(n, 7), seen(n);
    const int copies = calls("cudaMemcpyAsync");
    bool before = false;
    fake_card::launch(s.handle(), [&] { before = true; });
    const cuda::Upload table(host.data(), n);
    std::fill(host.begin(), host.end(), 0);
    CHECK_FALSE(before);
    CHECK(calls("cudaMemcpyAsync") - copies == (n > 4096));
    fake_card::launch(s.handle(), [&, p = table.as<unsigned char>()] { std::memcpy(seen.data(), p, n); });
    fake_card::run_all();
    CHECK(seen == std::vector<unsigned char>(n, 7));

    fake_card::begin_capture(s.handle());
    const cuda::Upload captured(host.data(), n);
    CHECK(fake_card::end_capture(s.handle()));
    CHECK(calls("cudaMemcpyAsync") - copies == (n > 4096));  // the host's bytes would not be there any more
  }
  CHECK(calls("cudaStreamSynchronize") + calls("cudaDeviceSynchronize") + calls("cudaEventSynchronize") == 0);
  CHECK(runtime_device() == 1);
}

TEST_CASE("a copy from pinned memory that may be changed afterwards is waited for") {
  Backend& b = cards();
  auto* p = static_cast<char*>(b.allocate(kBytes, 0));
  auto* host = static_cast<char*>(b.allocate_pinned(kBytes));
  host[0] = 3;
  b.copy(p, card(0), host, Device(), kBytes, false);
  host[0] = 4;
  fake_card::run_all();
  CHECK(p[0] == 3);
  b.copy(host, Device(), p, card(0), kBytes, false);
  CHECK(host[0] == 3);
  b.deallocate_pinned(host, kBytes);
  b.deallocate(p, kBytes, 0);
}

TEST_CASE("copies between cards: each stream waits for the other, the host for none") {
  Backend& b = cards();
  const InStream to(b, 0), from(b, 1);
  auto *p = static_cast<int*>(b.allocate(kBytes, 0)), *q = static_cast<int*>(b.allocate(kBytes, 1));
  for (int i = 0; i < 2; ++i) {
    fake_card::launch(from.handle(), [q] { *q = 7; });
    b.copy(p, card(0), q, card(1), kBytes, false);
    fake_card::launch(from.handle(), [q] { *q = 8; });
    CHECK(calls("cudaStreamSynchronize") == i);
    b.synchronize_stream(i, i == 0 ? to.stream : from.stream);
    fake_card::run_all();
    CHECK(*p == 7);
    CHECK(*q == 8);
  }
  CHECK(calls("cudaMemPoolSetAccess") == 1);
  CHECK(calls("cudaDeviceEnablePeerAccess") == 1);
  CHECK(runtime_device() == 0);
  b.deallocate(p, kBytes, 0);
  b.deallocate(q, kBytes, 1);
}

TEST_CASE("while a stream is captured its memory is the graph's, and waiting is refused by name") {
  Backend& b = cards();
  b.empty_cache(0);
  const InStream s(b, 0);
  void* outside = b.allocate(kBytes, 0);
  void* host = b.allocate_pinned(kBytes);
  std::vector<char> plain(100);
  void* sent = b.allocate_pinned(kBytes);
  b.copy(outside, card(0), sent, Device(), 100, true);
  b.deallocate_pinned(sent, kBytes);
  void* const event = b.new_event(0);
  fake_card::begin_capture(s.handle());
  b.deallocate_pinned(b.allocate_pinned(kBytes), kBytes);  // asks for copies of the time before, and takes new memory
  CHECK(b.event_done(0, event));
  void* p = b.allocate(kBytes, 0);
  b.deallocate(p, kBytes, 0);
  void* again = b.allocate(kBytes, 0);
  CHECK(again == p);
  b.copy(again, card(0), host, Device(), 100, true);
  const auto refused = [](auto&& f) { return message_of<NotSupported>(f); };
  CHECK(has(refused([&] { b.copy(plain.data(), Device(), p, card(0), 100, false); }),
            "cuda: a graph cannot hold a copy that the host waits for, and the stream is being captured"));
  CHECK(has(refused([&] { b.copy(p, card(0), plain.data(), Device(), 100, false); }), "a copy from the host"));
  CHECK(has(refused([&] { b.copy(p, card(0), outside, card(1), 100, false); }), "a copy between cards"));
  CHECK(has(refused([&] { b.synchronize(0); }), "a wait for the device"));
  CHECK(has(refused([&] { b.synchronize_stream(0, s.stream); }), "a wait for the stream"));
  CHECK(has(refused([&] { b.empty_cache(0); }), "an emptied cache"));
  b.activate(0);
  CHECK(has(refused([&] { cuda::refuse_capture("random numbers"); }), "random numbers"));
  CHECK(fake_card::end_capture(s.handle()));
  b.free_event(0, event);
  b.deallocate(again, kBytes, 0);
  void* after = b.allocate(kBytes, 0);
  CHECK(after != p);  // the graph writes there
  b.deallocate_pinned(host, kBytes);
  void* other = b.allocate_pinned(kBytes);
  CHECK(other != host);  // the graph reads there
  b.copy(after, card(0), other, Device(), 100, true);
  b.deallocate_pinned(other, kBytes);
  fake_card::run_all();
  void* third = b.allocate_pinned(kBytes);
  CHECK(third == other);  // which keeps nobody else
  b.deallocate_pinned(third, kBytes);
  b.deallocate(after, kBytes, 0);
  b.deallocate(outside, kBytes, 0);
}

TEST_CASE("a block that a captured stream uses is nobody else's afterwards") {
  Backend& b = cards();
  auto* s = static_cast<cudaStream_t>(b.new_stream(0));
  void* p = b.allocate(kBytes, 0);
  fake_card::begin_capture(s);
  b.record_stream(p, 0, s);
  CHECK(fake_card::end_capture(s));
  b.deallocate(p, kBytes, 0);
  void* q = b.allocate(kBytes, 0);
  CHECK(q != p);
  b.deallocate(q, kBytes, 0);
  b.free_stream(0, s);
}

TEST_SUITE_END();
