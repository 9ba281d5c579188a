// tests/fuzz/plan.cpp - whatever is asked for, there is either a plan in which nothing is left to decide, or an error
// that says what is wrong with it; and a start that is refused has started nothing and leaves nothing.
#include "fuzz.hpp"

#include <leash/leash.hpp>

#include <chrono>
#include <cmath>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

using fuzz::Bytes;
using leash::Step;
using leash::detail::Plan;
using std::string_view;

namespace {

/// Mostly what means something, so that not all is refused at the first look.
std::string text(Bytes& input) {
    static const char* const words[] = {
        "sh", "/bin/sh", "true", "", "/", ".", "PATH", "HOME", "=", "/bin:/usr/bin", "../", "no such thing"};
    const unsigned which = input.choice(16);
    return which < std::size(words) ? words[which] : input.text();
}

leash::Timeout timeout(Bytes& input) {
    switch (input.choice(5)) {
        case 0: return std::chrono::nanoseconds(static_cast<std::int64_t>(input.number()));
        case 1: return std::chrono::hours(static_cast<std::int32_t>(input.number()));
        case 2: {
            const double number = static_cast<double>(input.number());
            return std::chrono::duration<double>(std::ldexp(number, static_cast<int>(input.byte())));
        }
        case 3: return std::chrono::duration<float>(std::nanf(""));
        default: return std::chrono::milliseconds(input.byte());
    }
}

leash::Output output(Bytes& input) {
    switch (input.choice(7)) {
        case 0: return leash::inherit;
        case 1: return leash::null;
        case 2: return leash::piped;
        case 3: return leash::tty;
        case 4: return input.flag() ? leash::file(text(input)) : leash::file(text(input), leash::append);
        case 5: return leash::fd(static_cast<int>(input.number()));
        default: return leash::sink([](string_view) {});
    }
}

leash::ErrorOutput error_output(Bytes& input) {
    switch (input.choice(4)) {
        case 0: return leash::to_out;
        case 1: return leash::per_stage;
        default: return output(input);
    }
}

leash::Input standard_input(Bytes& input) {
    switch (input.choice(7)) {
        case 0: return leash::null;
        case 1: return leash::inherit;
        case 2: return leash::piped;
        case 3: return leash::tty;
        case 4: return input.flag() ? leash::file(text(input)) : leash::file(text(input), leash::append);
        case 5: return leash::fd(static_cast<int>(input.number()));
        default: return leash::bytes(text(input));
    }
}

/// Each part as often as not.
leash::Options options(Bytes& input) {
    leash::Options options;
    const unsigned parts = input.byte() | input.byte() << 8;
    const auto part = [&](unsigned number) { return (parts >> number & 1) != 0; };
    if (part(0)) options.in = standard_input(input);
    if (part(1)) options.out = output(input);
    if (part(2)) options.err = error_output(input);
    if (part(3)) options.cwd = text(input);
    if (part(4)) {
        if (input.flag()) options.env = leash::Env::empty();
        for (unsigned i = input.choice(4); i > 0; --i) {
            if (input.flag()) options.env.unset(text(input));
            std::string name = text(input);
            options.env.set(std::move(name), text(input));
        }
    }
    if (part(5)) options.executable = text(input);
    if (part(6)) {
        for (unsigned i = input.choice(4); i > 0; --i) {
            const int ours = static_cast<int>(input.number());
            options.pass_fds.push_back({ours, static_cast<int>(input.number())});
        }
    }
    if (part(7)) {
        constexpr leash::Group groups[] = {leash::Group::own, leash::Group::inherited, leash::Group::session,
                                           leash::Group::foreground};
        options.group = groups[input.choice(4)];
    }
    if (part(8)) options.stragglers = static_cast<leash::Stragglers>(input.choice(3));
    if (part(9)) options.timeout = timeout(input);
    if (part(10)) options.grace = timeout(input);
    if (part(11)) options.drain = timeout(input);
    if (part(12)) options.idle_timeout = timeout(input);
    if (part(13)) options.max_output = static_cast<std::size_t>(input.number());
    if (part(14)) options.cancel.emplace();
    if (part(15)) options.terminal = {static_cast<unsigned short>(input.number()), 80, input.flag()};
    return options;
}

std::vector<leash::Command> commands(Bytes& input) {
    std::vector<leash::Command> commands;
    for (unsigned stage = input.choice(3) + 1; stage > 0; --stage) {
        std::vector<std::string> argv;
        for (unsigned i = input.choice(4); i > 0; --i) argv.push_back(text(input));
        commands.push_back(leash::args(std::move(argv)));
    }
    return commands;
}

leash::Expected<leash::Popen> start(const std::vector<leash::Command>& commands, const leash::Options& options) {
    if (commands.size() == 1) return leash::Popen::try_spawn(commands[0], options);
    leash::Pipeline pipeline = commands[0] | commands[1];
    for (std::size_t i = 2; i < commands.size(); ++i) pipeline.append(commands[i]);
    return leash::Popen::try_spawn(std::move(pipeline), options);
}

bool has_nul(string_view text) { return text.find('\0') != string_view::npos; }

void check_plan(const Plan& plan, const std::vector<leash::Command>& commands, const leash::Options& options) {
    FUZZ_NEEDS(plan.stages.size() == commands.size());
    for (std::size_t i = 0; i < commands.size(); ++i) {
        const auto& stage = plan.stages[i];
        FUZZ_NEEDS(stage.argv == commands[i].argv());
        FUZZ_NEEDS(stage.program.find('/') != std::string::npos && !has_nul(stage.program));
        FUZZ_NEEDS(options.cwd.empty() || stage.program.front() == '/');
        for (const std::string& argument : stage.argv) FUZZ_NEEDS(!has_nul(argument));
    }
    const auto zero = std::chrono::nanoseconds::zero();
    FUZZ_NEEDS(options.timeout.length() > zero && options.idle_timeout.length() > zero);
    FUZZ_NEEDS(options.grace.length() >= zero && !options.grace.is_none());
    FUZZ_NEEDS(options.drain.length() >= zero && !options.drain.is_none());
    FUZZ_NEEDS(!has_nul(plan.cwd) && plan.cwd == options.cwd);
    for (const leash::PassFd& pass : plan.pass_fds) FUZZ_NEEDS(pass.theirs >= 3 && ::fcntl(pass.ours, F_GETFD) >= 0);
    if (!plan.has_environment) return;
    for (const std::string& entry : plan.environment) {
        FUZZ_NEEDS(!has_nul(entry));
        const std::size_t equals = entry.find('=', 1);
        if (equals == std::string::npos) continue;  // the host's, and none of ours
        FUZZ_NEEDS(options.env.get(entry.substr(0, equals)) == entry.substr(equals + 1));
    }
}

void check_error(const leash::Error& error) {
    FUZZ_NEEDS(error.code &&
               (error.code.category() == std::generic_category() || error.code.category() == std::system_category()));
    bool of_a_plan = false;
    for (const Step step : {Step::command, Step::environment, Step::options, Step::program, Step::cwd, Step::redirect})
        of_a_plan |= error.step == step;
    FUZZ_NEEDS(of_a_plan);
    for (const char c : error.message()) FUZZ_NEEDS(static_cast<unsigned char>(c) >= 0x20 && c != '\x7f');
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Bytes input(data, size);
    const std::vector<leash::Command> what = commands(input);
    const leash::Options how = options(input);

    const int free = ::fcntl(0, F_DUPFD_CLOEXEC, 3);  // the lowest number that is free
    ::close(free);
    leash::detail::Plan plan;
    leash::Options asked = how;
    const auto made = leash::detail::make_plan(what, std::move(asked), plan);
    if (made) {
        check_plan(plan, what, how);
    } else {
        check_error(made.error());
        // So that no input can make it start anything, only what is refused is tried to start.
        const auto started = start(what, how);
        FUZZ_NEEDS(!started && started.error().message() == made.error().message());
    }
    const int now = ::fcntl(0, F_DUPFD_CLOEXEC, 3);
    ::close(now);
    FUZZ_NEEDS(now == free);
    siginfo_t info{};  // no zombie; that there is no child at all cannot be asked: the sanitizer may have one
    FUZZ_NEEDS(::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0);
    return 0;
}
