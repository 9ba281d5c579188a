// tests/test_options.cpp - everything about a job but its command.
#include <doctest/doctest.h>

#include "support.hpp"

#include <algorithm>
#include <limits>
#include <map>

#include <sys/ioctl.h>
#include <sys/resource.h>

using leash::Env;
using leash::Group;
using leash::Step;
using support::Census;
using support::child;
using support::NothingLeft;
using support::TemporaryDirectory;
using namespace std::chrono_literals;

namespace {

leash::Error refusal(leash::Options options, leash::Command command = child({"exit", "0"})) {
    const NothingLeft before;
    auto refused = leash::Popen::try_spawn(std::move(command), std::move(options));
    CHECK_FALSE(refused.has_value());
    CHECK(before.holds());
    return refused.error();
}

/// The child's environment, sorted.
std::set<std::string> seen(const Env& env) {
    leash::Options options;
    options.out = leash::piped;
    options.env = env;
    const std::string text = leash::run(child({"env"}), options).out;
    std::set<std::string> all;
    std::size_t from = 0;
    for (std::size_t end; (end = text.find('\0', from)) != std::string::npos; from = end + 1)
        CHECK(all.insert(text.substr(from, end - from)).second);  // no entry twice
    return all;
}

std::set<std::string> of_host() {
    std::set<std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) all.insert(*entry);
    return all;
}

/// The ids that a child prints: pid, group, session, parent.
struct Ids {
    pid_t pid = 0, group = 0, session = 0, parent = 0;
};
Ids ids_with(leash::Options options) {
    options.out = leash::piped;
    const auto list = support::words(leash::run(child({"ids"}), std::move(options)).out);
    if (list.size() != 4) return {};
    return {std::atoi(list[0].c_str()), std::atoi(list[1].c_str()), std::atoi(list[2].c_str()),
            std::atoi(list[3].c_str())};
}

/// In a host of its own session: a pseudo-terminal that controls it, as its standard input. The master, or -1.
int controlling_terminal() {
    ::signal(SIGHUP, SIG_IGN);  // the end of the session must not take the test for a casualty
    if (::setsid() < 0) return -1;
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) return -1;
    const char* const name = ::ptsname(master);
    if (name == nullptr) return -1;
    const int terminal = ::open(name, O_RDWR);
    if (terminal < 0) return -1;
    ::ioctl(terminal, TIOCSCTTY, 0);
    if (::tcgetpgrp(terminal) != ::getpgrp()) return -1;
    ::dup2(terminal, 0);
    if (terminal > 2) ::close(terminal);
    return master;
}

}  // namespace

// ---- the defaults

TEST_CASE("the defaults are those that are documented") {
    const leash::Options options;
    CHECK(options.in.is(leash::null));
    CHECK(options.out.is(leash::inherit));
    CHECK(options.err.is(leash::inherit));
    CHECK(options.cwd == "");
    CHECK(options.env.is_inherited());
    CHECK(options.env.changes().empty());
    CHECK(options.executable == "");
    CHECK(options.pass_fds.empty());
    CHECK(options.group == Group::own);
    CHECK(options.stragglers == leash::Stragglers::kill);
    CHECK(options.timeout.is_none());
    CHECK(options.grace.length() == 1s);
    CHECK(options.stop_sequence.empty());
    CHECK(leash::StopStep().signal == 0);
    CHECK(options.drain.length() == 2s);
    CHECK(options.max_output == SIZE_MAX);
    CHECK_FALSE(options.cancel.has_value());
}

#if __cplusplus >= 202002L
TEST_CASE("the fields can be named, in their order") {
    const Census census;
    const leash::Result result =
        leash::run(child({"print", "x"}), {.in = leash::null,
                                           .out = leash::piped,
                                           .err = leash::to_out,
                                           .cwd = "/",
                                           .env = census.mark(Env::inherited().set("A", "1").unset("B")),
                                           .executable = support::helper(),
                                           .pass_fds = {{2, 3}},
                                           .group = Group::own,
                                           .stragglers = leash::Stragglers::kill,
                                           .timeout = 60s,
                                           .grace = 1s,
                                           .drain = 200ms,
                                           .cancel = leash::Cancel(),
                                           .max_output = 100});
    CHECK(result.out == "x");
    CHECK(leash::run(child({"exit", "0"}), {.timeout = 60s}).ok());
}
#endif

// ---- the environment

// ---- the jobserver

TEST_CASE("a jobserver of one's own is handed down by descriptors that a variable names") {
    leash::Options options;
    options.out = leash::piped;
    options.env = Env::inherited().only({"PATH"});
    options.jobserver = leash::Jobserver::serve(3);
    CHECK(static_cast<bool>(options.jobserver));
    CHECK(seen(options.env).count("MAKEFLAGS=-j3") == 0);
    const auto said = [&](const char* script) { return leash::run(leash::shell(script), options).out; };
    const char* const all = "echo $MAKEFLAGS; head -c 2 <&3; printf ++ >&4";
    for (int i = 0; i < 2; ++i) CHECK(said(all) == "-j3 --jobserver-fds=3,4 --jobserver-auth=3,4\n++");
    options.pass_fds = {{2, 3}, {2, 5}};
    options.env.set("MAKEFLAGS", "ks -j9 --jobserver-auth=7,8 --no-print-directory -- A=1 -j");
    CHECK(said("echo \"$MAKEFLAGS\"; head -c 2 <&4; printf ++ >&6") ==
          "ks --no-print-directory -j3 --jobserver-fds=4,6 --jobserver-auth=4,6 -- A=1 -j\n++");

    const std::string wrong = support::in_host([&]() -> std::string {
        options.jobserver = {};  // which may have had that number
        static_cast<void>(!::dup2(2, 3));
        options.jobserver = leash::Jobserver::serve(3);
        options.pass_fds = {{3}};  // which keeps its number
        HOST_NEEDS(said("echo \"$MAKEFLAGS\"").find(" --jobserver-auth=4,5 ") != std::string::npos);
        return "";
    });
    CHECK(wrong == "");

    leash::Options own;  // whose jobserver nobody else has
    own.out = leash::piped;
    own.jobserver = leash::Jobserver::serve(3);
    CHECK(leash::run(leash::shell("head -c 2 <&3; echo $?; printf ++ >&4"), std::move(own)).out == "++0\n");

    options = {};
    CHECK_FALSE(static_cast<bool>(options.jobserver));
    for (const int jobs : {0, -1, 4097}) {
        options.jobserver = leash::Jobserver::serve(jobs);
        const leash::Error error = refusal(options);
        CHECK(error.code == std::errc::invalid_argument);
        CHECK(error.step == Step::options);
        CHECK(error.subject == "jobserver");
    }
    for (const int jobs : {1, 4096}) {
        options.jobserver = leash::Jobserver::serve(jobs);
        CHECK(leash::run(child({"exit", "0"}), options).ok());
    }
}

TEST_CASE(
    "the jobserver of the make above is found by its descriptors or its path, and nothing else is taken for one") {
    const TemporaryDirectory directory;
    const std::string wrong = support::in_host([&]() -> std::string {
        int ends[2];
        HOST_NEEDS(::pipe(ends) == 0 && ::write(ends[1], "ab", 2) == 2);
        const std::string numbers = std::to_string(ends[0]) + "," + std::to_string(ends[1]);
        const auto set = [](const std::string& flags) { ::setenv("MAKEFLAGS", flags.c_str(), 1); };
        const auto is_there = [] { return static_cast<bool>(leash::Jobserver::inherited()); };
        leash::Options options;
        options.out = leash::piped;
        for (const std::string word : {"--jobserver-auth=", "--jobserver-fds="}) {
            set("ks -j5 " + word + numbers + " -- B=--jobserver-auth=1,2");
            HOST_NEEDS(is_there());
            options.jobserver = leash::Jobserver::inherited();
            const std::string said = leash::run(leash::shell("echo $MAKEFLAGS; eval \"head -c 2 <&$1; printf ab >&$2\"",
                                                             {std::to_string(ends[0]), std::to_string(ends[1])}),
                                                options)
                                         .out;
            HOST_NEEDS(said == "ks -j5 --jobserver-fds=" + numbers + " --jobserver-auth=" + numbers +
                                   " -- B=--jobserver-auth=1,2\nab");
        }
        const std::string fifo = directory / "fifo", file = directory.file("file", "x");
        HOST_NEEDS(::mkfifo(fifo.c_str(), 0600) == 0);
        set(" -j --jobserver-auth=fifo:" + fifo);
        HOST_NEEDS(is_there());
        options.jobserver = leash::Jobserver::inherited();
        HOST_NEEDS(leash::run(leash::shell("echo $MAKEFLAGS; ls /dev/fd 2>/dev/null | grep -c '[4-9]'"), options).out ==
                   "-j --jobserver-auth=fifo:" + fifo + "\n0\n");

        const std::string closed = std::to_string(ends[1] + 20), in = std::to_string(ends[0]),
                          out = std::to_string(ends[1]);
        for (const std::string& value :
             {"fifo:" + file, "fifo:" + directory / "none", std::string("fifo:"), std::string(), std::string("-2,-2"),
              std::string("0,1"), in, in + ",", in + "," + closed, out + "," + in, numbers + ",", numbers + "x"}) {
            set("-j2 --jobserver-auth=" + value);
            if (is_there()) return value;
        }
        set("-j2 -- --jobserver-auth=" + numbers);
        HOST_NEEDS(!is_there());
        // What fails for want of descriptors is told at the start.
        set("-j2 --jobserver-auth=" + numbers);
        rlimit few{}, before{};
        HOST_NEEDS(::getrlimit(RLIMIT_NOFILE, &before) == 0);
        few = before;
        few.rlim_cur = 3;
        HOST_NEEDS(::setrlimit(RLIMIT_NOFILE, &few) == 0);
        const leash::Jobserver short_of[] = {leash::Jobserver::inherited(), leash::Jobserver::serve(2)};
        HOST_NEEDS(::setrlimit(RLIMIT_NOFILE, &before) == 0);
        for (const leash::Jobserver& one : short_of) {
            options.jobserver = one;
            const auto refused = leash::try_run(child({"exit", "0"}), options);
            HOST_NEEDS(!refused && refused.error().step == Step::options && refused.error().subject == "jobserver");
            HOST_NEEDS(refused.error().code.value() == EMFILE || refused.error().code.value() == EINVAL);
        }
        ::unsetenv("MAKEFLAGS");
        HOST_NEEDS(!is_there());
        options = {};
        options.jobserver = leash::Jobserver::inherited();
        HOST_NEEDS(leash::run(child({"exit", "0"}), options).ok());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a make in a job does as many things at a time as the jobserver has tokens for") {
    if (!leash::which("make")) return;
    const TemporaryDirectory directory;
    // Neither of the two ends unless both run.
    directory.file("Makefile", "all: a b\na:\n\t@read word < fifo\nb:\n\t@echo word > fifo\n", 0644);
    leash::Options options;
    options.cwd = directory.path();
    options.env = Env::inherited().without({"MAKE*", "MFLAGS"});
    options.err = leash::piped;
    options.timeout = 60s;
    options.jobserver = leash::Jobserver::serve(2);
    CHECK(::mkfifo((directory / "fifo").c_str(), 0600) == 0);
    for (int i = 0; i < 2; ++i) {
        const leash::Result result = leash::run({"make"}, options);
        CHECK(result.ok());
        CHECK(result.err == "");  // no word about a jobserver that is unavailable
    }
}

TEST_CASE("by default a child has the host's environment, as it is when the job starts") {
    ::setenv("LEASH_TEST_VARIABLE", "one", 1);
    CHECK(seen(Env::inherited()) == of_host());
    const Env env = Env::inherited();
    ::setenv("LEASH_TEST_VARIABLE", "two", 1);
    CHECK(seen(env).count("LEASH_TEST_VARIABLE=two") == 1);
    CHECK(env.get("LEASH_TEST_VARIABLE") == std::string("two"));
    ::unsetenv("LEASH_TEST_VARIABLE");
    CHECK_FALSE(env.get("LEASH_TEST_VARIABLE").has_value());
}

TEST_CASE("changes come on top, the last word on a name counts, and the host's own stays as it is") {
    ::setenv("LEASH_TEST_KEPT", "kept", 1);
    ::setenv("LEASH_TEST_CHANGED", "old", 1);
    ::setenv("LEASH_TEST_GONE", "there", 1);
    const std::set<std::string> before = of_host();
    Env env = Env::inherited();
    env.set("LEASH_TEST_CHANGED", "x")
        .set("LEASH_TEST_CHANGED", "new")
        .unset("LEASH_TEST_GONE")
        .set("LEASH_TEST_NEW", "a=b c");
    env.set("LEASH_TEST_EMPTY", "").unset("LEASH_TEST_NONE").set("LEASH_TEST_BACK", "x").unset("LEASH_TEST_BACK");
    std::set<std::string> expected = before;
    expected.erase("LEASH_TEST_CHANGED=old");
    expected.erase("LEASH_TEST_GONE=there");
    expected.insert({"LEASH_TEST_CHANGED=new", "LEASH_TEST_NEW=a=b c", "LEASH_TEST_EMPTY="});
    CHECK(seen(env) == expected);
    const auto built = env.build();
    CHECK(std::set<std::string>(built.begin(), built.end()) == expected);
    CHECK(of_host() == before);

    CHECK(env.get("LEASH_TEST_KEPT") == std::string("kept"));
    CHECK(env.get("LEASH_TEST_CHANGED") == std::string("new"));
    CHECK(env.get("LEASH_TEST_EMPTY") == std::string());
    CHECK_FALSE(env.get("LEASH_TEST_GONE").has_value());
    CHECK_FALSE(env.get("LEASH_TEST_BACK").has_value());
    CHECK_FALSE(env.get("LEASH_TEST_KEP").has_value());
    CHECK(env.changes().size() == 6);
    ::unsetenv("LEASH_TEST_KEPT");
    ::unsetenv("LEASH_TEST_CHANGED");
    ::unsetenv("LEASH_TEST_GONE");
}

TEST_CASE("an empty environment is empty") {
    CHECK(seen(Env::empty()).empty());
    CHECK(seen(Env::empty().set("A", "1").set("B", "2").unset("A")) == std::set<std::string>{"B=2"});
    CHECK_FALSE(Env::empty().get("PATH").has_value());
    CHECK_FALSE(Env::empty().is_inherited());
    CHECK(Env::empty().set("A", "1").get("A") == std::string("1"));
    CHECK(Env::empty().build().empty());
}

TEST_CASE("only() and without() choose variables by pattern, of what there is by then") {
    const std::string wrong = support::in_host([]() -> std::string {
        static char path[] = "PATH=/bin", all[] = "LC_ALL=C", lang[] = "LANG=C", token[] = "MY_TOKEN=secret",
                    odd[] = "ODD", aws[] = "AWS_ID=secret";
        static char* of_host[] = {path, all, lang, token, odd, aws, nullptr};
        environ = of_host;
        const auto names = [](const Env& env) {
            std::string text;
            for (const auto& [name, value] : env.variables()) text += name + (value.empty() ? "|" : "=" + value + "|");
            return text;
        };
        const Env host = Env::inherited();
        HOST_NEEDS(names(host) == "PATH=/bin|LC_ALL=C|LANG=C|MY_TOKEN=secret|AWS_ID=secret|");
        HOST_NEEDS(names(Env(host).only({"PATH", "LC_*"})) == "PATH=/bin|LC_ALL=C|");
        HOST_NEEDS(names(Env(host).without({"*_TOKEN", "AWS_*"})) == "PATH=/bin|LC_ALL=C|LANG=C|");
        HOST_NEEDS(names(Env(host).only({"L*"}).without({"*ALL"})) == "LANG=C|");
        // What is set afterwards is there, whatever was chosen before; what was set before is chosen among.
        HOST_NEEDS(names(Env(host).set("A_TOKEN", "1").set("B", "2").without({"*_TOKEN"}).only({"*_TOKEN", "B"})) ==
                   "B=2|");
        HOST_NEEDS(names(Env(host).only({"PATH"}).set("B", "2").set("MY_TOKEN", "mine")) ==
                   "PATH=/bin|B=2|MY_TOKEN=mine|");
        // What was set and taken away does not bring back the host's own; what was unset is not brought back.
        HOST_NEEDS(names(Env(host).set("PATH", "/x").without({"P*"}).only({"PATH"})).empty());
        HOST_NEEDS(names(Env(host).unset("PATH").only({"PATH"})).empty());
        HOST_NEEDS(names(Env(host).only({})).empty() && names(Env(host).without({"*"})).empty());
        HOST_NEEDS(names(Env::empty().set("A", "1").set("B", "").without({"A"})) == "B|");

        const Env chosen = Env(host).only(std::vector<std::string>{"PATH", "*_TOKEN"}).without({{"MY_TOKEN"}});
        HOST_NEEDS(chosen.get("PATH") == std::string("/bin") && !chosen.get("LANG") && !chosen.get("MY_TOKEN"));
        HOST_NEEDS(chosen.is_inherited() && !chosen.is_unchanged() && host.is_unchanged() && chosen.changes().empty());
        HOST_NEEDS(chosen.build() == std::vector<std::string>{"PATH=/bin"});
        HOST_NEEDS(Env(host).only({"*"}).build().size() == 6);
        HOST_NEEDS(seen(chosen) == std::set<std::string>{"PATH=/bin"});
        static char late[] = "PATH=/late";
        of_host[0] = late;  // as it is when the job starts
        HOST_NEEDS(seen(chosen) == std::set<std::string>{"PATH=/late"});
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("in a pattern a star is any run of characters, and all else is itself") {
    const auto matches = [](const char* pattern, const char* name) {
        return !Env::empty().set(name, "x").only({pattern}).variables().empty();
    };
    for (const auto& one : std::initializer_list<std::pair<const char*, const char*>>{{"A", "A"},
                                                                                      {"*", "A"},
                                                                                      {"A*", "A"},
                                                                                      {"*A", "A"},
                                                                                      {"**", "A"},
                                                                                      {"A*C", "AC"},
                                                                                      {"A*C", "ABBC"},
                                                                                      {"*B*", "ABC"},
                                                                                      {"A*B*C", "AxByBC"},
                                                                                      {"*AB", "AAB"},
                                                                                      {"*a*a*b", "aaaaaab"},
                                                                                      {"?", "?"},
                                                                                      {"[A]", "[A]"}})
        CHECK_MESSAGE(matches(one.first, one.second), one.first, " ", one.second);
    for (const auto& one : std::initializer_list<std::pair<const char*, const char*>>{{"A", "B"},
                                                                                      {"A", "AB"},
                                                                                      {"AB", "A"},
                                                                                      {"", "A"},
                                                                                      {"A*", "BA"},
                                                                                      {"*A", "AB"},
                                                                                      {"A*C", "ABCB"},
                                                                                      {"a", "A"},
                                                                                      {"?", "A"},
                                                                                      {"[A]", "A"},
                                                                                      {"A*A", "A"}})
        CHECK_MESSAGE(!matches(one.first, one.second), one.first, " ", one.second);
    // no pattern makes it try again and again
    std::string pattern, name(20'000, 'a');
    for (int i = 0; i < 1000; ++i) pattern += "a*";
    CHECK_FALSE(matches((pattern + "b").c_str(), name.c_str()));
}

TEST_CASE("from() takes what has the variables, whatever holds it, and nothing of the host's") {
    const std::set<std::string> expected = {"A=1", "B=", "C=x=y"};
    CHECK(seen(Env::from({"A=0", "A=1", "B=", "C=x=y"})) == expected);
    CHECK(seen(Env::from(std::vector<std::string>{"A=1", "B=", "C=x=y"})) == expected);
    CHECK(seen(Env::from(std::set<std::string_view>{"A=1", "B=", "C=x=y"})) == expected);
    CHECK(seen(Env::from(std::map<std::string, std::string>{{"A", "1"}, {"B", ""}, {"C", "x=y"}})) == expected);
    const char* const array[] = {"A=1", "B=", "C=x=y", nullptr, "D=1"};
    CHECK(seen(Env::from(array)) == expected);
    const char* const* const pointer = array;
    CHECK(seen(Env::from(pointer)) == expected);
    CHECK(seen(Env::from(environ)) == of_host());
    CHECK(Env::from(std::vector<std::string>()).build().empty());
    CHECK(Env::from(std::vector<std::string>{"A=1"}).set("A", "2").get("A") == std::string("2"));
    for (const char* const entry : {"A", "", "=A", "=A=1"}) {
        leash::Options options;
        options.env = Env::from({"B=1", entry});
        const leash::Error error = refusal(options);
        CHECK(error.step == Step::environment);
        if (entry != std::string("=A=1")) CHECK(error.subject == entry);
    }
}

TEST_CASE("odd entries in the host's environment are passed on and hurt nobody") {
    const std::string wrong = support::in_host([]() -> std::string {
        static char no_equals[] = "NOEQUALS", twice1[] = "TWICE=1", twice2[] = "TWICE=2", odd[] = "=odd=1", a[] = "A=1";
        static char* odd_environment[] = {no_equals, twice1, twice2, odd, a, nullptr};
        environ = odd_environment;
        leash::Options options;
        options.out = leash::piped;
        options.env = Env::inherited().set("A", "2").set("NOEQUALS", "x");
        const auto child_sees = [&] {
            std::string out = leash::run(child({"env"}), options).out;
            for (char& c : out) c = c == '\0' ? '|' : c;
            return out;
        };
        HOST_NEEDS(child_sees() == "NOEQUALS|TWICE=1|TWICE=2|=odd=1|A=2|NOEQUALS=x|");
        options.env = Env::inherited().unset("TWICE");
        HOST_NEEDS(child_sees() == "NOEQUALS|=odd=1|A=1|");
        HOST_NEEDS(Env::inherited().get("TWICE") == std::string("1"));
        HOST_NEEDS(!Env::inherited().get("NOEQUALS"));
        HOST_NEEDS(!Env::inherited().get(""));
        static char nothing[] = "", only_equals[] = "=";
        static char* odder_environment[] = {nothing, only_equals, a, nullptr};
        environ = odder_environment;
        HOST_NEEDS(!Env::inherited().get(""));
        HOST_NEEDS(Env::inherited().get("A") == std::string("1"));
        HOST_NEEDS(leash::run(child({"exit", "0"})).ok());
        environ = nullptr;
        options.env = Env::inherited();
        HOST_NEEDS(child_sees() == "");
        options.env.set("B", "1");
        HOST_NEEDS(child_sees() == "B=1|");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a variable's name that cannot be one, and a NUL, are refused by name") {
    const std::string nul("a\0b", 3);
    for (const std::string& name : {std::string(), std::string("A=B"), std::string("="), nul}) {
        leash::Options options;
        options.env.set(name, "value");
        const leash::Error error = refusal(options);
        CHECK(error.step == Step::environment);
        CHECK(error.code == std::errc::invalid_argument);
        CHECK(error.subject == name);
        options = {};
        options.env.unset(name);
        CHECK(refusal(options).step == Step::environment);
    }
    leash::Options options;
    options.env.set("NAME", nul);
    const leash::Error error = refusal(options);
    CHECK(error.step == Step::environment);
    CHECK(error.subject == "NAME");
}

TEST_CASE("an environment of many variables takes as long as it is large, and the last word on each counts") {
    const auto fill = [](int count) {
        Env made = Env::inherited();
        for (int i = 0; i < count; ++i) made.set("LEASH_TEST_" + std::to_string(i), "x");
        for (int i = 0; i < count; i += 2) made.set("LEASH_TEST_" + std::to_string(i), std::to_string(i));
        for (int i = 1; i < count; i += 4) made.unset("LEASH_TEST_" + std::to_string(i));
        return made;
    };
    const Env many = fill(5000), copy = many;
    const std::vector<Env::Change> changes = copy.changes();
    REQUIRE(changes.size() == 5000);
    bool all = true;
    for (int i = 0; i < 5000; ++i) {
        const std::string name = "LEASH_TEST_" + std::to_string(i);
        const std::optional<std::string> value = copy.get(name);
        all &= changes[static_cast<std::size_t>(i)].name == name;
        if (i % 4 == 1) all &= !value.has_value();
        else all &= value == (i % 2 == 0 ? std::to_string(i) : "x");
    }
    CHECK(all);
    CHECK_FALSE(copy.get("LEASH_TEST_5000").has_value());
    // 64 times as much, of which the tree and the caches make some more: far from the square of it
    const auto work = [&](int count) { return [&fill, count] { static_cast<void>(fill(count).build().size()); }; };
    CHECK(support::growth(work(500), work(32'000)) < 64 * 16);

    // what the host has is looked up among what was changed
    const std::string wrong = support::in_host([&]() -> std::string {
        std::vector<std::string> host;
        std::vector<char*> entries;
        for (int i = 0; i < 8000; ++i) host.push_back("LEASH_HOST_" + std::to_string(i) + "=x");
        for (std::string& entry : host) entries.push_back(&entry[0]);
        entries.push_back(nullptr);
        environ = entries.data();
        const Env few = fill(500), as_many = fill(8000);
        HOST_NEEDS(few.build().size() == 8000 + 375);
        HOST_NEEDS(support::growth([&] { static_cast<void>(few.build().size()); },
                                   [&] { static_cast<void>(as_many.build().size()); }) < 8);
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a descriptor to hand down keeps its number unless another one is said") {
    const Census census;
    const int ours = ::fcntl(2, F_DUPFD_CLOEXEC, 30);
    leash::Options options = support::capture(census);
    options.pass_fds = {{ours}, {ours, 9}};
    CHECK(leash::run(leash::shell("[ -e /dev/fd/9 ] && [ -e /dev/fd/$1 ]", {std::to_string(ours)}), options).ok());
    options.pass_fds.pop_back();
    CHECK_FALSE(leash::run(leash::shell("[ -e /dev/fd/9 ]"), options).ok());
    options.pass_fds = {{2}};
    CHECK(leash::try_run({"true"}, options).error().subject == "pass_fds: {2, 2}");
    options.pass_fds = {{ours, -2}};
    CHECK(leash::try_run({"true"}, options).error().code == std::errc::invalid_argument);
    ::close(ours);
}

TEST_CASE("thousands of descriptors to hand down take as long as they are many") {
    const std::string wrong = support::in_host([]() -> std::string {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        constexpr int many = 4000;
        if (limit.rlim_cur < many + 100) return "";
        const int file = ::fcntl(2, F_DUPFD_CLOEXEC, many + 50);
        const auto check = [file](int count) {
            return [file, count] {
                std::vector<leash::PassFd> passes;
                for (int i = 0; i < count; ++i) passes.push_back({file, 3 + (i * 7) % many});
                const leash::detail::os::Sources streams;
                leash::detail::os::Wiring wiring(streams);
                if (!leash::detail::check_passes(passes) || !wiring.connect(0, 1, 2, passes)) ::_exit(9);
            };
        };
        HOST_NEEDS(support::growth(check(many / 64), check(many)) < 64 * 16);
        leash::Options options;
        options.out = leash::piped;
        for (int i = many - 1; i >= 0; --i) options.pass_fds.push_back({file, 3 + i});
        HOST_NEEDS(leash::run(leash::shell("set -- /proc/self/fd/*; echo $#"), options).out >= "4000\n");
        options.pass_fds.push_back({2, 1000});
        HOST_NEEDS(leash::try_run({"true"}, options).error().subject == "pass_fds: {2, 1000}");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("an environment of 2 MB arrives where the system's limit allows it, and is E2BIG where not") {
    const std::string wrong = support::in_host([]() -> std::string {
        leash::Options options;
        options.out = leash::piped;
        options.env = Env::empty();
        for (int i = 0; i < 20; ++i) options.env.set("V" + std::to_string(i), std::string(100'000, 'x'));
        rlimit stack{};
        ::getrlimit(RLIMIT_STACK, &stack);
        // The limit is a quarter of the stack's, and 6 MiB at most.
        rlimit large = stack;
        large.rlim_cur = stack.rlim_max;
        ::setrlimit(RLIMIT_STACK, &large);
        if (large.rlim_cur == RLIM_INFINITY || large.rlim_cur >= (rlim_t{16} << 20)) {
            const auto result = leash::try_run(child({"env"}), options);
            HOST_NEEDS(result.has_value());
            HOST_NEEDS(result->out.size() > 2'000'000);
        }
        for (int i = 20; i < 100; ++i) options.env.set("V" + std::to_string(i), std::string(100'000, 'x'));
        const auto refused = leash::try_run(child({"env"}), options);
        HOST_NEEDS(!refused.has_value());
        HOST_NEEDS(refused.error().code == std::errc::argument_list_too_long);
        HOST_NEEDS(refused.error().step == Step::spawn);
        return "";
    });
    CHECK(wrong == "");
}

// ---- cwd

TEST_CASE("cwd is the child's directory, and not the host's") {
    const Census census;
    const TemporaryDirectory directory;
    char before[4096];
    REQUIRE(::getcwd(before, sizeof before) != nullptr);
    leash::Options options = support::capture(census);
    options.cwd = directory.path();
    CHECK(leash::run(child({"pwd"}), options).out == directory.path());
    options.cwd = "/";
    CHECK(leash::run(child({"pwd"}), options).out == "/");
    options.cwd = "";
    CHECK(leash::run(child({"pwd"}), options).out == before);
    char after[4096];
    REQUIRE(::getcwd(after, sizeof after) != nullptr);
    CHECK(std::string(before) == after);
}

TEST_CASE("a relative cwd counts from the host's directory") {
    const Census census;
    const TemporaryDirectory directory;
    const std::string sub = directory.directory("sub");
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::chdir(directory.path().c_str()) != 0) return "chdir";
        leash::Options options = support::capture(census);
        options.cwd = "sub";
        HOST_NEEDS(leash::run(child({"pwd"}), options).out == sub);
        options.cwd = "sub/..";
        HOST_NEEDS(leash::run(child({"pwd"}), options).out == directory.path());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a cwd that is missing, a file, or closed to us is told as the cwd's fault") {
    const TemporaryDirectory directory;
    leash::Options options;
    options.cwd = directory / "missing";
    leash::Error error = refusal(options);
    CHECK(error.step == Step::cwd);
    CHECK(error.code == std::errc::no_such_file_or_directory);
    CHECK(error.subject == directory / "missing");

    options.cwd = directory.file("file", "x");
    error = refusal(options);
    CHECK(error.step == Step::cwd);
    CHECK(error.code == std::errc::not_a_directory);
    CHECK(error.subject == directory / "file");

    options.cwd = std::string("a\0b", 3);
    CHECK(refusal(options).step == Step::cwd);

    // Root may enter everything: as nobody, then.
    const std::string closed = directory.directory("closed", 0000);
    const std::string unreadable = directory.directory("unreadable", 0711);
    ::chmod(directory.path().c_str(), 0755);
    const std::string wrong = support::in_host([&]() -> std::string {
        if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return "";
        leash::Options as_nobody;
        as_nobody.out = leash::piped;
        as_nobody.cwd = closed;
        const auto refused = leash::try_run({"/bin/sh", "-c", "pwd"}, as_nobody);
        HOST_NEEDS(!refused.has_value());
        HOST_NEEDS(refused.error().step == Step::cwd);
        HOST_NEEDS(refused.error().code == std::errc::permission_denied);
        HOST_NEEDS(refused.error().subject == closed);
        // one that may be entered but not be listed is fine
        as_nobody.cwd = unreadable;
        HOST_NEEDS(leash::run({"/bin/sh", "-c", "pwd"}, as_nobody).out == unreadable + "\n");
        return "";
    });
    CHECK(wrong == "");
    ::chmod(closed.c_str(), 0755);
}

// ---- executable

TEST_CASE("executable is the file to run, looked up as argv[0] would be") {
    const Census census;
    leash::Options options = support::capture(census);
    options.executable = "sh";
    CHECK(leash::run({"no-such-program", "-c", "echo $0"}, options).out == "no-such-program\n");
    options.executable = "/no/such/program";
    const leash::Error error = refusal(options, {"sh", "-c", ":"});
    CHECK(error.step == Step::program);
    CHECK(error.subject == "/no/such/program");
}

// ---- descriptors

TEST_CASE("a passed descriptor arrives under its number, and the host's stays as it is") {
    const Census census;
    const TemporaryDirectory directory;
    const int log = ::open((directory / "log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(log >= 0);
    const NothingLeft before;
    leash::Options options = support::capture(census);
    options.pass_fds = {{log, 3}, {log, 17}, {log, 5}};
    CHECK(leash::run(child({"print-to", "3", "a", "17", "b", "5", "c"}), options).ok());
    CHECK(support::read_file(directory / "log") == "abc");
    const std::string open = leash::run(child({"fds"}), options).out;
    const std::string name = " " + directory / "log";
    CHECK(open.find("\n3" + name + "\n5" + name + "\n17" + name + "\n") != std::string::npos);
    CHECK(::fcntl(log, F_GETFD) == FD_CLOEXEC);
    CHECK(before.holds());
    ::close(log);
}

TEST_CASE("a bad pass is refused with both its numbers") {
    const int closed = ::fcntl(0, F_DUPFD_CLOEXEC, 50);
    ::close(closed);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const auto refuse = [](std::vector<leash::PassFd> passes) {
        leash::Options options;
        options.pass_fds = std::move(passes);
        return refusal(options);
    };
    leash::Error error = refuse({{closed, 3}});
    CHECK(error.step == Step::redirect);
    CHECK(error.code == std::errc::bad_file_descriptor);
    CHECK(error.subject == "pass_fds: {" + std::to_string(closed) + ", 3}");
    CHECK(refuse({{-1, 3}}).code == std::errc::bad_file_descriptor);

    for (const int target : {-2, 0, 1, 2}) {
        error = refuse({{0, target}});
        CHECK(error.step == Step::redirect);
        CHECK(error.code == std::errc::invalid_argument);
        CHECK(error.subject == "pass_fds: {0, " + std::to_string(target) + "}");
    }
    error = refuse({{0, 3}, {1, 4}, {2, 3}});
    CHECK(error.code == std::errc::invalid_argument);
    CHECK(error.subject == "pass_fds: {2, 3}");
    if (limit.rlim_cur < 1'000'000'000) {
        error = refuse({{0, static_cast<int>(limit.rlim_cur)}});
        CHECK(error.step == Step::redirect);
        CHECK(error.code == std::errc::bad_file_descriptor);
    }
    CHECK(refuse({{0, std::numeric_limits<int>::max()}}).step == Step::redirect);
}

// ---- the group

TEST_CASE("a job has a group of its own in the host's session, from its first instruction") {
    const Ids ids = ids_with({});
    CHECK(ids.pid > 1);
    CHECK(ids.group == ids.pid);
    CHECK(ids.group != ::getpgrp());
    CHECK(ids.session == ::getsid(0));
    CHECK(ids.parent == ::getpid());
}

TEST_CASE("an inherited group is the host's") {
    leash::Options options;
    options.group = Group::inherited;
    const Ids ids = ids_with(options);
    CHECK(ids.pid != ids.group);
    CHECK(ids.group == ::getpgrp());
    CHECK(ids.session == ::getsid(0));
}

TEST_CASE("a session of its own is one, and a group with it") {
    leash::Options options;
    options.group = Group::session;
    const Ids ids = ids_with(options);
    CHECK(ids.session == ids.pid);
    CHECK(ids.group == ids.pid);
    CHECK(ids.session != ::getsid(0));
    leash::Popen p(child({"sleep"}), options);
    CHECK(::getsid(p.pid()) == p.pid());
    CHECK(p.kill().has_value());
    CHECK(p.wait().signal() == SIGKILL);
}

// ---- times

TEST_CASE("Group: constants of a literal type, and join()") {
    static_assert(Group() == Group::own && Group::own != Group::inherited && Group::session != Group::foreground);
    static_assert(Group::join(7) == Group::join(7) && Group::join(7) != Group::join(8) && Group::join(7).joined() == 7);
    static_assert(Group::own.is_new() && Group::session.is_new() && Group::foreground.is_new());
    static_assert(!Group::inherited.is_new() && !Group::join(7).is_new() && Group::own.joined() == 0);
}

TEST_CASE("a job joins a group that is there, and an end reaches the job alone") {
    const Census census;
    leash::Options options = support::capture(census);
    leash::Popen host(child({"print-and-wait", "x"}), options);
    const std::string number = " " + std::to_string(host.pid()) + " ";
    options.group = Group::join(host.pid());
    SUBCASE("its group") {
        const std::string ids = leash::run(child({"ids"}), options).out;
        CHECK(ids.find(number) == ids.find(' '));
        CHECK(ids.substr(0, ids.find(' ')) != std::to_string(host.pid()));
    }
    SUBCASE("of all stages of a pipeline") {
        const leash::Command both = leash::shell("cat >&2; \"$1\" ids", {support::helper()});
        const leash::Result r = leash::run(child({"ids"}) | both, options);
        CHECK(r.out.find(number) == r.out.find(' '));
        CHECK(r.err.find(number) == r.err.find(' '));
    }
    SUBCASE("signals and the end") {
        options.out = leash::piped;
        leash::Popen p(leash::shell("sleep 60 & echo $!; wait"), options);
        const int below = std::atoi(p.out().read_until("\n").data.c_str());
        CHECK(p.stop(60s).signal() == SIGTERM);  // also what descends from it
        CHECK(support::eventually([&] { return support::state_of(below) == 0; }));
        leash::Popen killed(child({"sleep"}), options);
        CHECK(killed.kill());
        CHECK(killed.wait().signal() == SIGKILL);
        leash::Popen dropped(child({"sleep"}), options);
    }
    SUBCASE("what is refused") {
        const auto refused = [&](int group, std::errc why) {
            options.group = Group::join(group);
            const auto started = leash::Popen::try_spawn({"true"}, options);
            REQUIRE_FALSE(started);
            const leash::Error& error = started.error();
            CHECK(error.step == Step::options);
            CHECK(error.code == why);
            CHECK(error.subject == "group: " + std::to_string(group));
        };
        for (const int none : {0, 1, -1, -7}) refused(none, std::errc::invalid_argument);
        leash::Options apart = support::silent(census);
        apart.group = Group::session;
        leash::Popen other(child({"sleep"}), apart);
        refused(other.pid(), std::errc::operation_not_permitted);  // another session's
        other.kill();
        other.wait();
        refused(other.pid(), std::errc::operation_not_permitted);  // there is none
    }
    CHECK_FALSE(host.poll().has_value());
    CHECK(host.kill());
    host.wait();
    CHECK(census.reaches(0));
}

TEST_CASE("times that make no sense are refused by name") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const leash::Timeout time :
         {leash::Timeout(0s), leash::Timeout(-1ns), leash::Timeout(std::chrono::hours::min()),
          leash::Timeout(std::chrono::duration<double>(nan))}) {
        leash::Options options;
        options.timeout = time;
        const leash::Error error = refusal(options);
        CHECK(error.step == Step::options);
        CHECK(error.code == std::errc::invalid_argument);
        CHECK(error.subject == "timeout");
    }
    for (const leash::Timeout time : {leash::Timeout(-1ns), leash::Timeout(std::chrono::duration<double>(nan)),
                                      leash::Timeout(std::chrono::nanoseconds::max()), leash::Timeout::none(),
                                      leash::Timeout(std::chrono::duration<double>(1e300))}) {
        leash::Options options;
        options.grace = time;
        leash::Error error = refusal(options);
        CHECK(error.step == Step::options);
        CHECK(error.subject == "grace");
        options = {};
        options.drain = time;
        error = refusal(options);
        CHECK(error.step == Step::options);
        CHECK(error.subject == "drain");
    }
}

TEST_CASE("a timeout of the largest duration is no timeout, and graces and drains of nothing are fine") {
    const Census census;
    leash::Options options = support::capture(census);
    for (const leash::Timeout none :
         {leash::Timeout(std::chrono::nanoseconds::max()), leash::Timeout(std::chrono::hours::max()),
          leash::Timeout(std::chrono::duration<double>(std::numeric_limits<double>::infinity()))}) {
        options.timeout = none;
        options.grace = 0s;
        options.drain = 0s;
        const leash::Result result = leash::run(child({"print", "x"}), options);
        CHECK(result.ok());
        CHECK(result.out == "x");
    }
}

// ---- max_output

namespace {

/// Is it UTF-8, from a character's start to a character's end?
bool is_whole(const std::string& text) {
    for (std::size_t i = 0; i < text.size();) {
        const unsigned byte = static_cast<unsigned char>(text[i]);
        std::size_t rest = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc0 ? 1 : 0;
        if (byte >= 0x80 && byte < 0xc0) return false;
        for (++i; rest > 0; --rest, ++i) {
            if (i >= text.size() || (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
        }
    }
    return true;
}

/// What a limit has made of `all`: what is wrong with it.
std::string wrong_cut(const leash::Streams& got, const std::string& all, const leash::Options& options,
                      std::size_t lost_at_most = 6) {
    const std::size_t limit = options.max_output;
    if (got.out.size() + got.out_dropped != all.size()) return "the count";
    if (got.out_truncated != (all.size() > limit)) return "truncated";
    if (got.out.size() > limit) return "too long";
    if (got.out.size() + lost_at_most < std::min(limit, all.size())) return "too much is lost";
    if (!got.out_truncated) return got.out == all && got.out_seam == 0 ? "" : "not all";
    if (options.keep == leash::Keep::head && got.out_seam != got.out.size()) return "the seam of a head";
    if (options.keep == leash::Keep::tail && got.out_seam != 0) return "the seam of a tail";
    if (got.out_seam > got.out.size()) return "the seam";
    const std::string head = got.out.substr(0, got.out_seam), tail = got.out.substr(got.out_seam);
    if (all.compare(0, head.size(), head) != 0) return "the head";
    if (all.compare(all.size() - tail.size(), tail.size(), tail) != 0) return "the tail";
    const std::size_t half = limit / 2;
    if (options.keep == leash::Keep::ends && (head.size() + 4 < half || tail.size() + 4 < half)) return "the ends";
    return "";
}

}  // namespace

TEST_CASE("max_output cuts at the edges of characters, and the seam can be found") {
    const Census census;
    leash::Options options = support::capture(census);
    const std::string text = "a\u00e9\u732b\U0001f408z\U0001f408\u732b\u732b\u00e9\u00e9b\U0001f408";
    for (const leash::Keep keep : {leash::Keep::head, leash::Keep::tail, leash::Keep::ends}) {
        options.keep = keep;
        for (std::size_t limit = 0; limit <= text.size() + 1; ++limit) {
            CAPTURE(limit);
            options.max_output = limit;
            const std::size_t middle = limit % text.size();  // it comes in pieces
            const leash::Result result =
                leash::run(child({"print", text.substr(0, middle), text.substr(middle)}), options);
            CHECK(wrong_cut(result, text, options) == "");
            CHECK(is_whole(result.out.substr(0, result.out_seam)));
            CHECK(is_whole(result.out.substr(result.out_seam)));
            if (keep != leash::Keep::ends) CHECK(result.out.size() + 3 >= std::min(limit, text.size()));
        }
        // more than a read, and more than is kept of a tail before it is cut for the first time
        std::string large;
        while (large.size() < 2'000'000) large += "\u732b";
        const TemporaryDirectory directory;
        options.in = leash::file(directory.file("large", large));
        for (const std::size_t limit : {300'000u, 300'001u, 300'002u, 300'003u}) {
            options.max_output = limit;
            const leash::Result result = leash::run(child({"cat"}), options);
            CHECK(wrong_cut(result, large, options) == "");
            CHECK(is_whole(result.out));
        }
        options.in = leash::null;
    }
}

TEST_CASE("what is no UTF-8 loses three bytes at a cut at the most") {
    const Census census;
    leash::Options options = support::capture(census);
    for (const char* const of : {"\x80", "\xff", "\xe9", "\xc3", "\xf0\x80", "\x80\x80\xf1", "\xe9 ", "\xc2\xc2\x80"}) {
        std::string text;
        for (int i = 0; i < 40; ++i) text += of;
        for (const leash::Keep keep : {leash::Keep::head, leash::Keep::tail, leash::Keep::ends}) {
            for (const std::size_t limit : {1u, 2u, 3u, 10u, 11u, 39u}) {
                options.keep = keep;
                options.max_output = limit;
                const leash::Result result = leash::run(child({"print", text}), options);
                CHECK(wrong_cut(result, text, options, keep == leash::Keep::ends ? 6 : 3) == "");
            }
        }
    }
}

TEST_CASE("of a job that runs on the cut and its seam are told likewise, again and again") {
    const Census census;
    const std::string text = "\u732b\u732b\u732b\u732b\u732b\u732b\u732b\u732b";
    for (const leash::Keep keep : {leash::Keep::head, leash::Keep::tail, leash::Keep::ends}) {
        for (const bool with_a_reader : {false, true}) {
            CAPTURE(with_a_reader);
            leash::Options options = support::capture(census);
            options.in = leash::piped;
            options.keep = keep;
            options.max_output = 11;
            leash::Popen p(child({"print-and-wait", text}), options);
            leash::Captured captured;
            REQUIRE(support::eventually([&] {
                captured = p.communicate({}, 0s);
                return captured.out.size() + captured.out_dropped == text.size();
            }));
            CHECK(wrong_cut(captured, text, options) == "");
            CHECK(is_whole(captured.out));
            // it joins what was set apart
            if (with_a_reader) CHECK_FALSE(p.out().read_until("never", 0s).complete);
            captured = p.communicate({}, 0s);
            CHECK(wrong_cut(captured, text, options) == "");
            p.kill();
            captured = p.communicate();
            CHECK(captured.status.has_value());
            CHECK(wrong_cut(captured, text, options) == "");
            CHECK(is_whole(captured.out));
        }
    }
}

TEST_CASE("all has out and err in the order in which they came, and each is there apart as well") {
    const Census census;
    leash::Options options = support::capture(census);
    options.all = true;
    leash::Options asked = options;
    asked.in = leash::piped;
    leash::Popen p(leash::shell("echo 1; read x; echo 2 >&2; read x; echo 3; read x; echo 4 >&2"), asked);
    CHECK(p.out().read_until("\n", 60s).data == "1\n");
    CHECK(p.in().write("\n", 60s));
    CHECK(p.err().expect("2", 60s));
    CHECK(p.in().write("\n", 60s));
    CHECK(p.out().read(1, 60s).data == "3");
    leash::Captured captured = p.communicate({}, 0s);
    CHECK(captured.all.substr(0, 5) == "1\n2\n3");
    captured = p.communicate("\n", 60s);
    CHECK(captured.all == "1\n2\n3\n4\n");
    CHECK(captured.out == "\n");
    CHECK(captured.err == "\n4\n");
    CHECK(captured.all_dropped == 0);

    // All of both, whatever the order; nothing where nobody asked.
    const leash::Command much = child({"write-both", "200000"});
    leash::Result result = leash::run(much, options);
    CHECK(result.out.size() == 200'000);
    CHECK(result.all.size() == result.out.size() + result.err.size());
    options.err = leash::per_stage;
    result = leash::run(leash::shell("echo a >&2") | leash::shell("cat; echo b >&2; echo c"), options);
    CHECK(result.all.size() == 6);
    for (const char* const line : {"a\n", "b\n", "c\n"}) CHECK(result.all.find(line) != std::string::npos);
    options.err = leash::to_out;
    result = leash::run(child({"print-to", "1", "out", "2", "err"}), options);
    CHECK(result.all == "outerr");
    options.all = false;
    CHECK(leash::run(child({"print", "x"}), options).all == "");
}

TEST_CASE("max_output and keep bound all as they bound a stream") {
    const Census census;
    leash::Options options = support::capture(census);
    options.err = leash::to_out;
    options.all = true;
    options.max_output = 6;
    for (const leash::Keep keep : {leash::Keep::head, leash::Keep::tail, leash::Keep::ends}) {
        options.keep = keep;
        const leash::Result result = leash::run(leash::shell("echo 1234; echo 5678 >&2"), options);
        CHECK(result.all == result.out);
        CHECK(result.all.size() == 6);
        CHECK(result.all_dropped == 4);
    }
}

TEST_CASE("past max_output the head is kept, the rest is read and dropped, and the result says so") {
    const Census census;
    leash::Options options = support::capture(census);
    options.max_output = 1000;
    SUBCASE("run") {
        const leash::Result result = leash::run(child({"write-both", "3000000"}), options);
        CHECK(result.ok());  // it was never blocked
        CHECK((result.out == support::pattern(1000)));
        CHECK((result.err == support::pattern(1000)));
        CHECK(result.out_truncated);
        CHECK(result.err_truncated);
    }
    SUBCASE("communicate") {
        leash::Popen p(child({"write", "3000000", "2"}), options);
        const leash::Captured captured = p.communicate();
        CHECK(captured.status->success());
        CHECK(captured.out == "");
        CHECK_FALSE(captured.out_truncated);
        CHECK((captured.err == support::pattern(1000)));
        CHECK(captured.err_truncated);
    }
    SUBCASE("exactly so much is not truncated") {
        const leash::Result result = leash::run(child({"write", "1000"}), options);
        CHECK((result.out == support::pattern(1000)));
        CHECK_FALSE(result.out_truncated);
        CHECK(leash::run(child({"write", "1001"}), options).out_truncated);
    }
    SUBCASE("nothing may be kept") {
        options.max_output = 0;
        const leash::Result result = leash::run(child({"write", "500000"}), options);
        CHECK(result.ok());
        CHECK(result.out == "");
        CHECK(result.out_truncated);
        CHECK_FALSE(result.err_truncated);
    }
}

TEST_CASE("keep says which part of a long output is kept, and how much is missing is told") {
    const Census census;
    const std::string all = support::pattern(300'000);
    leash::Options options = support::capture(census);
    options.max_output = 1000;
    CHECK(options.keep == leash::Keep::head);
    std::string expected = all.substr(0, 1000);
    SUBCASE("head") {}
    SUBCASE("tail") {
        options.keep = leash::Keep::tail;
        expected = all.substr(all.size() - 1000);
    }
    SUBCASE("ends") {
        options.keep = leash::Keep::ends;
        expected = all.substr(0, 500) + all.substr(all.size() - 500);
    }
    const leash::Result result = leash::run(child({"write-both", "300000"}), options);
    CHECK(result.ok());
    CHECK(result.out == expected);
    CHECK(result.err == expected);
    CHECK(result.out_truncated);
    CHECK(result.out_dropped == 299'000);
    CHECK(result.err_dropped == 299'000);
    // what fits is whole
    const leash::Result fits = leash::run(child({"write", "1000"}), options);
    CHECK(fits.out == all.substr(0, 1000));
    CHECK(fits.out_dropped == 0);
    CHECK_FALSE(fits.out_truncated);
    // and so it is when it is fetched in several calls
    leash::Popen p(child({"write", "300000"}), options);
    leash::Captured captured;
    do captured = p.communicate({}, 1ms);
    while (!captured.status);
    CHECK(captured.out == expected);
    CHECK(captured.out_dropped == 299'000);
}

TEST_CASE("an idle timeout of nothing or less is refused by name") {
    for (const leash::Timeout time : {leash::Timeout(0s), leash::Timeout(-1ns)}) {
        leash::Options options;
        options.idle_timeout = time;
        const leash::Error error = refusal(options);
        CHECK(error.step == Step::options);
        CHECK(error.subject == "idle_timeout");
    }
}

TEST_CASE("a job without output for the idle timeout is ended, and one that says something is not") {
    const Census census;
    leash::Options options = support::capture(census);
    options.idle_timeout = 50ms;
    leash::Result result = leash::run(child({"sleep"}), options);
    CHECK(result.timed_out);
    CHECK(result.ended_by == leash::EndedBy::idle_timeout);
    CHECK_FALSE(result.ok());
    CHECK(result.status.signal() == SIGTERM);
    options.idle_timeout = 60s;
    result = leash::run(child({"print-slowly", "a", "b", "c"}), options);
    CHECK(result.ok());
    CHECK(result.ended_by != leash::EndedBy::idle_timeout);
    options.idle_timeout = leash::Timeout::none();
    options.timeout = 50ms;
    result = leash::run(child({"sleep"}), options);
    CHECK(result.timed_out);
    CHECK(result.ended_by != leash::EndedBy::idle_timeout);

    options.timeout = leash::Timeout::none();
    options.idle_timeout = 50ms;
    leash::Popen p(child({"sleep"}), options);
    CHECK(p.out().read().eof);
    CHECK(p.wait().signal() == SIGTERM);
    CHECK(p.ended_by() == leash::EndedBy::idle_timeout);
    CHECK(p.timed_out());
}

// ---- terminals

TEST_CASE("an own group and a controlling terminal as input are refused, with the way out") {
    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        const int master = controlling_terminal();
        if (master < 0) return "";  // no pseudo-terminals here
        leash::Options options = support::capture(census);
        options.in = leash::inherit;
        auto refused = leash::try_run(child({"exit", "0"}), options);
        HOST_NEEDS(!refused.has_value());
        HOST_NEEDS(refused.error().step == Step::options);
        HOST_NEEDS(refused.error().code == std::errc::invalid_argument);
        HOST_NEEDS(refused.error().subject == "in");
        HOST_NEEDS(refused.error().message().find("interactive()") != std::string::npos);
        options.in = leash::fd(0);
        HOST_NEEDS(!leash::try_run(child({"exit", "0"}), options).has_value());
        const int elsewhere = ::fcntl(0, F_DUPFD_CLOEXEC, 40);
        options.in = leash::fd(elsewhere);
        HOST_NEEDS(!leash::try_run(child({"exit", "0"}), options).has_value());
        for (const char* const path : {"/dev/tty", "/dev/stdin"}) {
            options.in = leash::file(path);
            const auto by_file = leash::try_run(child({"exit", "0"}), options);
            HOST_NEEDS(!by_file.has_value());
            HOST_NEEDS(by_file.error().step == Step::options && by_file.error().subject == "in");
        }
        // everything else goes with it
        options.in = leash::null;
        HOST_NEEDS(leash::try_run(child({"exit", "0"}), options).has_value());
        options.in = leash::inherit;
        options.group = Group::session;
        HOST_NEEDS(leash::try_run(child({"exit", "0"}), options).has_value());
        options.group = Group::inherited;
        HOST_NEEDS(leash::try_run(child({"exit", "0"}), options).has_value());
        options.in = leash::file("/dev/tty");
        HOST_NEEDS(leash::try_run(child({"exit", "0"}), options).has_value());
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("interactive() is a child in the foreground of the terminal, which may read it") {
    const leash::Options preset = leash::Options::interactive();
    CHECK(preset.in.is(leash::inherit));
    CHECK(preset.out.is(leash::inherit));
    CHECK(preset.err.is(leash::inherit));
    CHECK(preset.group == Group::foreground);

    const Census census;
    const std::string wrong = support::in_host([&]() -> std::string {
        const int master = controlling_terminal();
        if (master < 0) return "";
        leash::Options options = leash::Options::interactive();
        options.env = census.env();
        options.out = leash::piped;
        // Where a child cannot take the terminal itself it can be quicker than the host that lends it.
        HOST_NEEDS(
            support::eventually([&] { return leash::run(child({"foreground"}), options).out == "foreground\n"; }));
        HOST_NEEDS(leash::run(child({"isatty", "0"}), options).out == "terminal\n");
        if (::write(master, "typed\n", 6) != 6) return "typing";
        HOST_NEEDS(leash::run(child({"read-and-exit", "6", "7"}), options).status.describe() == "exited 7");

        // Ctrl-C reaches it, and not the host: test_foreground.cpp has more of that
        leash::Popen p(child({"sleep", "ready"}), options);
        HOST_NEEDS(p.out().read(5).data == "ready");
        if (::write(master, "\3", 1) != 1) return "interrupting";
        HOST_NEEDS(p.wait().describe() == "killed by SIGINT (2)");

        // a session of its own has no terminal to prompt at
        options.in = leash::null;
        options.group = Group::session;
        HOST_NEEDS(leash::run(child({"foreground"}), options).out == "no terminal\n");
        options.group = Group::own;
        HOST_NEEDS(leash::run(child({"foreground"}), options).out == "background\n");
        return "";
    });
    CHECK(wrong == "");
}

TEST_CASE("a NUL byte in a path of the options is refused, and never cuts it off") {
    const std::string path("/dev/null\0x", 11), directory("/tmp\0x", 6);
    const auto refused = [](leash::Step step, leash::Options options) {
        const auto result = leash::try_run({"true"}, std::move(options));
        return !result && result.error().code == std::errc::invalid_argument && result.error().step == step;
    };
    leash::Options options;
    options.cwd = directory;
    CHECK(refused(leash::Step::cwd, options));
    options = {};
    options.in = leash::file(path);
    CHECK(refused(leash::Step::redirect, options));
    options = {};
    options.out = leash::file(path);
    CHECK(refused(leash::Step::redirect, options));
    options = {};
    options.err = leash::file(path);
    CHECK(refused(leash::Step::redirect, options));
}

TEST_CASE("of a long output of which the end is kept, the rest takes no memory") {
    const std::string wrong = support::in_host([]() -> std::string {
        leash::Options options;
        options.out = leash::piped;
        options.max_output = 1000;
        options.keep = leash::Keep::tail;
        rusage before{}, after{};
        ::getrusage(RUSAGE_SELF, &before);
        const leash::Result result = leash::run(child({"write", "100000000"}), options);
        ::getrusage(RUSAGE_SELF, &after);
        HOST_NEEDS(result.out.size() == 1000 && result.out_dropped == 100'000'000 - 1000);
        HOST_NEEDS(after.ru_maxrss - before.ru_maxrss < 20'000);  // KiB
        return "";
    });
    CHECK(wrong == "");
}
