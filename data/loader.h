// Batches of a dataset, made by worker threads ahead of time. The batches of a seed are the same for any number of
// workers. Knows datasets, samplers and tensors; no format.
//
//     data::Loader loader(dataset, {.batch_size = 32, .shuffle = true, .workers = 2});
//     for (int epoch = 0; epoch < 10; ++epoch)
//       for (const auto& batch : loader) train(batch.data, batch.target);
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weft/core/backend.h"
#include "weft/core/state_dict.h"
#include "weft/data/collate.h"
#include "weft/data/dataset.h"
#include "weft/data/sampler.h"

namespace weft::data {

/// What becomes of a sample that cannot be read or does not fit its batch: the error reaches the caller's loop, or the
/// sample is left out (each one told once, by its name, through `on_skip`).
enum class OnError : uint8_t { raise, skip };

/// Options of Loader.
struct LoaderOptions {
  int64_t batch_size = 1;                       ///< samples of a batch
  bool shuffle = false;                         ///< RandomSampler; not with `sampler`
  SamplerRef sampler = {};                      ///< none: in order
  bool drop_last = false;                       ///< the last batch, if it is not full
  int workers = 0;                              ///< threads that make batches; 0: the caller's own
  int64_t prefetch = 2;                         ///< batches ahead of the caller, for each worker
  std::optional<uint64_t> seed = std::nullopt;  ///< none: drawn from this thread's generator when the loader is made
  bool pin_memory = false;                      ///< batches in pinned memory, where there is CUDA
  OnError on_error = OnError::raise;            ///< or skip
  std::function<void(const std::string& error)> on_skip = {};  ///< on the caller's thread; none: a line on stderr
};

/// The sample that an error came from.
struct FailedSample {
  int64_t index = -1;  ///< -1: the error is not one sample's
  std::string name;    ///< sample_name's, or the sample's own
};

namespace impl {

/// An epoch as it was when it began.
struct Plan {
  std::vector<int64_t> order;         // empty for streams
  uint64_t seed = 0;                  ///< of the loader
  int64_t epoch = 0;                  ///< from 0
  int64_t begin = 0;                  // samples of a stream that are behind the state that was loaded
  OnError on_error = OnError::raise;  ///< as the options say
};

/// One batch, or what came in its place.
struct Made {
  std::shared_ptr<void> batch;                           // null: there is none
  std::exception_ptr error;                              ///< null: none
  FailedSample failed;                                   ///< where `error` came from
  std::vector<std::pair<int64_t, std::string>> skipped;  // index and error
  int64_t samples = 0;                                   // taken of the epoch
  bool last = false;                                     // a stream has ended
};
/// Makes the batch of the samples [begin, end) of the plan. Looks at `stop` between samples.
using Make = std::function<Made(const Plan& plan, int64_t begin, int64_t end, const std::atomic<bool>& stop)>;

/// In a catch block: puts the error among the skipped ones or makes it that of the batch.
WEFT_API void skip(Made& made, const Plan& plan, const FailedSample& sample) noexcept;
/// The same of an error that is no single sample's.
WEFT_API void fail(Made& made, const Plan& plan, int64_t begin, int64_t end) noexcept;

/// What samples are made under, on any thread: one thread, nothing recorded, no autocast. The rest of the caller's
/// thread sees nothing of it.
class WEFT_API SampleScope {
 public:
  SampleScope();
  ~SampleScope();
  SampleScope(const SampleScope&) = delete;
  SampleScope& operator=(const SampleScope&) = delete;
  /// The generator of a sample; the thread's own is seeded by it too.
  static Generator sample(const Plan& plan, int64_t position, int64_t index);

 private:
  struct Before;
  std::unique_ptr<Before> before_;
};

/// All of a loader that does not depend on its types.
class WEFT_API LoaderCore {
 public:
  /// `size`: the dataset's, now; none for streams.
  LoaderCore(const LoaderOptions& o, std::function<int64_t()> size, Make make);
  ~LoaderCore();
  /// Starts an epoch and gives the loop's number. ValueError while there is one.
  uint64_t begin();
  /// The next batch of the loop of that number; null: the epoch has ended, or the loop was stopped.
  std::shared_ptr<void> next(uint64_t loop);
  /// The same of a loop that began by itself.
  std::shared_ptr<void> next_call();
  /// Ends the loop of that number, or any.
  void stop(uint64_t loop) noexcept;
  void stop() noexcept;

  /// As Loader's members of these names.
  int64_t size() const;
  int64_t epoch() const { return epoch_; }
  uint64_t seed() const { return seed_; }
  const LoaderOptions& options() const { return options_; }
  const FailedSample& failed() const { return failed_; }
  StateDict state_dict() const;
  void load_state_dict(const StateDict& state);

 private:
  struct Run;
  bool stream() const { return !size_; }
  void check_idle(const char* what) const;
  void tell(const Made& made);

  LoaderOptions options_;
  std::function<int64_t()> size_;
  Make make_;
  uint64_t seed_;
  int64_t epoch_ = 0, place_ = 0;  // the epoch, and how many of its samples were given
  int64_t place_size_ = 0;         // the dataset's size that `place_` is of
  bool resumed_ = false;           // the next loop goes on at `place_`
  uint64_t loop_ = 0, loops_ = 0;  // 0: none runs
  bool by_calls_ = false;
  std::vector<bool> told_;
  FailedSample failed_;
  std::unique_ptr<Run> run_;
};

/// The type of a source's samples.
template <class S> struct SampleOf { using type = std::remove_cvref_t<decltype(*std::declval<S&>().next())>; };
template <Dataset D> struct SampleOf<D> { using type = sample_t<D>; };

/// The sample's own name, or the dataset's.
template <class S, class D>
std::string name_of(const std::optional<S>& sample, const D& source, int64_t i) noexcept try {
  if constexpr (requires { std::string(sample->name); })
    if (sample && !std::string(sample->name).empty()) return sample->name;
  if constexpr (Dataset<D>) return sample_name(source, i);
  return {};
} catch (...) { return {}; }

}  // namespace impl

/// A range of batches: each `begin()` is the next epoch. At its end, on an exception in the caller's loop and in the
/// destructor the workers are stopped at once, each behind the sample that it is at. Two loops at a time are an error.
///
/// What a sample draws, from the generator that it is given or from the thread's, depends on seed, epoch, its place in
/// the order and its index; what a collate function draws from the thread's, on its batch. Samples are made with
/// nothing recorded, outside of autocast, each op on one thread. Workers run at a lower priority, on all cores that the
/// process began with: they take what training leaves.
///
/// An error is thrown where the batch would come, its type kept; weft's own have the sample's index and name added, and
/// `failed()` says them for all. The next ++ or `next()` goes on behind that batch.
///
/// State: epoch, place in it, seed. `load_state_dict` in mid-epoch goes on with the batch that would have come.
///
/// A stream is read by one thread, whatever `workers` says; it has no order, and resuming reads what is to be left out.
/// `C`: StackSamples, PadSamples, ListSamples or a function of std::vector<sample>, called on the workers.
template <class D, class C = StackSamples>
requires(Dataset<D> || Stream<D>) class Loader {
  struct Impl;

 public:
  /// What the dataset gives.
  using Sample = typename impl::SampleOf<D>::type;
  /// What the loader gives.
  using Batch = batch_t<Sample, C>;
  class Iterator;

  /// ValueError for options that contradict each other or are out of range.
  explicit Loader(D source, const LoaderOptions& o = {}, C collate = {})
      : impl_(std::make_shared<Impl>(std::move(source), o, std::move(collate))) {}
  Loader(Loader&&) noexcept = default;
  Loader& operator=(Loader&&) noexcept = default;

  /// The next epoch, or the rest of the one that was loaded. ValueError while another loop runs.
  Iterator begin() { return Iterator(impl_); }
  std::default_sentinel_t end() const { return {}; }
  /// The next batch; none at the end of the epoch, and the call after that begins the next one:
  /// `while (auto batch = loader.next())`.
  std::optional<Batch> next() {
    const std::shared_ptr<void> batch = impl_->core.next_call();
    return batch ? std::optional<Batch>(std::move(*static_cast<Batch*>(batch.get()))) : std::nullopt;
  }
  /// Ends the loop that runs, if one does: the next one begins the next epoch.
  void stop() noexcept { impl_->core.stop(); }

  /// Batches of a whole epoch, for the dataset's size now.
  int64_t size() const requires Dataset<D> { return impl_->core.size(); }
  /// The epoch that runs, or the next one.
  int64_t epoch() const { return impl_->core.epoch(); }
  /// The seed in use, drawn or given; options and source as they were given.
  uint64_t seed() const { return impl_->core.seed(); }
  const LoaderOptions& options() const { return impl_->core.options(); }
  const D& dataset() const { return impl_->source; }
  /// Where the last error came from.
  const FailedSample& failed() const { return impl_->core.failed(); }

  /// Batches that were given count, those that are ready do not.
  StateDict state_dict() const { return impl_->core.state_dict(); }
  /// ValueError, and no change, while a loop runs, for a state of another sampler and for one that is none.
  void load_state_dict(const StateDict& state) { impl_->core.load_state_dict(state); }

 private:
  std::shared_ptr<Impl> impl_;
};

template <class D, class C>
/// What the copies of a handle share: the source and its loop.
requires(Dataset<D> || Stream<D>) struct Loader<D, C>::Impl {
  D source;                           ///< dataset or stream
  impl::CollateSettings<C> settings;  ///< how batches are made
  int64_t position = 0;               // of a stream; its reader's
  impl::LoaderCore core;              // last: its threads go first

  Impl(D d, const LoaderOptions& o, C collate)
      : source(std::move(d)), settings{std::move(collate)}, core(o, size_call(), make_call()) {
    settings.pin = o.pin_memory && has_backend(DeviceType::cuda);
  }

  /// The dataset's size, for the core; none of a stream.
  std::function<int64_t()> size_call() {
    if constexpr (Dataset<D>) return [this] { return static_cast<int64_t>(source.size()); };
    else return {};
  }

  /// `make` as a function.
  impl::Make make_call() {
    return [this](const impl::Plan& plan, int64_t begin, int64_t end, const std::atomic<bool>& stop) {
      return make(plan, begin, end, stop);
    };
  }

  /// The batch of the samples [begin, end) of the plan, on whatever thread calls.
  impl::Made make(const impl::Plan& plan, int64_t begin, int64_t end, const std::atomic<bool>& stop) {
    impl::Made made;
    try {
      const impl::SampleScope scope;
      impl::Rows<Sample, C> rows(end - begin, settings, "");
      int64_t taken = 0;
      if constexpr (Dataset<D>) {
        for (int64_t k = begin; k < end && !stop; ++k) {
          const int64_t i = plan.order[static_cast<size_t>(k)];
          taken += add(made, plan, rows, i, [&] {
            Generator g = scope.sample(plan, k, i);
            return std::optional<Sample>(data::get(source, i, g));
          });
          if (made.error) break;
        }
        made.samples = end - begin;
      } else {
        taken = read(made, plan, begin, end, stop, rows);
      }
      if (stop || made.error) return made;
      if (taken > 0) made.batch = std::make_shared<Batch>(rows.finish());
    } catch (...) { impl::fail(made, plan, begin, end); }
    return made;
  }

 private:
  /// The samples of a stream's batch; 0 where they are to be dropped.
  template <class R>
  int64_t read(impl::Made& made, const impl::Plan& plan, int64_t begin, int64_t end, const std::atomic<bool>& stop,
               R& rows) {
    if (begin == 0) {
      position = 0;
      if constexpr (requires { source.reset(); }) source.reset();
    }
    for (; position < plan.begin && !made.last && !stop; ++position) try {
        impl::SampleScope::sample(plan, position, position);
        made.last = !static_cast<bool>(source.next());
      } catch (...) {}                  // it was told when it was met first
    constexpr int kMostFailures = 100;  // in a row: such a stream will not go on
    impl::Plan strict = plan;
    strict.on_error = OnError::raise;
    int64_t taken = 0;
    for (int failures = 0; taken < end - begin && !made.last && !made.error && !stop;) {
      const int64_t i = position++;
      const bool added = add(made, failures + 1 < kMostFailures ? plan : strict, rows, i,
                             [&]() -> std::optional<Sample> {
                               impl::SampleScope::sample(plan, i, i);
                               auto item = source.next();
                               made.last = !static_cast<bool>(item);
                               return made.last ? std::nullopt : std::optional<Sample>(*std::move(item));
                             });
      taken += added;
      failures = added ? 0 : failures + 1;
      made.samples += !made.last;
    }
    return made.last && core.options().drop_last && taken < end - begin ? 0 : taken;
  }

  /// One sample into the batch; false if there is none.
  template <class R, class F> bool add(impl::Made& made, const impl::Plan& plan, R& rows, int64_t i, const F& get) {
    std::optional<Sample> sample;
    try {
      sample = get();
      if (!sample) return false;
      rows.check(*sample);
      rows.add(std::move(*sample));
      return true;
    } catch (...) {
      impl::skip(made, plan, {i, impl::name_of(sample, source, i)});
      return false;
    }
  }
};

/// One loop over a loader: an input iterator, to be moved only. Comparing or reading it waits for the batch.
template <class D, class C>
requires(Dataset<D> || Stream<D>) class Loader<D, C>::Iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = Batch;
  using difference_type = std::ptrdiff_t;

  /// Begins the loop.
  explicit Iterator(std::shared_ptr<Impl> impl) : impl_(std::move(impl)), loop_(impl_->core.begin()) {}
  Iterator(Iterator&&) noexcept = default;
  Iterator& operator=(Iterator&& o) noexcept {
    std::swap(impl_, o.impl_), std::swap(loop_, o.loop_), std::swap(batch_, o.batch_), std::swap(state_, o.state_);
    return *this;
  }
  /// Stops the loop.
  ~Iterator() {
    batch_.reset();
    if (impl_) impl_->core.stop(loop_);
  }

  /// The batch; to be moved from, if the caller likes. Throws what came in its place.
  Batch& operator*() const {
    fetch();
    return *static_cast<Batch*>(batch_.get());
  }
  Batch* operator->() const { return &**this; }
  /// Goes on behind the batch.
  Iterator& operator++() {
    if (state_ == State::before) fetch();
    batch_.reset();
    state_ = State::before;
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const Iterator& i, std::default_sentinel_t) { return !i.fetch(); }

 private:
  enum class State : uint8_t { before, failed, at };
  bool fetch() const {
    if (state_ == State::at) return batch_ != nullptr;
    state_ = State::failed;
    batch_ = impl_->core.next(loop_);
    state_ = State::at;
    return batch_ != nullptr;
  }

  std::shared_ptr<Impl> impl_;
  uint64_t loop_;
  mutable std::shared_ptr<void> batch_;
  mutable State state_ = State::before;
};

}  // namespace weft::data
