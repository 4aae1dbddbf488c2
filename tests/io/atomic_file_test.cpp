// What saving does to the place that it writes to: rights, links, long names, and what killed processes leave.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>

#include "io/io_test.h"
#include "weft/io/file.h"
#include "weft/io/image.h"
#include "weft/io/npy.h"
#include "weft/io/safetensors.h"

using namespace io_test;
namespace fs = std::filesystem;

namespace {

int mode_of(const std::string& path) {
  struct stat s {};
  return ::stat(path.c_str(), &s) == 0 ? static_cast<int>(s.st_mode & 07777) : -1;
}

void put(const std::string& path, std::string_view text) {
  io::AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

StateDict small() {
  StateDict dict;
  dict.insert("w", ones({3}));
  return dict;
}

std::string only_part(const Folder& folder) {
  for (const auto& entry : fs::directory_iterator(folder.path))
    if (entry.path().filename().string().starts_with(".weft-part-")) return entry.path().string();
  return "";
}

}  // namespace

TEST_SUITE_BEGIN("atomic file");

TEST_CASE("a file that is replaced keeps its rights, a new one has the umask's") {
  Folder folder;
  const std::string path = folder / "f";
  for (int mode : {0600, 0640, 0604, 0755, 0400, 0666}) {
    write_file(path, "old");
    ::chmod(path.c_str(), static_cast<mode_t>(mode));
    put(path, "new");
    CHECK_EQ(mode_of(path), mode);
    CHECK_EQ(read_file(path), "new");
    fs::remove(path);
  }
  const mode_t before = ::umask(027);
  put(folder / "created", "x");
  ::umask(before);
  CHECK_EQ(mode_of(folder / "created"), 0640);
}

TEST_CASE("every writer keeps the rights") {
  Folder folder;
  auto check = [&](const std::string& name, auto write) {
    write_file(folder / name, "old");
    ::chmod((folder / name).c_str(), 0600);
    write(folder / name);
    CHECK_EQ(mode_of(folder / name), 0600);
    CHECK_NE(read_file(folder / name), "old");
  };
  check("a.safetensors", [](const std::string& path) { io::save(small(), path); });
  check("a.npy", [](const std::string& path) { io::save_npy(ones({2}), path); });
  check("a.npz", [](const std::string& path) { io::save_npz(small(), path); });
#if defined(WEFT_HAS_IMAGE)
  check("a.png", [](const std::string& path) { io::write_image(zeros({2, 2}, Dtype::u8), path); });
#endif
  CHECK_EQ(folder.files(), fs::exists(folder / "a.png") ? 4 : 3);
}

TEST_CASE("a part is private while the file that it replaces is, and it is short and hidden") {
  Folder folder;
  const std::string path = folder / "secret";
  write_file(path, "old");
  ::chmod(path.c_str(), 0600);
  io::AtomicFile file(path);
  const std::string part = only_part(folder);
  REQUIRE(!part.empty());
  CHECK_EQ(mode_of(part), 0600);
  CHECK_LE(fs::path(part).filename().string().size(), 48);
  CHECK_EQ(read_file(path), "old");
}

TEST_CASE("names as long as the file system allows") {
  Folder folder;
  for (size_t size : {200, 250, 255}) {
    const std::string path = folder / std::string(size, 'n');
    put(path, "x");
    CHECK_EQ(read_file(path), "x");
  }
  CHECK(refusal([&] { put(folder / std::string(256, 'n'), "x"); }).find("cannot be created: File name too long") !=
        std::string::npos);
  // A path near PATH_MAX whose last name is shorter than a part's
  std::string deep = folder.path.string();
  while (deep.size() + 202 < 4090) {
    deep += "/" + std::string(200, 'd');
    fs::create_directory(deep);
  }
  deep += "/" + std::string(4094 - deep.size() - 1, 'f');
  put(deep, "deep");
  CHECK_EQ(read_file(deep), "deep");
}

TEST_CASE("symlinks stay: to a file, in a chain, dangling, relative, into another folder") {
  Folder folder;
  fs::create_directory(folder / "sub");
  write_file(folder / "sub/there", "old");
  ::chmod((folder / "sub/there").c_str(), 0640);
  fs::create_symlink("sub/there", folder / "relative");
  fs::create_symlink(folder / "sub/there", folder / "absolute");
  fs::create_symlink("relative", folder / "chain");
  fs::create_symlink("sub/not yet", folder / "dangling");
  fs::create_symlink("dangling", folder / "to dangling");
  for (const char* name : {"relative", "absolute", "chain"}) {
    put(folder / name, name);
    CHECK(fs::is_symlink(folder / name));
    CHECK_EQ(read_file(folder / "sub/there"), name);
    CHECK_EQ(mode_of(folder / "sub/there"), 0640);
  }
  put(folder / "to dangling", "first");
  CHECK_EQ(read_file(folder / "sub/not yet"), "first");
  put(folder / "dangling", "second");
  CHECK_EQ(read_file(folder / "sub/not yet"), "second");
  CHECK(fs::is_symlink(folder / "dangling"));
  CHECK(fs::is_symlink(folder / "to dangling"));

  fs::create_symlink("loop", folder / "loop");
  CHECK(refusal([&] { put(folder / "loop", "x"); }).find("loop: cannot be created") != std::string::npos);
  CHECK(fs::is_symlink(folder / "loop"));
  fs::create_symlink("nowhere/file", folder / "lost");
  CHECK(refusal([&] { put(folder / "lost", "x"); }).find("lost: cannot be created: No such file") != std::string::npos);
  fs::create_symlink("sub", folder / "folder");
  CHECK(refusal([&] { put(folder / "folder", "x"); }).find("is a folder") != std::string::npos);
  CHECK(refusal([&] { put("", "x"); }).find("cannot be created") != std::string::npos);
}

TEST_CASE("an open file is written through, as a stream does") {
  Folder folder;
  const int fd = ::open((folder / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  REQUIRE_GE(fd, 0);
  put("/proc/self/fd/" + std::to_string(fd), "through");
  char text[16] = "";
  CHECK_EQ(::pread(fd, text, sizeof text - 1, 0), 7);  // the same file, not one in its place
  CHECK_EQ(std::string(text), "through");
  ::close(fd);
  put("/dev/null", "x");
  CHECK_EQ(folder.files(), 1);
}

TEST_CASE("parts of killed processes go, those of living ones stay") {
  Folder folder;
  const std::string path = folder / "model";
  int ready[2];
  REQUIRE_EQ(::pipe(ready), 0);
  pid_t children[3];
  for (pid_t& child : children) {
    child = ::fork();
    if (child == 0) {
      io::AtomicFile file(path);
      file.write("half", 4);
      (void)!::write(ready[1], "x", 1);
      for (;;) ::pause();
    }
    char c;
    REQUIRE_EQ(::read(ready[0], &c, 1), 1);
  }
  auto kill = [](pid_t child) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  };
  CHECK_EQ(folder.files(), 3);
  kill(children[0]);
  kill(children[1]);
  put(folder / "model2", "x");  // checkpoints with numbers: the next save has another name
  CHECK_EQ(folder.files(), 2);  // model2 and the living one's part
  put(path, "whole");
  CHECK_EQ(folder.files(), 3);
  kill(children[2]);
  {
    io::AtomicFile mine(path);  // a save that is not finished in this process
    put(path, "other");
    CHECK_EQ(folder.files(), 3);
    mine.write("mine", 4);
    mine.commit();
  }
  CHECK_EQ(read_file(path), "mine");
  CHECK_EQ(folder.files(), 2);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a part whose lock another holds is left alone") {
  Folder folder;
  std::string part;
  {
    io::AtomicFile file(folder / "f");
    part = only_part(folder);
    fs::copy_file(part, part + "x");
    std::string foreign = part;  // another host's part, of which this one may not see the lock
    foreign.replace(foreign.rfind('-') - 8, 8, "notours0");
    fs::copy_file(part, foreign);
  }
  put(folder / "other", "");
  CHECK_EQ(folder.files(), 2);  // only the other host's is left
  fs::copy_file(only_part(folder), part + "x");
  const int fd = ::open((part + "x").c_str(), O_WRONLY | O_CLOEXEC);
  REQUIRE_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  put(folder / "f", "1");
  CHECK_EQ(folder.files(), 3);  // f, other, and the locked one
  CHECK(fs::exists(part + "x"));
  ::close(fd);
  put(folder / "f", "2");
  CHECK_EQ(folder.files(), 2);
}

TEST_SUITE_END();
