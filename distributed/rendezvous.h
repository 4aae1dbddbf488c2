// How the ranks of a job find each other where cards exchange the data: short texts, before the first call and after a
// failure. Must not know what the texts say.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weft/core/export.h"
#include "weft/distributed/communicator.h"

namespace weft::comm {

/// One rank's side of it.
class WEFT_API Rendezvous {
 public:
  Rendezvous(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;
  int rank() const { return rank_; }
  int size() const { return size_; }
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;
  /// Exchanges host memory between the ranks; null where nothing does.
  virtual std::shared_ptr<Communicator> host() const { return nullptr; }

  /// The text of rank 0. CommError where it does not come in that time.
  virtual std::string share(const std::string& text, double seconds) = 0;
  /// All ranks have the shared text: nothing of the meeting is needed any more.
  virtual void all_met() {}
  /// What each rank says, "" for those that say nothing in that time.
  virtual std::vector<std::string> gather(const std::string& text, double seconds) = 0;
  /// Of a part of the group, with this rank's number in it. Every rank calls it, in the same order; null for a colour
  /// below 0.
  virtual std::shared_ptr<Rendezvous> split(int colour, int key, int rank, int size) = 0;

 private:
  int rank_, size_;
};

class Transport;
/// Over messages of host memory, which tensors of the host then take too.
WEFT_API std::shared_ptr<Rendezvous> meet_over(std::shared_ptr<Transport> transport);
/// Through files beside `path`, which must not be there yet and which all ranks see.
WEFT_API std::shared_ptr<Rendezvous> meet_in_file(std::string path, int rank, int size, int local_rank, int local_size);

}  // namespace weft::comm
