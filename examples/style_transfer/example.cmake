# The example at a small size, with features that it makes itself.
if(WEFT_TESTS AND WEFT_IMAGE)
  add_test(NAME "examples: style_transfer"
    COMMAND "${CMAKE_COMMAND}" -DPROGRAM=$<TARGET_FILE:style_transfer> -DWORK=${PROJECT_BINARY_DIR}/style_transfer_test
      -P "${CMAKE_CURRENT_LIST_DIR}/test.cmake")
  set_tests_properties("examples: style_transfer" PROPERTIES LABELS examples TIMEOUT 300 ENVIRONMENT "OMP_NUM_THREADS=2")
endif()
