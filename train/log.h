// A run's numbers, pictures and texts in files that other programs read while it goes on: CSV, JSON lines, TensorBoard.
// Knows tensors and files; nothing of models.
//
//     const auto resumed = checkpoint.resume();
//     training::Log log{training::CsvLog("runs/a/log.csv", {resumed}), training::TensorBoardLog("runs/a", {resumed})};
//     log.hparams({{"lr", 1e-3}, {"batch", 32}});
//     log.scalar("loss", loss.item<double>(), step);
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/core/tensor.h"

namespace weft::training {

/// Options of the logs that write files.
struct LogOptions {
  /// The step that the run goes on from: what is logged of later steps is dropped, so that nothing stands there twice.
  /// None: a new log; an old file stays beside it as PATH.old.
  std::optional<int64_t> resume_step = std::nullopt;
};

/// A setting of a run, of any printable kind.
struct WEFT_API HParam {
  std::string name, value;  ///< the value as text
  /// Of text, a bool, a real number (the shortest text that reads back as it) or an integer.
  HParam(std::string name, std::string value) : name(std::move(name)), value(std::move(value)) {}
  HParam(std::string name, const char* value) : HParam(std::move(name), std::string(value)) {}
  HParam(std::string name, bool value) : HParam(std::move(name), value ? "true" : "false") {}
  HParam(std::string name, double value);
  template <std::integral I> HParam(std::string name, I value) : HParam(std::move(name), std::to_string(value)) {}
};

/// What a kind of log does; what it does not override, it leaves out. Each call is one write to the file, complete when
/// it returns: a run that is killed keeps all that it logged. IoError for what cannot be written. Of one thread.
class WEFT_API LogTarget {
 public:
  virtual ~LogTarget();
  /// A number of that step.
  virtual void scalar(const std::string& name, double value, int64_t step);
  /// picture: [H, W] or [H, W, C] of u8, as io::write_image takes.
  virtual void image(const std::string& name, const Tensor& picture, int64_t step);
  /// How the values of a tensor are distributed; infinities and NaN are left out.
  virtual void histogram(const std::string& name, const Tensor& values, int64_t step);
  /// A text of that step; the settings of the run, once.
  virtual void text(const std::string& name, const std::string& text, int64_t step);
  virtual void hparams(const std::vector<HParam>& settings);

 protected:
  LogTarget() = default;
  LogTarget(LogTarget&&) = default;
  LogTarget& operator=(LogTarget&&) = default;
};

/// A file to whose end whole lines or records are written.
class WEFT_API AppendFile {
 public:
  /// Opens it, or makes it. IoError.
  explicit AppendFile(std::string path);
  ~AppendFile();
  AppendFile(AppendFile&& o) noexcept : path_(std::move(o.path_)), fd_(std::exchange(o.fd_, -1)) {}
  AppendFile& operator=(AppendFile&& o) noexcept;
  /// Appends the bytes. IoError.
  void write(std::string_view bytes);

 private:
  std::string path_;
  int fd_ = -1;
};

/// Scalars as lines `step,name,value,time` (seconds since 1970), in a file whose folder is made. IoError for a file
/// that is no such log.
class WEFT_API CsvLog : public LogTarget {
 public:
  /// Opens the file, or makes it, as the options say.
  explicit CsvLog(const std::string& path, const LogOptions& o = {});
  /// Of LogTarget's calls it takes this one.
  void scalar(const std::string& name, double value, int64_t step) override;

 private:
  AppendFile file_;
};

/// Scalars, texts and settings as lines of JSON: {"step":7,"name":"loss","value":0.25,"time":...}, "text" or "hparams"
/// in place of "value". JSON has no infinities and no NaN: they are the texts "inf", "-inf" and "nan".
class WEFT_API JsonlLog : public LogTarget {
 public:
  /// Opens the file, or makes it, as the options say.
  explicit JsonlLog(const std::string& path, const LogOptions& o = {});
  /// Of LogTarget's calls it takes these three.
  void scalar(const std::string& name, double value, int64_t step) override;
  void text(const std::string& name, const std::string& text, int64_t step) override;
  void hparams(const std::vector<HParam>& settings) override;

 private:
  AppendFile file_;
};

/// An event file of TensorBoard in `folder` (`tensorboard --logdir FOLDER`), for all that a log takes; scalars are f32
/// there, settings a table under "text". Each start of a run writes a file of its own, which says what it replaces.
class WEFT_API TensorBoardLog : public LogTarget {
 public:
  /// Makes the folder and a new file in it.
  explicit TensorBoardLog(const std::string& folder, const LogOptions& o = {});
  /// It takes all of LogTarget's calls.
  void scalar(const std::string& name, double value, int64_t step) override;
  void image(const std::string& name, const Tensor& picture, int64_t step) override;
  void histogram(const std::string& name, const Tensor& values, int64_t step) override;
  void text(const std::string& name, const std::string& text, int64_t step) override;
  void hparams(const std::vector<HParam>& settings) override;

 private:
  AppendFile file_;
};

/// Several logs as one: each gets all that is logged.
class Log final : public LogTarget {
 public:
  Log() = default;
  template <std::derived_from<LogTarget>... T>
  requires(sizeof...(T) > 0 && (!std::same_as<T, Log> && ...)) explicit Log(T... targets) {
    (add(std::move(targets)), ...);
  }
  /// Adds a log, which is moved in.
  template <std::derived_from<LogTarget> T> Log& add(T target) {
    targets_.push_back(std::make_unique<T>(std::move(target)));
    return *this;
  }
  /// All of LogTarget's calls go on to every log.
  void scalar(const std::string& name, double value, int64_t step) override {
    for (const auto& t : targets_) t->scalar(name, value, step);
  }
  void image(const std::string& name, const Tensor& picture, int64_t step) override {
    for (const auto& t : targets_) t->image(name, picture, step);
  }
  void histogram(const std::string& name, const Tensor& values, int64_t step) override {
    for (const auto& t : targets_) t->histogram(name, values, step);
  }
  void text(const std::string& name, const std::string& text, int64_t step) override {
    for (const auto& t : targets_) t->text(name, text, step);
  }
  void hparams(const std::vector<HParam>& settings) override {
    for (const auto& t : targets_) t->hparams(settings);
  }

 private:
  std::vector<std::unique_ptr<LogTarget>> targets_;
};

}  // namespace weft::training
