// tests/fuzz/environment.cpp - what macOS tells of a process: its environment is found again behind any path and arguments, and
// of any answer at all only the end is taken for one.
#include "fuzz.hpp"

#include <leash/leash.hpp>

#if __has_include(<leash/detail/posix/environment.hpp>)  // the single header has it in itself
#include <leash/detail/posix/environment.hpp>
#endif

#include <cstring>

namespace {

bool is_end_of(std::string_view part, std::string_view all) {
    return part.size() <= all.size() && all.substr(all.size() - part.size()) == part;
}

/// Without what would end it.
std::string text(fuzz::Bytes& input) {
    std::string text = input.text();
    for (char& c : text) c = c == '\0' ? '0' : c;
    return text;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace leash::detail::os;
    const std::string any(reinterpret_cast<const char*>(data), size);
    FUZZ_NEEDS(is_end_of(environment_behind_arguments(any), any));
    FUZZ_NEEDS(is_end_of(environment_behind_addresses(any), any));

    fuzz::Bytes input(data, size);
    const std::size_t cut = input.byte();
    std::string strings = "/" + text(input), environment;
    strings += '\0';
    while (strings.size() % 8 != 0) strings += '\0';
    const int count = static_cast<int>(input.choice(4));
    for (int i = 0; i < count; ++i) (strings += text(input)) += '\0';
    while (!input.empty()) (environment += text(input)) += '\0';
    std::string answer(sizeof count, '\0');
    std::memcpy(&answer[0], &count, sizeof count);
    answer += strings + environment;
    FUZZ_NEEDS(environment_behind_arguments(answer) == environment);
    answer.resize(cut < answer.size() ? cut : answer.size());
    FUZZ_NEEDS(is_end_of(environment_behind_arguments(answer), answer));
    return 0;
}
