// tests/fuzz/windows_quote.cpp - a command line for Windows is read back as the arguments that it was made of, by every
// kind of parser, or it was refused; and cmd.exe sees nothing but text in it.
#include "fuzz.hpp"

#include "../windows_parsers.hpp"

#include <leash/detail/windows/quote.hpp>

namespace {

using windows::Pair;
using windows::Strings;

bool has(const std::string& text, std::string_view any) { return text.find_first_of(any) != std::string::npos; }

void check_program(const Strings& argv) {
    const auto line = leash::detail::windows_command_line(argv);
    if (!line) {
        bool has_nul = false;
        for (const std::string& argument : argv) has_nul |= has(argument, std::string_view("\0", 1));
        FUZZ_NEEDS(line.error().step == leash::Step::command);
        FUZZ_NEEDS(has_nul || has(argv.front(), "\"\\") || line.error().code == std::errc::argument_list_too_long);
        return;
    }
    for (const Pair pair : {Pair::quote_and_on, Pair::quote_and_end, Pair::end_and_begin})
        FUZZ_NEEDS(windows::to_argv(*line, pair) == argv);
}

void check_batch(const Strings& argv) {
    const auto line = leash::detail::batch_command_line(argv);
    if (!line) {
        bool dangerous = line.error().code == std::errc::argument_list_too_long;
        for (const std::string& argument : argv) {
            dangerous |= has(argument, "\"%!");
            for (const char c : argument) dangerous |= static_cast<unsigned char>(c) < 0x20 && c != '\t';
        }
        FUZZ_NEEDS(dangerous);
        return;
    }
    const auto batch = windows::to_batch(*line);
    FUZZ_NEEDS(batch.has_value());
    FUZZ_NEEDS(windows::is_parameter(argv[0], batch->file));
    FUZZ_NEEDS(batch->parameters.size() + 1 == argv.size());
    for (std::size_t i = 1; i < argv.size(); ++i) FUZZ_NEEDS(windows::is_parameter(argv[i], batch->parameters[i - 1]));
    Strings handed_on = windows::to_argv("p" + batch->all, Pair::quote_and_on);
    handed_on[0] = argv[0];
    FUZZ_NEEDS(handed_on == argv);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Strings argv = fuzz::Bytes(data, size).words();
    check_program(argv);
    check_batch(argv);
    return 0;
}
