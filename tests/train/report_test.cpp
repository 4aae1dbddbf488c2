// The page about a run, and the log that it is made of.
#include <cmath>

#include "io/io_test.h"
#include "weft/train/log.h"
#include "weft/train/report.h"

using namespace io_test;

namespace {

size_t count_of(const std::string& text, const std::string& word) {
  size_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_SUITE_BEGIN("report");

TEST_CASE("a log's scalars are read as they were written") {
  Folder folder;
  const std::string path = folder / "log.csv";
  {
    training::CsvLog log(path);
    log.scalar("loss", 0.1, 1);
    log.scalar("a \"b\", c", -1e-300, 1);
    log.scalar("loss", std::nan(""), 2);
    log.scalar("loss", HUGE_VAL, 3);
  }
  std::ofstream(path, std::ios::app) << "4,lo";  // cut off
  const auto points = training::read_csv_log(path);
  REQUIRE(points.size() == 2);
  const auto& loss = points.at("loss");
  REQUIRE(loss.size() == 3);
  CHECK(loss[0].step == 1);
  CHECK(loss[0].value == 0.1);
  CHECK(std::isnan(loss[1].value));
  CHECK(loss[2].value == HUGE_VAL);
  CHECK(points.at("a \"b\", c")[0].value == -1e-300);
  write_file(path, "step,name,value,time\n1,loss\n");
  CHECK(refusal([&] { (void)training::read_csv_log(path); }) == path + ": line 2 is '1,loss'");
  write_file(path, "x\n");
  CHECK(refusal([&] { (void)training::read_csv_log(path); }) == path + ": is no log of scalars");
  CHECK(refusal([&] { (void)training::read_csv_log(folder / "none"); }) == folder / "none" + ": cannot be opened");
}

TEST_CASE("a report has a chart for each name, pictures and texts, and needs nothing else") {
  Folder folder;
  const std::string path = folder / "log.csv", page_path = folder / "report.html";
  {
    training::CsvLog log(path);
    for (int step = 1; step <= 1000; ++step) log.scalar("train/loss", 1.0 / step, step);
    for (int step = 100; step <= 1000; step += 100) log.scalar("val/loss", 1.0 / step + 0.1, step);
    log.scalar("lr", 0.5, 1);
    log.scalar("bad", std::nan(""), 1);
  }
  training::ReportOptions o{.title = "A <run>"};
#if defined(WEFT_HAS_IMAGE)
  o.pictures = {{"an & overlay", full({4, 5, 3}, 200, Dtype::u8)}};
#endif
  o.texts = {{"Classes", "sky  0.5\n"}};
  training::write_report(page_path, path, o);
  const std::string page = read_file(page_path);
  CHECK(count_of(page, "<svg") == 3);   // loss, lr, bad
  CHECK(count_of(page, "<path") == 4);  // two of them in one chart
  CHECK(count_of(page, "A &lt;run&gt;") == 2);
  CHECK(page.find("<b class='c0'>train/loss</b> 0.001 at step 1000, <b class='c1'>val/loss</b> 0.101") !=
        std::string::npos);
  CHECK(page.find("sky  0.5\n</pre>") != std::string::npos);
  CHECK(page.find("http") == std::string::npos);
  CHECK(page.find("nan ") == page.find("nan at step 1"));  // as a caption, never as a coordinate
#if defined(WEFT_HAS_IMAGE)
  CHECK(page.find("an &amp; overlay") != std::string::npos);
  CHECK(page.find("src='data:image/png;base64,iVBORw0KGgo") != std::string::npos);
#endif
  CHECK_THROWS_AS(training::write_report(folder / "no/report.html", path), IoError);
}

TEST_SUITE_END();
