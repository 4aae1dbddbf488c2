// Batches of a dataset, made by worker threads ahead of time. The batches of a seed are the same for any number of
// workers. Knows datasets, samplers and tensors; no format.
//
//     data::Loader loader(dataset, {.batch_size = 32, .shuffle = true, .workers = 2});
//     for (int epoch = 0; epoch < 10; ++epoch)
//       for (const auto& batch : loader) train(batch.data, batch.target);
#pragma once

#include "weft/core/state_dict.h"
#include "weft/data/collate.h"
#include "weft/data/dataset.h"
#include "weft/data/sampler.h"

namespace weft::data {

/// What becomes of a sample that cannot be read: the error reaches the caller's loop, or the sample is left out (each
/// one told once, by its name, through `on_skip`).
enum class OnError : uint8_t { raise, skip };

struct LoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false;                         ///< RandomSampler; not with `sampler`
  std::shared_ptr<const Sampler> sampler = {};  ///< none: in order
  bool drop_last = false;                       ///< the last batch, if it is not full
  int workers = 0;                              ///< threads that make batches; 0: the caller's own
  int64_t prefetch = 2;                         ///< batches ahead of the caller, for each worker
  std::optional<uint64_t> seed = std::nullopt;  ///< none: drawn from this thread's generator when the loader is made
  bool pin_memory = false;                      ///< batches in pinned memory, where there is CUDA
  OnError on_error = OnError::raise;
  std::function<void(const std::string& error)> on_skip = {};  ///< none: a line on stderr
};

/// A range of batches: each `begin()` is the next epoch. At its end, on an exception in the caller's loop and in the
/// destructor the workers are stopped at once. An exception of a worker is thrown where the batch would come, its type
/// kept, the sample's index and name added; the next ++ goes on behind it.
///
/// State: epoch, place in it, seed. `load_state_dict` in mid-epoch goes on with the batch that would have come.
template <Dataset D> class Loader;

}  // namespace weft::data
