// tests/test_program.cpp - which file is executed, and what is said where none can be.
#include <doctest/doctest.h>

#include "sandbox.hpp"

#include <atomic>

using leash::Step;
using support::Census;
using support::NothingLeft;
using support::TemporaryDirectory;

namespace {

/// A script that says a word: how the tests see which file was taken.
std::string says(const std::string& word) { return "#!/bin/sh\necho " + word + "\n"; }

/// Runs `name` with this PATH in the child; what it said, or what was wrong with starting it.
std::string looked_up(const std::string& name, const std::string& path, const std::string& cwd = "") {
    const Census census;
    leash::Options options = support::capture(census);
    options.env.set("PATH", path);
    options.cwd = cwd;
    auto result = leash::try_run(leash::args({name}), options);
    if (!result) return result.error().message();
    return result->out.substr(0, result->out.find('\n'));
}

leash::Error refusal(leash::Command command, leash::Options options = {}) {
    const NothingLeft before;
    auto refused = leash::try_run(std::move(command), std::move(options));
    CHECK_FALSE(refused.has_value());
    CHECK(before.holds());
    return refused.error();
}

}  // namespace

TEST_CASE("a program is looked up in the PATH that the child has, in its order") {
    const TemporaryDirectory directory;
    const std::string a = directory.directory("a"), b = directory.directory("b");
    directory.file("a/leash-tool", says("a"), 0755);
    directory.file("b/leash-tool", says("b"), 0755);
    CHECK(looked_up("leash-tool", a + ":" + b) == "a");
    CHECK(looked_up("leash-tool", b + ":" + a) == "b");
    CHECK(looked_up("leash-tool", "/nowhere:" + b) == "b");

    // not the host's: there it is not to be found, and it stays so
    const leash::Error error = refusal({"leash-tool"});
    CHECK(error.code == std::errc::no_such_file_or_directory);
    CHECK(error.step == Step::program);
    CHECK(error.subject == "leash-tool");
    CHECK(std::string(error.hint) == "not found in the child's PATH");
}

TEST_CASE("a refusal tells what is likely to be meant") {
    CHECK(std::string(refusal({"ls -l"}).hint) ==
          "not found in the child's PATH; write each argument as its own element of the list");
    const std::string tilde = "only a shell expands ~: write the whole path";
    CHECK(refusal({"~/leash-no-such-tool"}).hint == tilde);
    leash::Options options;
    options.env.set("PATH", "/nowhere");
    CHECK(refusal({"cd", "/tmp"}, options).hint ==
          "built into the shell, and no program: see Options::cwd and env, or use leash::shell()");
    options = {};
    options.cwd = "~/leash-no-such-place";
    CHECK(refusal({"true"}, options).hint == tilde);
    options.cwd.clear();
    options.out = leash::file("~/leash-no-such-place/log");
    CHECK(refusal({"true"}, options).hint == tilde);
    options = {};
    options.cwd = "/etc";
    CHECK(refusal({"~/leash-no-such-tool"}, options).hint == tilde);
    const leash::Error relative = refusal({"./leash-no-such-tool"}, options);
    CHECK(relative.code == std::errc::no_such_file_or_directory);
    CHECK(relative.subject == "./leash-no-such-tool");
    CHECK(std::string(relative.hint) == "a relative path counts from cwd");
    CHECK(refusal({"./passwd"}, options).code == std::errc::permission_denied);
    CHECK(std::string(refusal({"/nowhere/passwd"}, options).hint) == "");
    CHECK(std::string(refusal({"./passwd"}).hint) == "");
}

TEST_CASE("a program is not looked up in the host's PATH where the child has another") {
    leash::Options options;
    options.env.set("PATH", "/nowhere");
    CHECK(refusal({"sh", "-c", ":"}, options).code == std::errc::no_such_file_or_directory);
}

TEST_CASE("without a PATH a program is looked up in the system's default one") {
    const Census census;
    leash::Options options = support::capture(census);
    options.env = census.mark(leash::Env::empty());
    CHECK(leash::run({"sh", "-c", "echo here"}, options).out == "here\n");
    options.env = census.env().unset("PATH");
    CHECK(leash::run({"sh", "-c", "echo here"}, options).out == "here\n");
    options.env = leash::Env::empty();
    CHECK(refusal({"leash-no-such-tool"}, options).code == std::errc::no_such_file_or_directory);
}

TEST_CASE("an empty PATH, and an empty member of one, mean the child's directory") {
    const TemporaryDirectory directory;
    directory.directory("elsewhere");
    directory.file("leash-tool", says("here"), 0755);
    directory.file("elsewhere/leash-tool", says("there"), 0755);
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::chdir(directory.path().c_str()) != 0) return "chdir";
        for (const char* const path : {"", ":/nowhere", "/nowhere:", "/nowhere::/nowhere", ":"}) {
            if (looked_up("leash-tool", path) != "here") return std::string("PATH=") + path;
            if (looked_up("leash-tool", path, directory / "elsewhere") != "there")
                return std::string("cwd, PATH=") + path;
        }
        return "";
    });
    CHECK(wrong == "");
    // and nothing else: here there is no such file
    CHECK(looked_up("leash-tool", "").find("No such file") != std::string::npos);
}

TEST_CASE("which() finds the file that a job would be started from, as an absolute path") {
    const TemporaryDirectory directory;
    const std::string a = directory.directory("a"), b = directory.directory("b");
    directory.directory("a/leash-tool");
    directory.file("b/leash-tool", says("b"), 0755);
    directory.file("b/leash-data", "data", 0644);
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::chdir(directory.path().c_str()) != 0) return "chdir";
        const auto in = [](const std::string& path) { return leash::Env::empty().set("PATH", path); };
        const std::string tool = b + "/leash-tool";
        HOST_NEEDS(!leash::which("leash-tool"));
        HOST_NEEDS(leash::which("leash-tool", in("/nowhere:" + a + ":" + b)) == tool);
        HOST_NEEDS(leash::which("leash-tool", in("b")) == directory.path() + "/b/leash-tool");
        HOST_NEEDS(!leash::which("leash-data", in(b)) && !leash::which("leash-tool", in(a)));
        HOST_NEEDS(leash::which(tool, leash::Env::empty()) == tool);
        HOST_NEEDS(leash::which("b/leash-tool") == directory.path() + "/b/leash-tool");
        for (const char* const none : {"", "a/leash-tool", "a/", "/", "b/leash-data", "b/none", "b/leash-tool/x"})
            HOST_NEEDS(!leash::which(none, in(b)));
        HOST_NEEDS(!leash::which(std::string("leash-tool\0", 11), in(b)));
        // The host's PATH, as it is now; and what is looked into without one.
        ::setenv("PATH", b.c_str(), 1);
        HOST_NEEDS(leash::which("leash-tool") == tool);
        ::unsetenv("PATH");
        HOST_NEEDS(leash::which("sh") == std::string("/bin/sh"));
        // The directory itself is meant by an empty member alone.
        HOST_NEEDS(::chdir(b.c_str()) == 0);
        HOST_NEEDS(!leash::which("leash-tool") && !leash::which("leash-tool", in("/nowhere")));
        for (const char* const path : {"", "/nowhere:", "/nowhere::/nowhere"})
            HOST_NEEDS(leash::which("leash-tool", in(path)) == b + "/./leash-tool");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a relative member of PATH and a relative path count from cwd, as an exec in the child would have it") {
    const TemporaryDirectory directory;
    directory.directory("bin");
    directory.directory("other");
    directory.directory("other/bin");
    directory.file("bin/leash-tool", says("host"), 0755);
    directory.file("other/bin/leash-tool", says("child"), 0755);
    directory.file("other/only", says("only"), 0755);
    directory.file("bin/host-only", says("host"), 0755);
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::chdir(directory.path().c_str()) != 0) return "chdir";
        HOST_NEEDS(looked_up("leash-tool", "bin") == "host");
        HOST_NEEDS(looked_up("leash-tool", "bin", directory / "other") == "child");
        HOST_NEEDS(looked_up("bin/leash-tool", "/nowhere") == "host");
        for (const std::string& cwd : {std::string("other"), std::string("./bin/../other/"), directory / "other"}) {
            HOST_NEEDS(looked_up("leash-tool", "bin", cwd) == "child");
            HOST_NEEDS(looked_up("bin/leash-tool", "/nowhere", cwd) == "child");
            HOST_NEEDS(looked_up("./bin/leash-tool", "/nowhere", cwd) == "child");
            HOST_NEEDS(looked_up("./only", "/nowhere", cwd) == "only");
            HOST_NEEDS(looked_up("bin/../../bin/leash-tool", "/nowhere", cwd) == "host");
            HOST_NEEDS(looked_up("bin/host-only", "bin", cwd).find("No such file") != std::string::npos);
            HOST_NEEDS(looked_up("host-only", "bin", cwd).find("No such file") != std::string::npos);
        }
        leash::Options options;
        options.cwd = "other";
        options.executable = "./only";
        options.out = leash::piped;
        HOST_NEEDS(leash::run({"another name"}, options).out == "only\n");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a script that is started by a relative path sees that path as its $0") {
    if (!leash::detail::sys::has_relative_program) return;
    const TemporaryDirectory directory;
    directory.file("script", "#!/bin/sh\nprintf %s \"$0\"\n", 0755);
    CHECK(looked_up("./script", "/nowhere", directory.path()) == "./script");
}

TEST_CASE("what a script in cwd is missing is found out from there") {
    const TemporaryDirectory directory;
    leash::Options options;
    options.cwd = directory.path();
    directory.file("text", "neither a program nor a script\n", 0755);
    leash::Error error = refusal({"./text"}, options);
    CHECK(error.step == Step::program);
    CHECK(error.code == std::errc::executable_format_error);
    if (leash::detail::sys::has_relative_program) CHECK(error.subject == "./text");
    directory.file("script", "#!no-such-interpreter\n", 0755);
    error = refusal({"./script"}, options);
    CHECK(error.step == Step::interpreter);
    CHECK(error.subject == "no-such-interpreter");
    // the interpreter too counts from where the child is
    directory.file("interpreter", support::read_file(support::helper()), 0755);
    directory.file("names-it", "#!interpreter pwd\n", 0755);
    directory.file("names-text", "#!text\n", 0755);
    options.out = leash::piped;
    CHECK(leash::run({"./names-it"}, options).out == directory.path());
    error = refusal({"./names-text"}, options);
    CHECK(error.step == Step::interpreter);
    CHECK(error.subject == "text");
    CHECK(error.code == std::errc::executable_format_error);
}

TEST_CASE("a name with a slash is not looked up") {
    const TemporaryDirectory directory;
    directory.directory("sub");
    directory.file("sub/leash-tool", says("found"), 0755);
    const std::string said = looked_up("sub/leash-tool", directory.path());
    CHECK(said.find("leash: program \"sub/leash-tool\": No such file") == 0);
}

TEST_CASE("directories with the program's name are passed over") {
    const TemporaryDirectory directory;
    const std::string a = directory.directory("a"), b = directory.directory("b");
    directory.directory("a/leash-tool");
    CHECK(looked_up("leash-tool", a).find("No such file") != std::string::npos);
    directory.file("b/leash-tool", says("b"), 0755);
    CHECK(looked_up("leash-tool", a + ":" + b) == "b");
    // named outright it is an error of the program's
    const leash::Error error = refusal(leash::args({a}));
    CHECK(error.step == Step::program);
    CHECK(error.subject == a);
    CHECK((error.code == std::errc::is_a_directory || error.code == std::errc::permission_denied));
}

TEST_CASE("a FIFO with the program's name is passed over, and holds nothing up") {
    const TemporaryDirectory directory;
    const std::string a = directory.directory("a"), b = directory.directory("b");
    REQUIRE(::mkfifo((a + "/leash-tool").c_str(), 0755) == 0);
    REQUIRE(::chmod((a + "/leash-tool").c_str(), 0755) == 0);
    directory.file("b/leash-tool", says("b"), 0755);
    CHECK(looked_up("leash-tool", a + ":" + b) == "b");
    leash::Options options;
    options.env.set("PATH", a);
    CHECK(refusal({"leash-tool"}, options).code == std::errc::permission_denied);
    CHECK(refusal(leash::args({a + "/leash-tool"})).code == std::errc::permission_denied);
}

TEST_CASE("a directory in PATH that hides what it holds counts as one that holds nothing") {
    const TemporaryDirectory directory;
    const std::string open = directory.directory("open");
    directory.file("open/leash-tool", says("open"), 0755);
    const std::string closed = directory.directory("closed", 0000);
    ::chmod(directory.path().c_str(), 0755);
    const std::string wrong = support::in_host([&]() -> std::string {
        // nothing is hidden from the superuser
        if (::geteuid() == 0 && (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0))
            return "";
        if (::access((closed + "/x").c_str(), F_OK) == 0 || errno != EACCES) return "";
        HOST_NEEDS(looked_up("leash-tool", closed + ":" + open) == "open");
        leash::Options options;
        options.env.set("PATH", closed);
        const auto refused = leash::try_run({"leash-tool"}, options);
        HOST_NEEDS(!refused);
        HOST_NEEDS(refused.error().code == std::errc::no_such_file_or_directory);
        HOST_NEEDS(refused.error().step == Step::program);
        // outright it is the truth
        HOST_NEEDS(leash::try_run(leash::args({closed + "/leash-tool"})).error().code == std::errc::permission_denied);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("what may not be executed is passed over, and remembered where nothing better follows") {
    const TemporaryDirectory directory;
    const std::string a = directory.directory("a"), b = directory.directory("b"), c = directory.directory("c");
    directory.file("a/leash-tool", says("a"), 0644);
    directory.file("b/leash-tool", says("b"), 0755);
    CHECK(looked_up("leash-tool", a + ":" + b) == "b");

    leash::Options options;
    options.env.set("PATH", a + ":" + c);
    const leash::Error error = refusal({"leash-tool"}, options);
    CHECK(error.code == std::errc::permission_denied);
    CHECK(error.step == Step::program);
    CHECK(error.subject == "leash-tool");
    CHECK(std::string(error.hint) == "found in PATH, but not executable");

    const leash::Error outright = refusal(leash::args({a + "/leash-tool"}));
    CHECK(outright.code == std::errc::permission_denied);
    CHECK(outright.step == Step::program);
    CHECK(outright.subject == a + "/leash-tool");
}

TEST_CASE("a missing program is told by its path") {
    for (const char* const path : {"/no/such/leash-program", "no/such", "/etc/passwd/x"}) {
        const leash::Error error = refusal(leash::args({path}));
        CHECK(error.step == Step::program);
        CHECK(error.subject == path);
        CHECK((error.code == std::errc::no_such_file_or_directory || error.code == std::errc::not_a_directory));
    }
    leash::Options options;
    options.executable = "/no/such/leash-program";
    CHECK(refusal({"true"}, options).subject == "/no/such/leash-program");
    CHECK(refusal(leash::args({"/" + std::string(5000, 'x')})).code == std::errc::filename_too_long);

    const TemporaryDirectory directory;
    REQUIRE(::symlink((directory / "loop").c_str(), (directory / "loop").c_str()) == 0);
    REQUIRE(::symlink("/no/such/target", (directory / "dangling").c_str()) == 0);
    CHECK(refusal(leash::args({directory / "loop"})).code == std::errc::too_many_symbolic_link_levels);
    CHECK(refusal(leash::args({directory / "dangling"})).code == std::errc::no_such_file_or_directory);
}

TEST_CASE("a file that is neither a binary nor a script with #! is ENOEXEC, and no shell is tried") {
    const TemporaryDirectory directory;
    const std::string script = directory.file("script", "echo this must not run\n", 0755);
    const leash::Error error = refusal(leash::args({script}));
    CHECK(error.code == std::errc::executable_format_error);
    CHECK(error.step == Step::program);
    CHECK(error.subject == script);
    CHECK(std::string(error.hint).find("#!") != std::string::npos);

    const std::string empty = directory.file("empty", "", 0755);
    CHECK(refusal(leash::args({empty})).code == std::errc::executable_format_error);
    const std::string junk = directory.file("junk",
                                            std::string("\x7f"
                                                        "ELF\0\0\0",
                                                        7),
                                            0755);
    const leash::Error broken = refusal(leash::args({junk}));
    CHECK(broken.step == Step::program);
    CHECK(broken.subject == junk);
}

TEST_CASE("a missing interpreter is told by its own path, not as a missing program") {
    const TemporaryDirectory directory;
    const std::string script = directory.file("script", "#! /no/such/interpreter -x\necho\n", 0755);
    const leash::Error error = refusal(leash::args({script}));
    CHECK(error.step == Step::interpreter);
    CHECK(error.subject == "/no/such/interpreter");
    CHECK(error.code == std::errc::no_such_file_or_directory);

    const std::string forbidden = directory.file("interpreter", "x", 0644);
    const std::string other = directory.file("other", "#!" + forbidden + "\n", 0755);
    const leash::Error refused = refusal(leash::args({other}));
    CHECK(refused.step == Step::interpreter);
    CHECK(refused.subject == forbidden);
    CHECK(refused.code == std::errc::permission_denied);
}

TEST_CASE("of scripts that name scripts the one file that is to blame is told") {
    const TemporaryDirectory directory;
    const std::string inner = directory.file("inner", "#!/no/such/interpreter\n", 0755);
    const std::string middle = directory.file("middle", "#!" + inner + " -x\n", 0755);
    const std::string outer = directory.file("outer", "#! " + middle + "\n", 0755);
    for (const std::string& script : {inner, middle, outer}) {
        const leash::Error error = refusal(leash::args({script}));
        CHECK(error.step == Step::interpreter);
        CHECK(error.subject == "/no/such/interpreter");
        CHECK(error.code == std::errc::no_such_file_or_directory);
    }

    const std::string text = directory.file("text", "neither a program nor a script\n", 0755);
    const leash::Error no_program = refusal(leash::args({directory.file("names-text", "#!" + text + "\n", 0755)}));
    CHECK(no_program.step == Step::interpreter);
    CHECK(no_program.subject == text);
    CHECK(no_program.code == std::errc::executable_format_error);

    // longer than what Linux reads of a #! line
    std::string nested = "long";
    for (int i = 0; i < 6; ++i) {
        directory.directory(nested);
        nested += "/" + std::string(60, 'd');
    }
    directory.directory(nested);
    const std::string far = directory / (nested + "/interpreter");
    const std::string script = directory.file("names-far", "#!" + far + "\n", 0755);
    const leash::Error missing = refusal(leash::args({script}));
    CHECK(missing.step == Step::interpreter);
    CHECK(missing.subject == far);
    CHECK(missing.code == std::errc::no_such_file_or_directory);
}

TEST_CASE("a missing interpreter and a missing program are told apart from a missing cwd") {
    const TemporaryDirectory directory;
    const std::string script = directory.file("script", "#!/no/such/interpreter\n", 0755);
    leash::Options options;
    options.cwd = directory.path();
    CHECK(refusal(leash::args({script}), options).step == Step::interpreter);
    CHECK(refusal({"/no/such/program"}, options).step == Step::program);
    options.cwd = directory / "missing";
    CHECK(refusal({"/bin/sh", "-c", ":"}, options).step == Step::cwd);
}

TEST_CASE("an interpreter that ends in a carriage return is called so") {
    const TemporaryDirectory directory;
    const std::string script = directory.file("script", "#!/bin/sh\r\necho hello\r\n", 0755);
    const leash::Error error = refusal(leash::args({script}));
    CHECK(error.step == Step::interpreter);
    CHECK(error.subject == "/bin/sh\r");
    CHECK(error.message().find("carriage return") != std::string::npos);
}

#if defined(__linux__)
TEST_CASE("what a filter says is not taken for what the file system says") {
    const TemporaryDirectory directory;
    directory.directory("first");
    directory.directory("second");
    directory.file("first/tool", says("forbidden"), 0644);
    directory.file("second/tool", says("taken"), 0755);
    const std::string path = directory / "first" + ":" + (directory / "second") + ":/bin:/usr/bin";
    const std::string wrong = support::in_host([&]() -> std::string {
        if (!support::refuse(support::faccessat2_call, EPERM)) return "not permitted";
        const std::string of_path = looked_up("tool", path, "/");
        HOST_NEEDS(of_path == "taken");
        HOST_NEEDS(looked_up(directory / "second/tool", path) == "taken");
        const auto forbidden = leash::try_run(leash::args({directory / "first/tool"}));
        HOST_NEEDS(!forbidden);
        HOST_NEEDS(forbidden.error().step == Step::program);
        HOST_NEEDS(forbidden.error().code == std::errc::permission_denied);
        const auto missing = leash::try_run({"no-such-program"});
        HOST_NEEDS(!missing && missing.error().code == std::errc::no_such_file_or_directory);
        return "";
    });
    if (wrong == "not permitted") MESSAGE("no filter can be had here: nothing tried");
    else CHECK(wrong == "");
}

TEST_CASE("a filter that lets no process be made is told as that, not as the program's fault") {
    for (const int refusal : {EPERM, EACCES}) {
        const std::string wrong = support::in_host([&]() -> std::string {
            HOST_NEEDS(leash::run({"true"}).ok());
            for (const long call : {support::clone3_call, long{SYS_clone}}) {
                if (!support::refuse(call, refusal)) return "not permitted";
            }
            const auto refused = leash::try_run({"true"});
            HOST_NEEDS(!refused);
            HOST_NEEDS(refused.error().step == Step::spawn);
            HOST_NEEDS(refused.error().code.value() == refusal);
            HOST_NEEDS(refused.error().message().find("filter") != std::string::npos);
            return "";
        });
        if (wrong == "not permitted") MESSAGE("no filter can be had here: nothing tried");
        else CHECK(wrong == "");
    }
    // Where only clone3 is refused, it is up to the libc.
    const std::string wrong = support::in_host([&]() -> std::string {
        if (!support::refuse(support::clone3_call, EPERM)) return "not permitted";
        const auto started = leash::try_run({"true"});
        HOST_NEEDS(started || started.error().step == Step::spawn);
        return "";
    });
    if (wrong != "not permitted") CHECK(wrong == "");
}
#endif

TEST_CASE("a program that somebody is about to finish writing is waited for a little, and then named") {
    const TemporaryDirectory directory;
    const std::string program = directory.file("program", support::read_file(support::helper()), 0755);
    int writer = ::open(program.c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(writer >= 0);
    {
        // what the kernel itself says: there were versions that let it pass
        pid_t plain = 0;
        char name[] = "program";
        char* argv[] = {name, nullptr};
        const int error = ::posix_spawn(&plain, program.c_str(), nullptr, nullptr, argv, environ);
        if (error == 0) ::waitpid(plain, nullptr, 0);
        if (error != ETXTBSY) {
            ::close(writer);
            MESSAGE("this kernel executes files that are open for writing");
            return;
        }
    }
    SUBCASE("it stays open: ETXTBSY, by name") {
        const auto refused = leash::try_run(leash::args({program, "exit", "0"}));
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == std::errc::text_file_busy);
        CHECK(refused.error().step == Step::program);
        CHECK(refused.error().subject == program);
    }
    SUBCASE("it stays open, and the time is short: no try goes on beyond it") {
        leash::Options options;
        options.timeout = std::chrono::milliseconds(1);
        // All the tries together sleep for 127 ms. On a busy machine one start may take as long, but not each of them.
        bool in_time = false;
        for (int round = 0; round < 200 && !in_time; ++round) {
            const support::Stopwatch watch;
            const auto refused = leash::try_run(leash::args({program, "exit", "0"}), options);
            in_time = watch.elapsed() < std::chrono::milliseconds(100);
            REQUIRE_FALSE(refused.has_value());
            CHECK(refused.error().code == std::errc::text_file_busy);
        }
        CHECK(in_time);
    }
    SUBCASE("it is what a #! line names: that is told") {
        const std::string script = directory.file("script", "#!" + program + "\n", 0755);
        const leash::Error error = refusal(leash::args({script}));
        CHECK(error.code == std::errc::text_file_busy);
        if (std::string(error.hint).find("the script, or the interpreter") == 0) {
            CHECK(error.step == Step::program);
            CHECK(error.subject == script);
            MESSAGE("this kernel does not tell which of the two it is");
        } else {
            CHECK(error.step == Step::interpreter);
            CHECK(error.subject == program);
        }
    }
    SUBCASE("it is a script, or what names one: not its interpreter is told") {
        const std::string script = directory.file("script", "#!/bin/sh\n", 0755);
        const std::string outer = directory.file("outer", "#!" + script + "\n", 0755);
        const int script_writer = ::open(script.c_str(), O_WRONLY | O_CLOEXEC);
        REQUIRE(script_writer >= 0);
        const leash::Error error = refusal(leash::args({script}));
        CHECK(error.code == std::errc::text_file_busy);
        CHECK(error.step == Step::program);
        CHECK(error.subject == script);
        CHECK(error.message().find("being written") != std::string::npos);
        const leash::Error inner = refusal(leash::args({outer}));
        CHECK(inner.code == std::errc::text_file_busy);
        if (inner.step == Step::program) CHECK(inner.subject == outer);  // the kernel does not tell
        else CHECK(inner.subject == script);
        ::close(script_writer);
    }
    SUBCASE("signals of the host's take nothing off the tries") {
        struct sigaction action {
        }, before{};
        action.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &action, &before);
        std::atomic<bool> stop{false};
        std::atomic<int> sent{0};
        const pthread_t target = ::pthread_self();
        std::thread pest([&] {
            for (; !stop; ++sent) {
                ::pthread_kill(target, SIGUSR1);
                std::this_thread::sleep_for(std::chrono::microseconds(500));
            }
        });
        CHECK(support::eventually([&] { return sent > 0; }));
        const support::Stopwatch watch;
        const auto refused = leash::try_run(leash::args({program, "exit", "0"}));
        CHECK(watch.elapsed() >= std::chrono::milliseconds(127));
        CHECK_FALSE(refused.has_value());
        stop = true;
        pest.join();
        ::sigaction(SIGUSR1, &before, nullptr);
    }
    SUBCASE("it is closed soon: it starts") {
        // Where the machine is so busy that the other thread comes too late, the answer is ETXTBSY: not this test's.
        bool started = false;
        for (int round = 0; round < 20 && !started; ++round) {
            std::thread closer([&] {
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
                ::close(writer);
            });
            const auto result = leash::try_run(leash::args({program, "exit", "0"}));
            closer.join();
            writer = ::open(program.c_str(), O_WRONLY | O_CLOEXEC);
            started = result && result->ok();
        }
        CHECK(started);
    }
    ::close(writer);
}
