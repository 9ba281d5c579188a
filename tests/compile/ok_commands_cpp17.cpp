// tests/compile/ok_commands_cpp17.cpp - ways to say a command that were ambiguous once. Compiled, not run.
#include <leash/leash.hpp>

#include <memory>

namespace {

struct Views {
    operator std::string_view() const { return "viewed"; }
};
struct Converts {
    operator std::string() const { return "converted"; }
};
struct Both {
    operator std::string_view() const { return "both"; }
    operator std::string() const { return "both"; }
};

void jobs() {
    leash::Popen one({"true"});
    leash::Popen two({"true", "x"});
    leash::Popen three({"true", "x", "y"});
    leash::Popen braces{{"true"}};
    leash::Popen options({"true"}, {});
    leash::Popen command(leash::args({"true"}));
    leash::Popen shell(leash::shell("true"));
    const std::string name = "true";
    leash::Popen text({name});
}

void arguments() {
    const Views views;
    const Converts converts;
    const Both both;
    const leash::Command command{"echo", views, converts, both, Views(), Converts(), Both()};
    leash::run({"echo", views, converts, both}).check_ok();
    leash::run(leash::shell("echo \"$@\"", {views, converts, both})).check_ok();
}

void elsewhere(int count, char** given, bool quiet) {
    const auto owned = std::make_unique<leash::Popen>(leash::args({"ls", "-l"}));
    std::vector<leash::Popen> many;
    many.emplace_back(leash::args(count - 1, given + 1));
    leash::Options options;
    options.out = quiet ? leash::null : leash::inherit;
    options.in = quiet ? leash::Input(leash::null) : leash::bytes("x");
    leash::run({"echo", u8"\u00e9"}, options).check_ok();
}

void nothing() { leash::run({}).check_ok(); }  // a command without arguments: refused when it runs

void pipelines() {
    leash::Pipeline two = leash::args({"a"}) | leash::shell("b");
    leash::Pipeline four = two | (leash::args({"c"}) | leash::args({"d"}));
    leash::run(std::move(two) | std::move(four)).check_ok();
    leash::run(leash::args({"a"}) | leash::args({"b"}) | leash::args({"c"})).check_ok();
}

}  // namespace

int main() {
    jobs();
    arguments();
    elsewhere(0, nullptr, false);
    nothing();
    pipelines();
}
