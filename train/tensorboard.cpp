// TensorBoard's event files: records of TensorFlow, each a protobuf message `Event`. The few messages that are needed
// are written field by field; their numbers are those of tensorflow/core/util/event.proto and framework/summary.proto.
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>

#include "weft/autograd/grad_mode.h"
#include "weft/io/checksum.h"
#include "weft/io/image.h"
#include "weft/train/log.h"

namespace weft::training {

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr size_t kBuckets = 64;

template <class T> std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

/// A protobuf message as it is put together.
class Message {
 public:
  Message& integer(unsigned field, int64_t value) {
    tag(field, 0);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& number(unsigned field, double value) {
    tag(field, 1);
    bytes_ += raw(value);
    return *this;
  }
  Message& single(unsigned field, float value) {
    tag(field, 5);
    bytes_ += raw(value);
    return *this;
  }
  Message& bytes(unsigned field, std::string_view value) {
    tag(field, 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(unsigned field, const Message& value) { return bytes(field, value.bytes_); }
  Message& numbers(unsigned field, const std::vector<double>& values) {
    std::string packed;
    for (const double v : values) packed += raw(v);
    return bytes(field, packed);
  }
  const std::string& str() const { return bytes_; }

 private:
  void tag(unsigned field, unsigned wire) { varint(field << 3 | wire); }
  void varint(uint64_t v) {
    for (; v >= 128; v >>= 7) bytes_ += static_cast<char>(v | 128);
    bytes_ += static_cast<char>(v);
  }
  std::string bytes_;
};

uint32_t masked_sum(std::string_view bytes) {
  return std::rotr(io::crc32c(0, bytes.data(), bytes.size()), 15) + 0xa282ead8u;
}

double seconds() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

/// An event with the fields of `rest`, as a record.
std::string record(int64_t step, const Message& rest) {
  const std::string event = Message().number(1, seconds()).integer(2, step).str() + rest.str();
  const std::string size = raw(static_cast<uint64_t>(event.size()));
  return size + raw(masked_sum(size)) + event + raw(masked_sum(event));
}

/// A record of one summary; `value` has all of it but the tag.
std::string summary(const std::string& name, int64_t step, const Message& value) {
  const std::string tagged = Message().bytes(1, name).str() + value.str();
  return record(step, Message().message(5, Message().bytes(1, tagged)));
}

std::string event_file(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(folder, error);
  WEFT_CHECK(!error, IoError, folder, ": cannot be made a folder: ", error.message());
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  // TensorBoard reads a folder's files in the order of their names.
  for (int i = 0;; ++i) {
    char name[400];
    std::snprintf(name, sizeof name, "events.out.tfevents.%010lld.%s.%d.%d", static_cast<long long>(seconds()), host,
                  static_cast<int>(::getpid()), i);
    if (const std::string path = (fs::path(folder) / name).string(); !fs::exists(path, error)) return path;
  }
}

}  // namespace

TensorBoardLog::TensorBoardLog(const std::string& folder, const LogOptions& o) : file_(event_file(folder)) {
  const int64_t start = o.resume_step ? *o.resume_step + 1 : 0;
  file_.write(record(0, Message().bytes(3, "brain.Event:2")));
  // SessionLog START: TensorBoard forgets what it has read of this step and later ones.
  file_.write(record(start, Message().message(7, Message().integer(1, 1))));
}

void TensorBoardLog::scalar(const std::string& name, double value, int64_t step) {
  file_.write(summary(name, step, Message().single(2, static_cast<float>(value))));
}

void TensorBoardLog::image(const std::string& name, const Tensor& picture, int64_t step) {
  WEFT_CHECK(picture.dtype() == Dtype::u8, DtypeError, "TensorBoardLog: expected a picture of u8, got ",
             picture.dtype(), "; io::batch_to_image converts");
  const std::vector<std::byte> png = io::png_bytes(picture);
  Message image;
  image.integer(1, picture.size(0)).integer(2, picture.size(1));
  image.integer(3, picture.rank() == 3 ? picture.size(2) : 1);
  image.bytes(4, {reinterpret_cast<const char*>(png.data()), png.size()});
  file_.write(summary(name, step, Message().message(4, image)));
}

void TensorBoardLog::histogram(const std::string& name, const Tensor& values, int64_t step) {
  const NoGrad guard;
  std::vector<double> x = values.detach().to_vector<double>();
  std::erase_if(x, [](double v) { return !std::isfinite(v); });
  if (x.empty()) return;
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const double min = *low, max = *high;
  // Halves first: the difference of two finite numbers may be infinite.
  const double width = (max / 2 - min / 2) / kBuckets * 2;
  const size_t count = width > 0 && std::isfinite(width) ? kBuckets : 1;
  std::vector<double> limits(count, max), counts(count, 0);
  for (size_t i = 0; i + 1 < count; ++i) limits[i] = min + width * static_cast<double>(i + 1);
  double sum = 0, squares = 0;
  for (const double v : x) {
    sum += v, squares += v * v;
    const double place = count == 1 ? 0 : (v - min) / width;
    counts[std::min(static_cast<size_t>(place), count - 1)] += 1;
  }
  Message histogram;
  histogram.number(1, min).number(2, max).number(3, static_cast<double>(x.size())).number(4, sum).number(5, squares);
  histogram.numbers(6, limits).numbers(7, counts);
  file_.write(summary(name, step, Message().message(5, histogram)));
}

void TensorBoardLog::text(const std::string& name, const std::string& text, int64_t step) {
  const Message plugin = Message().message(1, Message().bytes(1, "text"));
  const Message shape = Message().message(2, Message().integer(1, 1));
  const Message tensor = Message().integer(1, 7).message(2, shape).bytes(8, text);  // DT_STRING [1]
  file_.write(summary(name + "/text_summary", step, Message().message(9, plugin).message(8, tensor)));
}

void TensorBoardLog::hparams(const std::vector<HParam>& settings) {
  std::string table = "| setting | value |\n| --- | --- |\n";
  for (const HParam& s : settings) table += "| " + s.name + " | " + s.value + " |\n";
  text("hparams", table, 0);
}

}  // namespace weft::training
