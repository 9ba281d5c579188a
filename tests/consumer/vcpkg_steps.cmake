# What vcpkg does with a port, for machines without vcpkg:
#     cmake -DPORT_FOLDER=<folder of the port> -DWORK=<folder> [-DFEATURES=compiled] -P vcpkg_steps.cmake
# It installs to <folder>/leash. The functions have vcpkg's names, and do that part of the work that is needed here; all is
# built as for a release.
cmake_minimum_required(VERSION 3.19)

file(READ "${PORT_FOLDER}/vcpkg.json" manifest)
string(JSON PORT GET "${manifest}" name)
string(JSON VERSION GET "${manifest}" version)
string(JSON helpers LENGTH "${manifest}" dependencies)
set(CURRENT_PACKAGES_DIR "${WORK}/${PORT}")
set(VCPKG_BUILD_TYPE release)
foreach(feature IN LISTS FEATURES)
    string(JSON described GET "${manifest}" features ${feature} description)
endforeach()

# depends_on(<port>): a function that another port provides is there only if the manifest asks for that port.
function(depends_on port)
    math(EXPR last "${helpers} - 1")
    foreach(number RANGE ${last})
        string(JSON name GET "${manifest}" dependencies ${number} name)
        string(JSON host GET "${manifest}" dependencies ${number} host)
        if(name STREQUAL port AND host)
            return()
        endif()
    endforeach()
    message(FATAL_ERROR "vcpkg.json does not depend on ${port} as a host tool")
endfunction()

function(must_run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${result}: ${ARGN}")
    endif()
endfunction()

function(vcpkg_download_distfile archive)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "URLS;FILENAME;SHA512" "")
    file(DOWNLOAD "${arg_URLS}" "${WORK}/downloads/${arg_FILENAME}" EXPECTED_HASH SHA512=${arg_SHA512})
    set(${archive} "${WORK}/downloads/${arg_FILENAME}" PARENT_SCOPE)
endfunction()

function(vcpkg_extract_source_archive source)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "ARCHIVE" "")
    file(ARCHIVE_EXTRACT INPUT "${arg_ARCHIVE}" DESTINATION "${WORK}/source")
    file(GLOB folder "${WORK}/source/*")
    set(${source} "${folder}" PARENT_SCOPE)
endfunction()

# Of the pairs of a feature and CMake's option for it.
function(vcpkg_check_features)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "OUT_FEATURE_OPTIONS" "FEATURES")
    set(options)
    while(arg_FEATURES)
        list(POP_FRONT arg_FEATURES feature option)
        if(feature IN_LIST FEATURES)
            list(APPEND options -D${option}=ON)
        else()
            list(APPEND options -D${option}=OFF)
        endif()
    endwhile()
    set(${arg_OUT_FEATURE_OPTIONS} "${options}" PARENT_SCOPE)
endfunction()

function(vcpkg_cmake_configure)
    depends_on(vcpkg-cmake)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "SOURCE_PATH" "OPTIONS")
    must_run("${CMAKE_COMMAND}" -G Ninja -S "${arg_SOURCE_PATH}" -B "${WORK}/build" ${arg_OPTIONS}
             "-DCMAKE_INSTALL_PREFIX=${CURRENT_PACKAGES_DIR}" -Werror=dev)
endfunction()

function(vcpkg_cmake_install)
    must_run("${CMAKE_COMMAND}" --build "${WORK}/build" --target install)
endfunction()

# Moves the package's files to share/<port>. They are a folder nearer to the prefix then, and must count one less.
function(vcpkg_cmake_config_fixup)
    depends_on(vcpkg-cmake-config)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "CONFIG_PATH" "")
    file(RENAME "${CURRENT_PACKAGES_DIR}/${arg_CONFIG_PATH}" "${CURRENT_PACKAGES_DIR}/share/${PORT}")
    file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/cmake")
    set(targets "${CURRENT_PACKAGES_DIR}/share/${PORT}/${PORT}Targets.cmake")
    file(READ "${targets}" text)
    set(up "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\n")
    string(REPLACE "${up}${up}${up}" "${up}${up}" text "${text}")
    file(WRITE "${targets}" "${text}")
endfunction()

function(vcpkg_fixup_pkgconfig)
endfunction()

function(vcpkg_install_copyright)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "FILE_LIST" "")
    file(INSTALL "${arg_FILE_LIST}" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}" RENAME copyright)
endfunction()

include("${PORT_FOLDER}/portfile.cmake")

# What vcpkg looks at when a port is built.
set(files include/leash/leash.hpp share/leash/leashConfig.cmake share/leash/copyright share/leash/usage
    lib/pkgconfig/leash.pc)
if("compiled" IN_LIST FEATURES)
    list(APPEND files lib/libleash.a lib/pkgconfig/leash-compiled.pc)
endif()
foreach(file IN LISTS files)
    if(NOT EXISTS "${CURRENT_PACKAGES_DIR}/${file}")
        message(FATAL_ERROR "the package has no ${file}")
    endif()
endforeach()
file(GLOB shares RELATIVE "${CURRENT_PACKAGES_DIR}" "${CURRENT_PACKAGES_DIR}/*" "${CURRENT_PACKAGES_DIR}/share/*")
if(NOT shares STREQUAL "include;lib;share;share/leash")
    message(FATAL_ERROR "the package has more or less than include, lib and share/leash: ${shares}")
endif()
