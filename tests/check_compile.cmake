# cmake -DSOURCE=<file> -DCOMMAND=<compiler;flags…> -P check_compile.cmake
# Compiles a file. One that begins with "// expect: <text>" must be refused, with that text in what the compiler says;
# any other must compile without a warning.
file(STRINGS ${SOURCE} first LIMIT_COUNT 1)
execute_process(COMMAND ${COMMAND} -fsyntax-only ${SOURCE} RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(first MATCHES "^// expect: (.*[^ ]) *$")
    set(expected "${CMAKE_MATCH_1}")
    string(FIND "${said}" "${expected}" at)
    if(result EQUAL 0)
        message(FATAL_ERROR "${SOURCE} compiles, and must not.")
    elseif(at EQUAL -1)
        message("${said}")
        message(FATAL_ERROR "${SOURCE} does not compile, as it should, but nothing says: ${expected}")
    endif()
elseif(NOT result EQUAL 0)
    message("${said}")
    message(FATAL_ERROR "${SOURCE} does not compile.")
endif()
