# Golden vectors: one test per family.
if(TARGET golden_driver)
  foreach(family IN ITEMS nn modules functions composites linalg special ops conv optim encoding elementwise dtypes
                         reduce search arrange places matrices)
    if(family MATCHES "^(linalg|matrices)$" AND NOT WEFT_BLAS)
      continue()
    endif()
    add_test(NAME "golden: ${family}" COMMAND golden_driver --strict "${CMAKE_CURRENT_LIST_DIR}/data/${family}")
    set_tests_properties("golden: ${family}" PROPERTIES LABELS golden ENVIRONMENT "OMP_NUM_THREADS=2" TIMEOUT 300
      FAIL_REGULAR_EXPRESSION "(^|\n)0 passed, 0 failed, 0 skipped")
    # The CPU under another name: all tensors of a case must follow the device.
    add_test(NAME "golden: ${family} on a second device"
      COMMAND golden_driver --strict --device custom "${CMAKE_CURRENT_LIST_DIR}/data/${family}")
    set_tests_properties("golden: ${family} on a second device" PROPERTIES LABELS "golden;devices;slow"
      ENVIRONMENT "OMP_NUM_THREADS=2" TIMEOUT 300 FAIL_REGULAR_EXPRESSION "(^|\n)0 passed, 0 failed, 0 skipped")
  endforeach()
endif()
