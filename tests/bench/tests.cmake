# What the drivers of the benchmarks make of times and losses, told by programs that measure nothing.
add_test(NAME "bench: the fastest peer"
  COMMAND "${WEFT_PYTHON}" -B "${PROJECT_SOURCE_DIR}/bench/fastest_test.py")
set_tests_properties("bench: the fastest peer" PROPERTIES LABELS bench TIMEOUT 120)
