#include "weft/train/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <future>
#include <map>
#include <system_error>
#include <utility>

#include "weft/autograd/grad_mode.h"
#include "weft/core/factory.h"
#include "weft/core/parallel.h"
#include "weft/io/file.h"
#include "weft/train/checkpoint_file.h"
#include "weft/train/numbers.h"

namespace weft::training {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".safetensors", kStep = "step-";
constexpr const char* kBest = "best.safetensors";
// A file is complete under the first name before it gets its own. It is the same name for all steps: io removes what a
// killed run left of it, on whatever machine that was.
constexpr const char *kNext = ".next.safetensors", *kNextBest = ".next-best.safetensors";

std::string file_of(int64_t step) {
  char text[40];
  std::snprintf(text, sizeof text, "step-%08lld", static_cast<long long>(step));
  return text + std::string(kEnding);
}

/// The steps of a folder's checkpoints, and their names.
std::map<int64_t, std::string> steps_in(const std::string& folder) {
  std::map<int64_t, std::string> out;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(kStep) || !name.ends_with(kEnding)) continue;
    const std::string digits = name.substr(kStep.size(), name.size() - kStep.size() - kEnding.size());
    if (digits.empty() || digits.size() > 18 || digits.find_first_not_of("0123456789") != std::string::npos) continue;
    if (const int64_t step = std::stoll(digits); file_of(step) == name) out[step] = name;
  }
  WEFT_CHECK(!error, IoError, folder, ": cannot be read: ", error.message());
  return out;
}

/// A copy in host memory, in row-major order.
Tensor host_copy(const Tensor& t) {
  const Tensor x = t.detach(), copy = x.to(Device()).contiguous();
  return copy.raw_data() == x.raw_data() ? copy.clone() : copy;
}

void rename_file(const std::string& from, const std::string& to) {
  WEFT_CHECK(std::rename(from.c_str(), to.c_str()) == 0, IoError, to,
             ": cannot be put in place: ", io::system_text(errno));
}

/// The names of a folder survive a loss of power from here on, where its file system can promise so.
void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)::fsync(fd);
  ::close(fd);
}

}  // namespace

struct Checkpoint::Pending {
  explicit Pending(std::future<void> f) : done(std::move(f)) {}
  std::future<void> done;
};

Checkpoint::Checkpoint(std::string folder, CheckpointOptions o) : folder_(std::move(folder)), o_(std::move(o)) {
  WEFT_CHECK(o_.keep_last >= 0, ValueError, "Checkpoint: keep_last must not be negative, got ", o_.keep_last);
  std::error_code error;
  fs::create_directories(folder_, error);
  WEFT_CHECK(!error && fs::is_directory(folder_, error), IoError, folder_,
             ": cannot be made a folder: ", error ? error.message() : "it is a file");
}

Checkpoint::~Checkpoint() {
  if (pending_) pending_->done.wait();
}

std::string Checkpoint::path(std::string_view name) const { return (fs::path(folder_) / name).string(); }

Checkpoint& Checkpoint::add_part(Part part) {
  constexpr const char* kLegal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  WEFT_CHECK(!part.name.empty() && part.name.find_first_not_of(kLegal) == std::string::npos && part.name != "weft",
             ValueError, "Checkpoint: '", part.name, "' is no name of a part; use letters, digits, - and _");
  for (const Part& p : parts_)
    WEFT_CHECK(p.name != part.name, ValueError, "Checkpoint: there is a part '", part.name, "' already");
  parts_.push_back(std::move(part));
  return *this;
}

Checkpoint& Checkpoint::add(const std::string& name, Generator& generator) {
  const auto save = [&generator] {
    const Generator::State s = generator.state();
    StateDict dict;
    dict.insert("state",
                tensor(std::vector<int64_t>{std::bit_cast<int64_t>(s.seed), std::bit_cast<int64_t>(s.offset)}));
    return dict;
  };
  return add_part({name, save, [&generator](const StateDict& dict) {
                     const std::vector<int64_t> s = integers_of(dict, "state", 2);
                     generator.set_state({std::bit_cast<uint64_t>(s[0]), std::bit_cast<uint64_t>(s[1])});
                   }});
}
Checkpoint& Checkpoint::add(const std::string& name, int64_t& value) {
  return add_part({name, [&value] { return with_number({}, "value", value); },
                   [&value](const StateDict& dict) { value = number_of<int64_t>(dict, "value"); }});
}
Checkpoint& Checkpoint::add(const std::string& name, double& value) {
  return add_part({name, [&value] { return with_number({}, "value", value); },
                   [&value](const StateDict& dict) { value = number_of<double>(dict, "value"); }});
}

StateDict Checkpoint::copy() const {
  const NoGrad guard;
  StateDict all;
  for (const Part& part : parts_) {
    StateDict dict = part.save(), copies;
    for (const auto& [key, t] : dict) copies.insert(key, host_copy(t));
    copies.metadata = std::move(dict.metadata);
    all.merge(copies, part.name);
  }
  return all;
}

void Checkpoint::save(int64_t step, const SaveOptions& o) {
  WEFT_CHECK(step >= 0, ValueError, "Checkpoint: the step must not be negative, got ", step);
  WEFT_CHECK(!parts_.empty(), ValueError, "Checkpoint: there is nothing to save; add the parts of the run");
  wait();
  if (!owned_) {
    const std::map<int64_t, std::string> there = steps_in(folder_);
    WEFT_CHECK(there.empty(), ValueError, folder_, ": has the checkpoint of step ", there.rbegin()->first,
               ", of another run; call resume() first, or take another folder");
    owned_ = true;
  }
  CheckpointHead head{step, {}, o.metric};
  for (const Part& part : parts_) head.parts.push_back(part.name);
  const bool best = o_.keep_best && o.metric &&
                    (!best_metric_ ? *o.metric == *o.metric
                                   : (o_.higher_is_better ? *o.metric > *best_metric_ : *o.metric < *best_metric_));
  const auto write_copy = [this, head, best, dict = copy()] { write(head, dict, best); };
  pending_metric_ = best ? o.metric : std::nullopt;
  if (o_.background) {
    try {
      pending_ = std::make_unique<Pending>(std::async(std::launch::async, [write_copy] {
        set_num_threads(1);  // the others are the training's
        detail::leave_binding();
        write_copy();
      }));
      return;
    } catch (const std::system_error&) {}  // no thread to be had: this one writes
  }
  pending_ = std::make_unique<Pending>(std::async(std::launch::deferred, write_copy));
  wait();
}
void Checkpoint::write(const CheckpointHead& head, const StateDict& dict, bool best) const {
  std::error_code error;
  fs::remove(path(kNextBest), error);  // of a killed run
  write_checkpoint(dict, head, path(kNext));
  if (best) {
    fs::create_hard_link(path(kNext), path(kNextBest), error);
    if (error) write_checkpoint(dict, head, path(kNextBest));  // a file system without links
    rename_file(path(kNextBest), path(kBest));
  }
  rename_file(path(kNext), path(file_of(head.step)));
  sync_folder(folder_);
  if (o_.keep_last == 0) return;
  // Later steps are files that `resume` refused.
  std::map<int64_t, std::string> before = steps_in(folder_);
  before.erase(before.lower_bound(head.step), before.end());
  while (static_cast<int64_t>(before.size()) >= o_.keep_last) {
    const std::string old = path(before.begin()->second);
    fs::remove(old, error);
    WEFT_CHECK(!error, IoError, old, ": cannot be removed: ", error.message());
    before.erase(before.begin());
  }
}

void Checkpoint::wait() {
  if (!pending_) return;
  const std::unique_ptr<Pending> pending = std::move(pending_);
  const std::optional<double> metric = std::exchange(pending_metric_, std::nullopt);
  pending->done.get();
  if (metric) best_metric_ = metric;
}

void Checkpoint::load(const StateDict& dict, const std::string& from) {
  const StateDict before = copy();
  size_t loaded = 0;
  try {
    for (; loaded < parts_.size(); ++loaded) parts_[loaded].load(dict.child(parts_[loaded].name));
  } catch (...) {
    const std::string refused = parts_[loaded].name;
    while (loaded-- > 0) parts_[loaded].load(before.child(parts_[loaded].name));
    try {
      throw;
    } catch (Error& e) {
      e.set_text(str(from, ": part '", refused, "': ", e.what()));
      throw;
    }
  }
}

std::optional<int64_t> Checkpoint::resume() {
  wait();
  std::vector<std::string> refused;
  const auto whole = [&](const std::string& file, CheckpointHead& head) -> std::optional<StateDict> {
    try {
      return read_checkpoint(file, head);
    } catch (const IoError& e) {
      refused.emplace_back(e.what());
      if (o_.on_refused) o_.on_refused(refused.back());
      else std::fprintf(stderr, "checkpoint refused: %s\n", refused.back().c_str());
      return std::nullopt;
    }
  };
  const std::map<int64_t, std::string> steps = steps_in(folder_);
  CheckpointHead head, best_head;
  std::optional<StateDict> dict, best_dict;
  std::string from;
  for (auto at = steps.rbegin(); at != steps.rend() && !dict; ++at) dict = whole(from = path(at->second), head);
  if (const std::optional<std::string> file = best()) best_dict = whole(*file, best_head);
  if (!dict && best_dict) dict = best_dict, head = best_head, from = path(kBest);
  if (!dict && !refused.empty()) {
    std::string text = folder_ + ": has no checkpoint that is whole";
    for (const std::string& reason : refused) text += "\n  " + reason;
    raise<IoError>(text);
  }
  if (dict) {
    std::vector<std::string> names;
    for (const Part& part : parts_) names.push_back(part.name);
    std::vector<std::string> here = names, there = head.parts;
    std::sort(here.begin(), here.end()), std::sort(there.begin(), there.end());
    WEFT_CHECK(here == there, ValueError, from, ": has the parts ", listed(head.parts), ", not ", listed(names));
    load(*dict, from);
  }
  best_metric_ = best_dict ? best_head.metric : std::nullopt;
  owned_ = true;
  return dict ? std::optional(head.step) : std::nullopt;
}

std::optional<std::string> Checkpoint::latest() const {
  const std::map<int64_t, std::string> steps = steps_in(folder_);
  return steps.empty() ? std::nullopt : std::optional(path(steps.rbegin()->second));
}

std::optional<std::string> Checkpoint::best() const {
  std::error_code error;
  return fs::exists(path(kBest), error) ? std::optional(path(kBest)) : std::nullopt;
}

StateDict read_part(const std::string& path, std::string_view part) {
  CheckpointHead head;
  const StateDict dict = read_checkpoint(path, head);
  WEFT_CHECK(std::find(head.parts.begin(), head.parts.end(), part) != head.parts.end(), ValueError, path,
             ": has no part '", part, "', but ", listed(head.parts));
  return dict.child(part);
}

}  // namespace weft::training
