// The form of errors, and that a throwing op leaves everything as it was.
#include <doctest/doctest.h>

#include "support/throws.h"
#include "weft/core/backend.h"
#include "weft/core/factory.h"

using namespace weft;
using support::message_of;

TEST_SUITE("errors") {
  TEST_CASE("every error is an Error, and a std::runtime_error") {
    CHECK_THROWS_AS(raise<ShapeError>("op: wrong"), Error);
    CHECK_THROWS_AS(raise<OutOfMemory>("op: wrong"), std::runtime_error);
    CHECK(message_of<Error>([] { raise<ValueError>("op: ", 3, " is not ", 2.5, "; use 2"); }) ==
          "op: 3 is not 2.5; use 2");
  }

  TEST_CASE("WEFT_CHECK builds its text on failure only") {
    int built = 0;
    const auto text = [&] { return ++built, "x"; };
    WEFT_CHECK(true, ValueError, text());
    CHECK(built == 0);
    CHECK_THROWS_AS([&] { WEFT_CHECK(false, ValueError, text()); }(), ValueError);
    CHECK(built == 1);
  }

  TEST_CASE("an error on its way up takes another text and stays what it is") {
    struct Mine : ValueError {
      using ValueError::ValueError;
      int code = 7;
    };
    bool caught = false;
    try {
      try {
        throw Mine("op: wrong");
      } catch (Error& e) {
        e.add_context("while doing this");
        throw;
      }
    } catch (const Mine& e) {
      caught = true;
      CHECK(e.code == 7);
      CHECK(std::string(e.what()) == "op: wrong (while doing this)");
      Error copy = e;
      copy.set_text("another");
      CHECK(std::string(copy.what()) == "another");
      CHECK(std::string(e.what()) == "op: wrong (while doing this)");
    }
    CHECK(caught);
  }

  TEST_CASE("an OpName names the errors of all that it calls, the outermost one counts") {
    const auto text = [](const char* inner) { return message_of<ValueError>([=] { raise<ValueError>(inner); }); };
    CHECK(text("part: wrong") == "part: wrong");
    {
      const OpName op("whole");
      CHECK(text("part: wrong") == "whole: wrong");
      CHECK(text("whole: wrong") == "whole: wrong");
      CHECK(text("the input is wrong") == "whole: the input is wrong");
      CHECK(text("x is wrong: 3") == "whole: x is wrong: 3");
      CHECK(text("cuda:0: out of memory") == "whole: cuda:0: out of memory");
      CHECK(text("oneDNN: matmul failed") == "whole: oneDNN: matmul failed");
      CHECK(text("\"a: b\" is wrong") == "whole: \"a: b\" is wrong");
      const OpName inner("inner");
      CHECK(text("part: wrong") == "whole: wrong");
      CHECK(str(inner) == "inner");  // the name that an op's node gets
      CHECK(std::string(detail::op_name()) == "whole");
    }
    CHECK(detail::op_name() == nullptr);
    CHECK_THROWS_AS(
        [] {
          const OpName op("whole");
          raise<IoError>("x");
        }(),
        IoError);
    CHECK(text("part: wrong") == "part: wrong");  // also after an error
  }

  TEST_CASE("a broken invariant names the place") {
    const std::string text = message_of<Error>([] { WEFT_ASSERT(1 == 2); });
    CHECK(text.find("internal error: 1 == 2 does not hold at ") == 0);
    CHECK(text.find("error_test.cpp:") != std::string::npos);
  }

  TEST_CASE("unknown devices are refused by name") {
    CHECK(message_of<ValueError>([] { (void)Device("gpu"); }).find("\"gpu\"") != std::string::npos);
    CHECK_THROWS_AS(Device("cuda:-1"), ValueError);
    CHECK_THROWS_AS(Device("cuda:x"), ValueError);
    CHECK(str(Device("cpu")) == "cpu");
    CHECK(Device(DeviceType::cuda, 1).index == 1);
    CHECK_THROWS_AS(Device("cuda:99"), DeviceError);  // no machine has that many
    if (!has_backend(DeviceType::custom))             // another test may have registered one
      CHECK(message_of<DeviceError>([] { (void)zeros({2}, Device(DeviceType::custom)); }).find("custom") !=
            std::string::npos);
  }

  TEST_CASE("a throwing in-place op changes nothing, not even the version") {
    Tensor x = ones({2, 2});
    const uint32_t version = x.version();
    CHECK_THROWS_AS(x.copy_(ones({3})), Error);
    CHECK_THROWS_AS(x.add_(ones({3})), Error);
    CHECK(x.version() == version);
    CHECK(x.to_vector<double>() == std::vector<double>(4, 1));
  }
}
