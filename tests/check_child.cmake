# cmake -DSOURCE=<file> -DCOMMAND=<compiler;flags…> -DOUTPUT=<file> -P check_child.cmake
# The child of a direct start runs in the memory of its parent: whatever a compiler is asked to add to functions, the child's
# code calls nothing. Looks into the assembly.
foreach(added "-O0;-fsanitize=address,undefined;-finstrument-functions;-fstack-protector-all;--coverage" "-O1;-pg")
    execute_process(COMMAND ${COMMAND} ${added} -S ${SOURCE} -o ${OUTPUT} RESULT_VARIABLE result ERROR_VARIABLE said)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${said}\n${SOURCE} does not compile with ${added}.")
    endif()
    file(READ ${OUTPUT} text)
    string(REPLACE ";" "," text "${text}")
    foreach(function child5beginEPv child6ignoreEi sys11end_handlerEv)
        string(FIND "${text}" "${function}:" at)
        if(at EQUAL -1 AND function MATCHES end_handler)
            continue() # there is none on arm64
        elseif(at EQUAL -1)
            message(FATAL_ERROR "there is no ${function} in the assembly with ${added}.")
        endif()
        string(SUBSTRING "${text}" ${at} -1 body)
        string(FIND "${body}" ".cfi_endproc" end)
        string(SUBSTRING "${body}" 0 ${end} body)
        string(REGEX MATCHALL "\n([0-9]+:)?[ \t]+(callq?|blr?|jmp[ \t]+_)[ \t]*[^\n]*" calls "${body}")
        # what a stack protector calls once the parent's memory is broken
        list(FILTER calls EXCLUDE REGEX "__stack_chk_fail")
        if(calls)
            message(FATAL_ERROR "with ${added} the child calls:${calls}")
        endif()
    endforeach()
endforeach()
