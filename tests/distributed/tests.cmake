# The model of docs/scaling.md: its formulas beside a simulation of their messages.
add_test(NAME "distributed: scaling on paper"
  COMMAND "${WEFT_PYTHON}" -B "${PROJECT_SOURCE_DIR}/bench/ranks/scaling.py" self-test)
set_tests_properties("distributed: scaling on paper" PROPERTIES LABELS distributed)
