#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <system_error>
#include <utility>

#include "weft/io/file.h"

namespace weft::io {

namespace {

constexpr int kMaxLinks = 40;  // the kernel's own limit

/// Where the bytes go when `path` is a symlink, or a chain of them; the last target need not exist. `open_file`: it is
/// a link of /proc to an open file, which may have no name any more: it can only be opened.
std::string follow_links(const std::string& path, bool& open_file) {
  std::filesystem::path at = path;
  std::error_code error;
  open_file = false;
  for (int i = 0; i < kMaxLinks && std::filesystem::is_symlink(at, error); ++i) {
    auto target = std::filesystem::read_symlink(at, error);
    if (error) break;
    auto folder = at.parent_path();
    open_file = std::filesystem::canonical(folder.empty() ? "." : folder, error).string().starts_with("/proc/");
    if (open_file) break;
    at = target.is_absolute() ? target : folder / target;
  }
  return at.string();
}

// A part's name: this, a hash of the target's name, a mark of the machine, a random number; the first three end with
// "-". It is short however long the target's name is.
constexpr std::string_view kPart = ".weft-part-";
constexpr size_t kHash = 16, kMark = 8;  // digits

std::string hashed(std::string_view text, size_t digits) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  char out[kHash + 1];
  std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(hash));
  return std::string(out).substr(kHash - digits) + "-";
}

/// Stands for this machine until it starts again; empty where the system does not tell.
const std::string& machine_mark() {
  static const std::string mark = [] {
    std::string id;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
    return id.empty() ? "" : hashed(id, kMark);
  }();
  return mark;
}

/// Whether a part may be taken for a dead process's once its lock is free: one of the same target, or one that was made
/// on this machine. Not all shared folders show the locks of other hosts, and they may be writing other files.
bool may_be_dead(std::string_view part, std::string_view same_target) {
  if (!part.starts_with(kPart)) return false;
  const std::string& mark = machine_mark();
  const size_t at = kPart.size() + kHash + 1;
  return part.starts_with(same_target) || (!mark.empty() && part.size() > at && part.substr(at).starts_with(mark));
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  struct stat info {};
  bool exists = ::stat(path.c_str(), &info) == 0;
  if (!exists && errno == ELOOP) fail("cannot be created");
  WEFT_CHECK(!exists || !S_ISDIR(info.st_mode), IoError, path_, ": is a folder");
  bool open_file = false;
  std::string target = follow_links(path, open_file), folder = ".";
  if (exists && (!S_ISREG(info.st_mode) || open_file)) {
    fd_ = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd_ < 0) fail("cannot be opened for writing");
    return;
  }
  size_t slash = target.rfind('/');
  if (slash != std::string::npos) folder = target.substr(0, slash + 1);
  name_ = slash == std::string::npos ? target : target.substr(slash + 1);
  if (name_.empty()) {
    errno = path.empty() ? ENOENT : EISDIR;
    fail("cannot be created");
  }
  // The part is made and renamed relative to its folder: the folder's path may use up the system's limit.
  folder_ = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0) fail("cannot be created");
  // Now rather than in commit: a name that is too long costs no written file then.
  if (::fstatat(folder_, name_.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT) fail("cannot be created");
  create_part(exists);
}

void AtomicFile::create_part(bool exists) {
  const std::string prefix = std::string(kPart) + hashed(name_, kHash);
  remove_dead_parts(prefix);
  std::random_device random;
  for (int attempt = 0; attempt < 100; ++attempt) {
    char text[16];
    std::snprintf(text, sizeof text, "%08x", random());
    part_ = prefix + machine_mark() + text;
    // Nobody reads a part of a file that may be private.
    fd_ = ::openat(folder_, part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, exists ? 0600 : 0666);
    if (fd_ < 0 && errno == EEXIST) continue;
    if (fd_ < 0) break;
    // Between its creation and its lock another process may have taken it for a dead one's.
    bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0;
    struct stat info {};
    if ((locked || errno != EWOULDBLOCK) && ::fstat(fd_, &info) == 0 && info.st_nlink > 0) return;
    ::close(std::exchange(fd_, -1));
    errno = EAGAIN;
  }
  part_.clear();
  fail("cannot be created");
}

void AtomicFile::remove_dead_parts(const std::string& same_target) const noexcept {
  int fd = ::openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = fd < 0 ? nullptr : ::fdopendir(fd);
  if (!entries) {
    if (fd >= 0) ::close(fd);
    return;
  }
  while (const dirent* entry = ::readdir(entries)) {
    if (!may_be_dead(entry->d_name, same_target)) continue;
    // For writing: network file systems lock nothing else exclusively.
    int part = ::openat(folder_, entry->d_name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (part < 0) continue;
    struct stat info {};
    if (::fstat(part, &info) == 0 && S_ISREG(info.st_mode) && ::flock(part, LOCK_EX | LOCK_NB) == 0)
      ::unlinkat(folder_, entry->d_name, 0);
    ::close(part);
  }
  ::closedir(entries);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (!part_.empty()) ::unlinkat(folder_, part_.c_str(), 0);
  part_.clear();
  for (int* fd : {&fd_, &folder_})
    if (*fd >= 0) ::close(std::exchange(*fd, -1));
}

void AtomicFile::fail(const char* what) {
  std::string reason = system_text(errno);
  discard();
  raise<IoError>(path_, ": ", what, ": ", reason);
}

void AtomicFile::write(const void* data, size_t size) {
  const char* p = static_cast<const char*>(data);
  while (size > 0) {
    ssize_t n = ::write(fd_, p, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot be written");
    p += n;
    size -= static_cast<size_t>(n);
  }
}

/// Rights and owner of the file that is replaced. Some file systems have neither: the part is private then.
void AtomicFile::take_rights() const noexcept {
  struct stat old {
  }, part{};
  if (::fstatat(folder_, name_.c_str(), &old, 0) != 0 || !S_ISREG(old.st_mode) || ::fstat(fd_, &part) != 0) return;
  mode_t mode = old.st_mode & 0777;
  bool owned = old.st_uid == part.st_uid && old.st_gid == part.st_gid;
  if (!owned && ::fchown(fd_, old.st_uid, old.st_gid) != 0 && old.st_gid != part.st_gid &&
      ::fchown(fd_, static_cast<uid_t>(-1), old.st_gid) != 0)
    mode &= ~static_cast<mode_t>(070) | (mode & 007) << 3;  // another group gets no more than everybody has
  (void)::fchmod(fd_, mode);
}

void AtomicFile::commit() {
  bool direct = part_.empty();
  if (!direct) take_rights();
  if (!direct && ::fsync(fd_) != 0) fail("cannot be written");
  // The part is renamed before its lock goes: unlocked, it would be a dead one's to others.
  if (!direct && ::renameat(folder_, part_.c_str(), folder_, name_.c_str()) != 0) fail("cannot be put in place");
  part_.clear();
  if (::close(std::exchange(fd_, -1)) != 0 && direct) fail("cannot be written");
  discard();
}

}  // namespace weft::io
