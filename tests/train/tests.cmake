# Skipped where there is no TensorBoard (WEFT_TENSORBOARD_PYTHON in the environment names a Python that has it).
if(TARGET weft_test_train)
  add_test(NAME "train: tensorboard" COMMAND "${WEFT_PYTHON}" "${CMAKE_CURRENT_LIST_DIR}/tensorboard_test.py"
    $<TARGET_FILE:weft_test_train>)
  set_tests_properties("train: tensorboard" PROPERTIES SKIP_RETURN_CODE 77 LABELS tensorboard TIMEOUT 120)
  add_test(NAME "train: 100,000 steps" COMMAND weft_test_train "-tc=many steps with loader*")
  set_tests_properties("train: 100,000 steps" PROPERTIES LABELS slow TIMEOUT 600 ENVIRONMENT "WEFT_TEST_STEPS=100000"
    FAIL_REGULAR_EXPRESSION "test cases: +0 ")
  # Its default is three kills: enough to see that it works, not that it holds.
  if(WEFT_IMAGE)
    add_test(NAME "train: fifty kills" COMMAND weft_test_train "-tc=a training with loader*")
    set_tests_properties("train: fifty kills" PROPERTIES LABELS slow TIMEOUT 600 ENVIRONMENT "WEFT_TEST_KILLS=50"
      FAIL_REGULAR_EXPRESSION "test cases: +0 ")
  endif()
endif()
