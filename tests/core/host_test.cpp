// What the machine and control groups leave: read from trees that look like /proc and /sys.
#include "weft/core/host.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>

using namespace weft;
namespace fs = std::filesystem;

namespace {

using Files = std::map<std::string, std::string>;

struct Tree {
  explicit Tree(const Files& files) {
    std::string pattern = (fs::temp_directory_path() / "weft_host_XXXXXX").string();
    root = mkdtemp(pattern.data());
    for (const auto& [path, text] : files) {
      fs::create_directories((root + path).substr(0, (root + path).rfind('/')));
      std::ofstream(root + path) << text;
    }
  }
  ~Tree() { fs::remove_all(root); }
  size_t memory() const { return detail::available_memory(root); }
  int cpus() const { return detail::cpu_quota(root); }
  std::string root;
};

const char* const kMachine =
    "MemTotal:       32000000 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\nSwapTotal:   4000000 kB\n"
    "SwapFree:        3000000 kB\n";
constexpr size_t kOfMachine = size_t{23000000} << 10;

}  // namespace

TEST_SUITE("host") {
  TEST_CASE("nothing known, and a machine without groups") {
    const Tree nothing(Files{}), plain(Files{{"/proc/meminfo", kMachine}});
    CHECK(nothing.memory() == SIZE_MAX);
    CHECK(nothing.cpus() == 0);
    CHECK(plain.memory() == kOfMachine);
    CHECK(plain.cpus() == 0);
    CHECK(detail::available_memory() > size_t{16} << 20);  // here, too, there is some
  }

  TEST_CASE("v2: the tightest of the group and those above it, and pages of files can be dropped") {
    const Tree t(
        {{"/proc/meminfo", kMachine},
         {"/proc/self/cgroup", "0::/user.slice/job.scope\n"},
         {"/sys/fs/cgroup/user.slice/job.scope/memory.max", "max\n"},
         {"/sys/fs/cgroup/user.slice/job.scope/memory.current", "900000000\n"},
         {"/sys/fs/cgroup/user.slice/job.scope/cpu.max", "max 100000\n"},
         {"/sys/fs/cgroup/user.slice/memory.max", "2000000000\n"},
         {"/sys/fs/cgroup/user.slice/memory.current", "1500000000\n"},
         {"/sys/fs/cgroup/user.slice/memory.stat", "anon 800000000\ninactive_file 300000000\nactive_file 1000\n"},
         {"/sys/fs/cgroup/user.slice/cpu.max", "250000 100000\n"}});
    CHECK(t.memory() == 500000000 + 300000000 + 1000);
    CHECK(t.cpus() == 3);
  }

  TEST_CASE("v1: each controller has its hierarchy") {
    const Tree t({{"/proc/meminfo", kMachine},
                  {"/proc/self/cgroup", "4:memory:/box/7\n2:cpu,cpuacct:/box/7\n1:name=systemd:/x\n0::/\n"},
                  {"/sys/fs/cgroup/memory/box/7/memory.limit_in_bytes", "1000000000\n"},
                  {"/sys/fs/cgroup/memory/box/7/memory.usage_in_bytes", "700000000\n"},
                  {"/sys/fs/cgroup/memory/box/7/memory.stat",
                   "inactive_file 5\ntotal_inactive_file 100000000\ntotal_active_file 0\n"},
                  {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
                  {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "5000000000\n"},
                  {"/sys/fs/cgroup/cpu/box/7/cpu.cfs_quota_us", "50000\n"},
                  {"/sys/fs/cgroup/cpu/box/7/cpu.cfs_period_us", "100000\n"},
                  {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
                  {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}});
    CHECK(t.memory() == 400000000);
    CHECK(t.cpus() == 1);
  }

  TEST_CASE("within a container the path is the host's: its own root is the group") {
    const Tree v2({{"/proc/self/cgroup", "0::/docker/0123\n"},
                   {"/sys/fs/cgroup/memory.max", "300000000\n"},
                   {"/sys/fs/cgroup/memory.current", "400000000\n"},  // above its limit: nothing is left
                   {"/sys/fs/cgroup/cpu.max", "400000 100000\n"}});
    CHECK(v2.memory() == 0);
    CHECK(v2.cpus() == 4);
    const Tree v1({{"/proc/self/cgroup", "3:memory:/docker/0123\n"},
                   {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "300\n"},
                   {"/sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n"}});
    CHECK(v1.memory() == 200);
  }

  TEST_CASE("what cannot be read is no limit") {
    const Tree t({{"/proc/meminfo", "MemTotal: 5 kB\n"},
                  {"/proc/self/cgroup", "garbage\n0::\n:::\n5:memory\n"},
                  {"/sys/fs/cgroup/memory.max", ""},
                  {"/sys/fs/cgroup/cpu.max", "100000"}});
    CHECK(t.memory() == SIZE_MAX);
    CHECK(t.cpus() == 0);
  }
}
