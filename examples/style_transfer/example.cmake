if(WEFT_TESTS)
  # The network against PyTorch's, its file, tiles.
  find_package(doctest 2.4 REQUIRED)
  weft_add_program(style_transfer_test "${PROJECT_SOURCE_DIR}/tests/examples/msgnet_test.cpp"
    "${CMAKE_CURRENT_LIST_DIR}/msgnet.cpp" "${CMAKE_CURRENT_LIST_DIR}/msgnet_apply.cpp")
  target_link_libraries(style_transfer_test PRIVATE doctest::doctest)
  add_test(NAME "examples: msgnet" COMMAND style_transfer_test)
  set_tests_properties("examples: msgnet" PROPERTIES LABELS examples TIMEOUT 300
    ENVIRONMENT "OMP_NUM_THREADS=2;WEFT_MSGNET_GOLDEN=${PROJECT_SOURCE_DIR}/tests/examples/msgnet_golden.npz")
endif()

# The example at a small size, with features that it makes itself.
if(WEFT_TESTS AND WEFT_IMAGE)
  add_test(NAME "examples: style_transfer"
    COMMAND "${CMAKE_COMMAND}" -DPROGRAM=$<TARGET_FILE:style_transfer> -DWORK=${PROJECT_BINARY_DIR}/style_transfer_test
      -DMODELS=${CMAKE_CURRENT_LIST_DIR}/models -P "${CMAKE_CURRENT_LIST_DIR}/test.cmake")
  set_tests_properties("examples: style_transfer" PROPERTIES LABELS examples TIMEOUT 600 ENVIRONMENT "OMP_NUM_THREADS=2")
endif()
