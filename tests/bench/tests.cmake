# What the drivers of the benchmarks make of times and losses, told by programs that measure nothing.
add_test(NAME "bench: the fastest peer"
  COMMAND "${WEFT_PYTHON}" -B "${PROJECT_SOURCE_DIR}/bench/fastest_test.py")
add_test(NAME "bench: growth curves"
  COMMAND "${WEFT_PYTHON}" -B "${PROJECT_SOURCE_DIR}/bench/growth_test.py")
set_tests_properties("bench: the fastest peer" "bench: growth curves" PROPERTIES LABELS bench TIMEOUT 120)
add_test(NAME "bench: docs/gpu.md has what is predicted"
  COMMAND "${WEFT_PYTHON}" -B "${PROJECT_SOURCE_DIR}/bench/gpu_predict.py" --check "${PROJECT_SOURCE_DIR}/docs/gpu.md")
add_test(NAME "bench: the check with a card, over programs that pretend"
  COMMAND "${WEFT_PYTHON}" -B "${CMAKE_CURRENT_LIST_DIR}/gpu_check_test.py")
set_tests_properties("bench: docs/gpu.md has what is predicted" "bench: the check with a card, over programs that pretend"
  PROPERTIES LABELS bench TIMEOUT 120)
