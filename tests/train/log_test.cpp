// What logs write, read back: lines, records with their checksums, and what is left of a run that was killed.
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "io/io_test.h"
#include "support/child.h"
#include "weft/io/checksum.h"
#include "weft/io/image.h"
#include "weft/train/log.h"

using namespace io_test;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}
/// Without its last field, the time.
std::string without_time(const std::string& line) {
  return line.substr(0, line.rfind(line[0] == '{' ? ",\"time\"" : ","));
}

std::vector<std::string> event_files(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

/// A protobuf message's fields, in order.
struct Field {
  unsigned number = 0;
  uint64_t integer = 0;  // or the bits of a float or double
  std::string bytes = {};
  double real() const {
    double v;
    std::memcpy(&v, &integer, 8);
    return v;
  }
  float single() const {
    const auto bits = static_cast<uint32_t>(integer);
    float v;
    std::memcpy(&v, &bits, 4);
    return v;
  }
};
uint64_t varint(std::string_view& s) {
  uint64_t v = 0;
  for (int shift = 0;; shift += 7) {
    REQUIRE(!s.empty());
    const auto byte = static_cast<unsigned char>(s[0]);
    s.remove_prefix(1);
    v |= static_cast<uint64_t>(byte & 127) << shift;
    if (byte < 128) return v;
  }
}
std::vector<Field> parse(std::string_view s) {
  std::vector<Field> out;
  while (!s.empty()) {
    const uint64_t tag = varint(s);
    Field f{static_cast<unsigned>(tag >> 3)};
    const unsigned wire = tag & 7;
    if (wire == 0) {
      f.integer = varint(s);
    } else {
      const uint64_t size = wire == 2 ? varint(s) : wire == 1 ? 8 : 4;
      REQUIRE(size <= s.size());
      if (wire == 2) f.bytes = s.substr(0, size);
      else std::memcpy(&f.integer, s.data(), size);
      s.remove_prefix(size);
    }
    out.push_back(f);
  }
  return out;
}
const Field& field(const std::vector<Field>& fields, unsigned number) {
  for (const Field& f : fields)
    if (f.number == number) return f;
  FAIL("no field " << number);
  return fields[0];
}

/// The events of a file. Lengths and both checksums of each record are checked.
std::vector<std::vector<Field>> events_of(const std::string& path) {
  const std::string file = read_file(path);
  const auto masked = [](const char* data, size_t n) {
    const uint32_t crc = io::crc32c(0, data, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
  };
  std::vector<std::vector<Field>> out;
  for (size_t at = 0; at < file.size();) {
    uint64_t size;
    uint32_t sum;
    REQUIRE(at + 12 <= file.size());
    std::memcpy(&size, &file[at], 8);
    std::memcpy(&sum, &file[at + 8], 4);
    CHECK(sum == masked(&file[at], 8));
    REQUIRE(at + 16 + size <= file.size());
    std::memcpy(&sum, &file[at + 12 + size], 4);
    CHECK(sum == masked(&file[at + 12], size));
    out.push_back(parse(std::string_view(file).substr(at + 12, size)));
    at += 16 + size;
  }
  return out;
}
/// The one value of an event's summary.
std::vector<Field> value_of(const std::vector<Field>& event) {
  return parse(field(parse(field(event, 5).bytes), 1).bytes);
}
std::vector<double> packed(const std::string& bytes) {
  std::vector<double> v(bytes.size() / 8);
  std::memcpy(v.data(), bytes.data(), v.size() * 8);
  return v;
}

}  // namespace

TEST_SUITE_BEGIN("log");

TEST_CASE("CSV and JSON lines") {
  Folder folder;
  const std::string csv = folder / "new/log.csv", jsonl = folder / "log.jsonl";
  training::Log log{training::CsvLog(csv), training::JsonlLog(jsonl)};
  log.hparams({{"lr", 1e-3}, {"batch", 32}, {"name", "a \"b\""}, {"amp", true}});
  log.scalar("loss", 0.1, 1);
  log.scalar("val/miou, mean", std::nan(""), 2);
  log.text("note", "two\nlines", 2);
  log.image("ignored", zeros({2, 2}, Dtype::u8), 2);
  std::vector<std::string> lines = lines_of(csv);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == "step,name,value,time");
  CHECK(without_time(lines[1]) == "1,loss,0.1");
  CHECK(without_time(lines[2]) == "2,\"val/miou, mean\",nan");
  CHECK(std::stod(lines[1].substr(lines[1].rfind(',') + 1)) > 1.7e9);
  lines = lines_of(jsonl);
  REQUIRE(lines.size() == 4);
  CHECK(without_time(lines[0]) == R"({"step":0,"hparams":{"lr":"0.001","batch":"32","name":"a \"b\"","amp":"true"})");
  CHECK(without_time(lines[1]) == R"({"step":1,"name":"loss","value":0.1)");
  CHECK(without_time(lines[2]) == R"({"step":2,"name":"val/miou, mean","value":"nan")");
  CHECK(without_time(lines[3]) == R"({"step":2,"name":"note","text":"two\u000alines")");
  CHECK_THROWS_AS(log.scalar("a\nb", 1, 1), ValueError);
}

TEST_CASE("JSON lines of text that is no UTF-8 can be read") {
  Folder folder;
  const std::string jsonl = folder / "log.jsonl";
  training::JsonlLog(jsonl).text("note", "a\xff \xc3\xa9", 1);
  CHECK(without_time(lines_of(jsonl).at(0)) == "{\"step\":1,\"name\":\"note\",\"text\":\"a\\ufffd \xc3\xa9\"");
}

TEST_CASE("a run that goes on has no line twice, a new one keeps the old file") {
  Folder folder;
  const std::string csv = folder / "log.csv", jsonl = folder / "log.jsonl";
  {
    training::Log log{training::CsvLog(csv), training::JsonlLog(jsonl)};
    for (int step = 1; step <= 5; ++step) log.scalar("loss", step, step);
  }
  std::ofstream(csv, std::ios::app) << "6,lo";  // cut off with the run
  {
    training::Log log{training::CsvLog(csv, {3}), training::JsonlLog(jsonl, {3})};
    for (int step = 4; step <= 5; ++step) log.scalar("loss", 10 * step, step);
  }
  std::vector<std::string> lines = lines_of(csv);
  REQUIRE(lines.size() == 6);
  const char* expected[] = {"1,loss,1", "2,loss,2", "3,loss,3", "4,loss,40", "5,loss,50"};
  for (size_t i = 0; i < 5; ++i) CHECK(without_time(lines[i + 1]) == expected[i]);
  lines = lines_of(jsonl);
  REQUIRE(lines.size() == 5);
  CHECK(without_time(lines[3]) == R"({"step":4,"name":"loss","value":40)");

  { training::CsvLog fresh(csv); }
  CHECK(lines_of(csv).size() == 1);
  CHECK(lines_of(csv + ".old").size() == 6);
  write_file(csv, "epoch,loss\n1,2\n");
  CHECK(refusal([&] { training::CsvLog(csv, {1}); }) ==
        csv + ": is no log of this kind: its first line is 'epoch,loss'");
  CHECK(refusal([&] { training::CsvLog(folder.path.string()); }).find("cannot be opened for writing") !=
        std::string::npos);
}

TEST_CASE("a killed run keeps what it logged") {
  Folder folder;
  const std::string csv = folder / "log.csv", events = folder / "tb";
  CHECK(support::in_child([&] {
          training::Log log{training::CsvLog(csv), training::TensorBoardLog(events)};
          for (int step = 0; step < 100; ++step) log.scalar("loss", step, step);
          std::raise(SIGKILL);
          return 0;
        }) == -SIGKILL);
  CHECK(lines_of(csv).size() == 101);
  CHECK(events_of(event_files(events)[0]).size() == 102);
}

TEST_CASE("an event file has the records and messages of TensorBoard") {
  Folder folder;
  const std::string at = folder / "tb";
  {
    training::TensorBoardLog log(at);
    log.scalar("loss", 0.5, 300);
    log.histogram("w", tensor({-1.0, 0.0, 0.5, 3.0, std::nan(""), HUGE_VAL}), 7);
    log.histogram("same", full({5}, 2.0), 7);
    log.histogram("none", full({5}, std::nan("")), 7);
    log.text("note", "hello", 9);
    log.hparams({{"lr", 0.25}});
  }
  { training::TensorBoardLog resumed(at, {300}); }
  const std::vector<std::string> files = event_files(at);
  REQUIRE(files.size() == 2);
  const auto events = events_of(files[0]);
  REQUIRE(events.size() == 7);
  CHECK(field(events[0], 3).bytes == "brain.Event:2");
  CHECK(field(events[0], 1).real() > 1.7e9);
  CHECK(field(events[1], 2).integer == 0);
  CHECK(field(parse(field(events[1], 7).bytes), 1).integer == 1);  // START

  CHECK(field(events[2], 2).integer == 300);
  auto value = value_of(events[2]);
  CHECK(field(value, 1).bytes == "loss");
  CHECK(field(value, 2).single() == 0.5f);

  auto histogram = parse(field(value_of(events[3]), 5).bytes);
  CHECK(field(histogram, 1).real() == -1);
  CHECK(field(histogram, 2).real() == 3);
  CHECK(field(histogram, 3).real() == 4);
  CHECK(field(histogram, 4).real() == 2.5);
  CHECK(field(histogram, 5).real() == 10.25);
  const auto limits = packed(field(histogram, 6).bytes), counts = packed(field(histogram, 7).bytes);
  REQUIRE(limits.size() == 64);
  REQUIRE(counts.size() == 64);
  CHECK(limits.front() == -1 + 1. / 16);
  CHECK(limits.back() == 3);
  for (size_t i = 0; i < 64; ++i) CHECK(counts[i] == (i == 0 || i == 16 || i == 24 || i == 63));
  histogram = parse(field(value_of(events[4]), 5).bytes);
  CHECK(packed(field(histogram, 6).bytes) == std::vector<double>{2});
  CHECK(packed(field(histogram, 7).bytes) == std::vector<double>{5});

  value = value_of(events[5]);
  CHECK(field(value, 1).bytes == "note/text_summary");
  CHECK(field(parse(field(parse(field(value, 9).bytes), 1).bytes), 1).bytes == "text");
  const auto text = parse(field(value, 8).bytes);
  CHECK(field(text, 1).integer == 7);
  CHECK(field(text, 8).bytes == "hello");
  CHECK(field(parse(field(value_of(events[6]), 8).bytes), 8).bytes ==
        "| setting | value |\n| --- | --- |\n| lr | 0.25 |\n");

  const auto resumed = events_of(files[1]);
  REQUIRE(resumed.size() == 2);
  CHECK(field(resumed[1], 2).integer == 301);
}

#if defined(WEFT_HAS_IMAGE)
TEST_CASE("a picture of an event file is a PNG") {
  Folder folder;
  Generator g(1);
  const Tensor picture = randint(0, 256, {5, 7, 3}, Dtype::u8, &g);
  {
    training::TensorBoardLog log(folder / "tb");
    log.image("overlay", picture, 2);
    log.image("grey", picture.select(2, 0), 2);
    CHECK_THROWS_AS(log.image("floats", zeros({2, 2, 3}), 2), DtypeError);
  }
  const auto events = events_of(event_files(folder / "tb")[0]);
  REQUIRE(events.size() == 4);
  const auto image = parse(field(value_of(events[2]), 4).bytes);
  CHECK(field(image, 1).integer == 5);
  CHECK(field(image, 2).integer == 7);
  CHECK(field(image, 3).integer == 3);
  CHECK(identical(io::read_image(bytes_of(field(image, 4).bytes), "event"), picture));
  CHECK(field(parse(field(value_of(events[3]), 4).bytes), 3).integer == 1);
}
#endif

/// Two starts of a run for another program to read: tensorboard_test.py.
TEST_CASE("writes events for another reader" * doctest::skip()) {
  const char* to = std::getenv("WEFT_TEST_EVENTS");
  REQUIRE(to);
  {
    training::TensorBoardLog log(to);
    for (int step = 1; step <= 6; ++step) log.scalar("loss", step, step);
    log.text("note", "hello", 1);
    log.histogram("w", tensor({-1.0, 0.0, 0.5, 3.0}), 1);
    log.hparams({{"lr", 0.25}});
#if defined(WEFT_HAS_IMAGE)
    log.image("overlay", full({5, 7, 3}, 200, Dtype::u8), 1);
#endif
  }
  training::TensorBoardLog log(to, {4});
  for (int step = 5; step <= 7; ++step) log.scalar("loss", 10 * step, step);
}

TEST_SUITE_END();
