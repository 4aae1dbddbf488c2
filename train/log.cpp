#include "weft/train/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "weft/io/file.h"
#include "weft/optim/state.h"
#include "weft/train/json.h"

namespace weft::training {

namespace {

constexpr std::string_view kCsvHead = "step,name,value,time\n", kJsonHead = "{\"step\":";

std::string now() {
  const double seconds = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  char text[40];
  std::snprintf(text, sizeof text, "%.3f", seconds);
  return text;
}

/// As CSV: in quotes where it needs them.
std::string csv(const std::string& text) {
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

/// Keeps the whole lines of steps up to `step`. Each line begins with `head` and its step; the first is `title`.
void drop_later(const std::string& path, std::string_view title, std::string_view head, int64_t step) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  WEFT_CHECK(in, IoError, path, ": cannot be read");
  std::string kept;
  for (size_t at = 0, number = 1; at < text.size(); ++number) {
    const size_t end = text.find('\n', at);
    if (end == std::string::npos) break;  // cut off with the run
    const std::string_view line = std::string_view(text).substr(at, end + 1 - at);
    at = end + 1;
    if (number == 1 && !title.empty()) {
      WEFT_CHECK(line == title, IoError, path, ": is no log of this kind: its first line is '",
                 io::printable(line.substr(0, line.size() - 1)), "'");
      continue;
    }
    int64_t found = 0;
    const bool fits = line.starts_with(head) &&
                      std::from_chars(line.data() + head.size(), line.data() + line.size(), found).ec == std::errc();
    WEFT_CHECK(fits, IoError, path, ": is no log of this kind: its line ", number, " is '",
               io::printable(line.substr(0, line.size() - 1)), "'");
    if (found <= step) kept += line;
  }
  io::AtomicFile out(path);
  out.write(title.data(), title.size());
  out.write(kept.data(), kept.size());
  out.commit();
}

AppendFile open_lines(const std::string& path, std::string_view title, std::string_view head, const LogOptions& o) {
  std::error_code error;
  if (const auto folder = std::filesystem::path(path).parent_path(); !folder.empty())
    std::filesystem::create_directories(folder, error);
  const bool exists = std::filesystem::is_regular_file(path, error);
  if (exists && o.resume_step) {
    drop_later(path, title, head, *o.resume_step);
    return AppendFile(path);
  }
  if (exists) {
    std::filesystem::rename(path, path + ".old", error);
    WEFT_CHECK(!error, IoError, path, ": cannot be renamed: ", error.message());
  }
  AppendFile file(path);
  if (!title.empty()) file.write(title);
  return file;
}

/// ValueError for what would end a line.
const std::string& one_line(const std::string& name) {
  WEFT_CHECK(name.find_first_of("\n\r") == std::string::npos, ValueError, "Log: the name '", io::printable(name),
             "' has more than one line");
  return name;
}

}  // namespace

HParam::HParam(std::string name, double value) : HParam(std::move(name), optim::number_text(value)) {}

LogTarget::~LogTarget() = default;
void LogTarget::scalar(const std::string&, double, int64_t) {}
void LogTarget::image(const std::string&, const Tensor&, int64_t) {}
void LogTarget::histogram(const std::string&, const Tensor&, int64_t) {}
void LogTarget::text(const std::string&, const std::string&, int64_t) {}
void LogTarget::hparams(const std::vector<HParam>&) {}

AppendFile::AppendFile(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  WEFT_CHECK(fd_ >= 0, IoError, path_, ": cannot be opened for writing: ", io::system_text(errno));
}
AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}
AppendFile& AppendFile::operator=(AppendFile&& o) noexcept {
  std::swap(path_, o.path_), std::swap(fd_, o.fd_);
  return *this;
}
void AppendFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    WEFT_CHECK(n >= 0, IoError, path_, ": cannot be written: ", io::system_text(errno));
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

CsvLog::CsvLog(const std::string& path, const LogOptions& o) : file_(open_lines(path, kCsvHead, "", o)) {}

void CsvLog::scalar(const std::string& name, double value, int64_t step) {
  file_.write(std::to_string(step) + ',' + csv(one_line(name)) + ',' + optim::number_text(value) + ',' + now() + '\n');
}

JsonlLog::JsonlLog(const std::string& path, const LogOptions& o) : file_(open_lines(path, "", kJsonHead, o)) {}

void JsonlLog::scalar(const std::string& name, double value, int64_t step) {
  const std::string number = optim::number_text(value);
  file_.write(std::string(kJsonHead) + std::to_string(step) + ",\"name\":" + json_string(name) +
              ",\"value\":" + (std::isfinite(value) ? number : json_string(number)) + ",\"time\":" + now() + "}\n");
}
void JsonlLog::text(const std::string& name, const std::string& text, int64_t step) {
  file_.write(std::string(kJsonHead) + std::to_string(step) + ",\"name\":" + json_string(name) +
              ",\"text\":" + json_string(text) + ",\"time\":" + now() + "}\n");
}
void JsonlLog::hparams(const std::vector<HParam>& settings) {
  std::string list;
  for (const HParam& s : settings) list += (list.empty() ? "" : ",") + json_string(s.name) + ':' + json_string(s.value);
  file_.write(std::string(kJsonHead) + "0,\"hparams\":{" + list + "},\"time\":" + now() + "}\n");
}

}  // namespace weft::training
