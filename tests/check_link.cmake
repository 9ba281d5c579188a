# -DCOMMAND=<compiler and flags> -DSOURCES=<files> -DFOLDER=<where> [-DEXPECT=<regex>]: they make a program that runs, or
# the linker says what is expected.
separate_arguments(COMMAND)
file(MAKE_DIRECTORY ${FOLDER})
execute_process(COMMAND ${COMMAND} ${SOURCES} -o ${FOLDER}/program -pthread
    RESULT_VARIABLE result OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(EXPECT)
    if(result EQUAL 0 OR NOT text MATCHES "${EXPECT}")
        message(FATAL_ERROR "expected \"${EXPECT}\" (exit code ${result}):\n${text}")
    endif()
elseif(NOT result EQUAL 0)
    message(FATAL_ERROR "does not link:\n${text}")
else()
    execute_process(COMMAND ${FOLDER}/program RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "exit code ${result}")
    endif()
endif()
