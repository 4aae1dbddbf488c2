#include "weft/distributed/rendezvous.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include "weft/core/error.h"
#include "weft/distributed/exchange.h"
#include "weft/distributed/process_group.h"
#include "weft/distributed/seconds.h"
#include "weft/distributed/transport.h"

namespace weft::comm {

Rendezvous::~Rendezvous() = default;

namespace {

class OverMessages final : public Rendezvous {
 public:
  /// `members`: each rank of `host` in the transport.
  OverMessages(std::shared_ptr<Transport> transport, std::shared_ptr<Communicator> host, std::vector<int64_t> members)
      : Rendezvous(host->rank(), host->size()),
        transport_(std::move(transport)),
        host_(std::move(host)),
        members_(std::move(members)) {}
  int local_rank() const override { return host_->local_rank(); }
  int local_size() const override { return host_->local_size(); }
  std::shared_ptr<Communicator> host() const override { return host_; }

  std::string share(const std::string& text, double seconds) override {
    const ProcessGroup group(host_);
    const TimeoutScope scope(group, seconds);
    return group.broadcast(text);
  }
  /// Not by a collective: one rank that says nothing must not keep back what the others say.
  std::vector<std::string> gather(const std::string& text, double seconds) override {
    const auto ranks = static_cast<size_t>(size());
    std::vector<char> memory(ranks * kText);
    const auto text_of = [&](size_t r) { return memory.data() + r * kText; };
    std::vector<int64_t> sent(ranks, -1), coming(ranks, -1);
    const auto me = static_cast<size_t>(rank());
    text.copy(text_of(me), kText - 1);
    const auto tag = static_cast<int>(transport_->most_tag());
    for (size_t r = 0; r < ranks; ++r) {
      if (r == me) continue;
      const auto other = static_cast<int>(members_[r]);
      coming[r] = transport_->receive(other, tag, text_of(r), kText);
      sent[r] = transport_->send(other, tag, text_of(me), kText);
    }
    const Clock::time_point end = Clock::now() + as_duration(seconds);
    std::vector<std::string> all(ranks);
    all[me] = text;
    for (size_t left = 2 * (ranks - 1); left > 0 && Clock::now() < end;) {
      for (size_t r = 0; r < ranks; ++r) {
        if (sent[r] >= 0 && transport_->done(sent[r])) sent[r] = -1, --left;
        if (coming[r] < 0 || !transport_->done(coming[r])) continue;
        coming[r] = -1, --left;
        all[r] = text_of(r);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    bool open = false;
    for (const std::vector<int64_t>* list : {&sent, &coming})
      for (const int64_t number : *list)
        if (number >= 0) transport_->cancel(number), open = true;
    if (open) keep(std::move(memory));  // the messages may go on
    return all;
  }
  std::shared_ptr<Rendezvous> split(int colour, int key, int /*rank*/, int /*size*/) override {
    std::shared_ptr<Communicator> part = host_->split(colour, key);
    if (!part) return nullptr;
    std::vector<int64_t> members(static_cast<size_t>(part->size()));
    const int64_t mine = transport_->rank();
    part->run({.kind = Collective::all_gather, .dtype = Dtype::i64, .count = 1, .in = &mine, .out = members.data()});
    return std::make_shared<OverMessages>(transport_, std::move(part), std::move(members));
  }

 private:
  static constexpr size_t kText = 512;
  std::shared_ptr<Transport> transport_;
  std::shared_ptr<Communicator> host_;
  std::vector<int64_t> members_;
};

class InFile final : public Rendezvous {
 public:
  InFile(std::string path, int rank, int size, int local_rank, int local_size)
      : Rendezvous(rank, size), path_(std::move(path)), local_rank_(local_rank), local_size_(local_size) {}
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }

  std::string share(const std::string& text, double seconds) override {
    std::error_code failed;
    std::filesystem::remove(path_ + ".rank" + std::to_string(rank()), failed);  // of a job that failed here before
    if (rank() == 0) {
      const std::string part = write_part(path_, text);
      std::filesystem::create_hard_link(part, path_, failed);  // only if there is none
      std::error_code none;
      std::filesystem::remove(part, none);
      WEFT_CHECK(!failed, CommError, "init_process_group: ", path_, " cannot be made: ", failed.message(),
                 failed == std::errc::file_exists ? ", of another job; name a file that is not there yet" : "");
      wrote_ = true;
      return text;
    }
    const std::optional<std::string> read = wait_for(path_, Clock::now() + as_duration(seconds));
    WEFT_CHECK(read, CommError, "init_process_group: rank ", rank(), " of ", size(), " saw no file ", path_, " in ",
               seconds, " s; rank 0 writes it, on a disk that all ranks see");
    return *read;
  }
  std::vector<std::string> gather(const std::string& text, double seconds) override {
    const auto of = [&](int r) { return path_ + ".rank" + std::to_string(r); };
    std::vector<std::string> all(static_cast<size_t>(size()));
    const Clock::time_point end = Clock::now() + as_duration(seconds);
    write(of(rank()), text);
    for (int r = 0; r < size(); ++r)
      if (std::optional<std::string> theirs = wait_for(of(r), end)) all[static_cast<size_t>(r)] = std::move(*theirs);
    std::this_thread::sleep_until(std::min(end, Clock::now() + std::chrono::seconds(1)));  // others may be reading
    std::error_code none;
    std::filesystem::remove(of(rank()), none);
    return all;
  }
  std::shared_ptr<Rendezvous> split(int colour, int /*key*/, int rank, int size) override {
    const int number = splits_++;
    if (colour < 0) return nullptr;
    return std::make_shared<InFile>(path_ + ".group" + std::to_string(number) + "-" + std::to_string(colour), rank,
                                    size, local_rank_, local_size_);
  }
  void all_met() override {
    std::error_code none;
    if (std::exchange(wrote_, false)) std::filesystem::remove(path_, none);
  }
  ~InFile() override { all_met(); }

 private:
  /// A file beside `path` that holds the text; its name.
  std::string write_part(const std::string& path, const std::string& text) const {
    std::string part = path + ".part" + std::to_string(rank());
    std::ofstream out(part, std::ios::binary);
    out << text;
    out.close();
    WEFT_CHECK(out, CommError, "init_process_group: ", part,
               " cannot be written; name a file in a folder that all "
               "ranks write to");
    return part;
  }
  /// There whole or not at all.
  void write(const std::string& path, const std::string& text) const {
    const std::string part = write_part(path, text);
    std::error_code failed;
    std::filesystem::rename(part, path, failed);
    WEFT_CHECK(!failed, CommError, "init_process_group: ", path, " cannot be written: ", failed.message());
  }
  static std::optional<std::string> wait_for(const std::string& path, Clock::time_point end) {
    for (;;) {
      if (std::ifstream in(path, std::ios::binary); in) return std::string(std::istreambuf_iterator<char>(in), {});
      if (Clock::now() >= end) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  std::string path_;
  int local_rank_, local_size_, splits_ = 0;
  bool wrote_ = false;  // the file is this rank's
};

}  // namespace

std::shared_ptr<Rendezvous> meet_over(std::shared_ptr<Transport> transport) {
  std::shared_ptr<Communicator> host = over(transport);
  std::vector<int64_t> members(static_cast<size_t>(host->size()));
  std::iota(members.begin(), members.end(), 0);
  return std::make_shared<OverMessages>(std::move(transport), std::move(host), std::move(members));
}
std::shared_ptr<Rendezvous> meet_in_file(std::string path, int rank, int size, int local_rank, int local_size) {
  return std::make_shared<InFile>(std::move(path), rank, size, local_rank, local_size);
}

}  // namespace weft::comm
