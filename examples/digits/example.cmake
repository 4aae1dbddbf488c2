weft_test_example(digits 0.94 1)
if(WEFT_TESTS)
  add_test(NAME "examples: digits resumed"
    COMMAND "${CMAKE_COMMAND}" -DPROGRAM=$<TARGET_FILE:digits> -DWORK=${PROJECT_BINARY_DIR}/digits_test
      -P "${CMAKE_CURRENT_LIST_DIR}/test.cmake")
  set_tests_properties("examples: digits resumed" PROPERTIES LABELS examples PROCESSORS 2 TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=2")
endif()
