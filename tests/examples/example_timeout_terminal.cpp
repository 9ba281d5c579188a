// tests/examples/example_timeout_terminal.cpp - examples/timeout.cpp at a terminal, as a person at a shell sees it: the
// shell has a pseudo-terminal, and the test types.

#include "example.hpp"

using namespace support;

namespace {

/// An interactive shell at a terminal of its own, which echoes nothing: all that comes is what programs say.
class Person {
  public:
    explicit Person(const Census& census) : shell_(leash::args({"sh", "-i"}), options(census)) { sees(prompt); }

    static constexpr const char* prompt = "ready> ";
    void types(const std::string& text) { CHECK(shell_.in().write(text, 60s)); }
    /// What comes before that text.
    std::string sees(const std::string& text) {
        const leash::Match match = shell_.out().expect(text, 60s);
        INFO("waiting for: ", text, ", there was: ", match.before);
        CHECK(match);
        return match.before;
    }
    /// The exit code of the last command.
    std::string code() {
        types("echo code''=$?.\n");  // not as it comes out, for a shell that echoes itself
        sees("code=");
        const std::string code = sees(".");
        sees(prompt);
        return code;
    }

  private:
    static leash::Options options(const Census& census) {
        leash::Options options;
        options.in = leash::tty;
        options.out = leash::tty;
        options.err = leash::tty;
        options.env = census.env();
        options.env.set("PS1", prompt)
            .set("TERM", "dumb")
            .set("PATH", LEASH_EXAMPLES ":" + std::string(std::getenv("PATH")));
        options.env.unset("ENV");
        options.terminal.echo = false;
        options.timeout = 200s;
        return options;
    }
    leash::Popen shell_;
};

const std::string ctrl_c = "\x03", ctrl_z = "\x1a";

}  // namespace

TEST_CASE("timeout at a terminal: Ctrl-Z, fg, Ctrl-C") {
    const Census census;
    Person person(census);
    person.types("timeout 120 cat\n");
    person.types("hello\n");
    person.sees("hello\r\n");  // cat reads the terminal
    person.types(ctrl_z);
    person.sees(Person::prompt);  // both have stopped
    person.types("jobs\n");
    CHECK(contains(person.sees(Person::prompt), "Stopped"));
    person.types("fg\n");
    person.types("again\n");
    person.sees("again\r\n");
    person.types(ctrl_c);
    person.sees(Person::prompt);
    CHECK(person.code() == "130");
    CHECK(census.reaches(1));  // the shell
}

TEST_CASE("timeout at a terminal: the time is up, and the shell has its terminal back") {
    const Census census;
    Person person(census);
    person.types("timeout 0.3 cat\n");
    person.sees(Person::prompt);
    CHECK(person.code() == "124");
    person.types("cat\n");  // the shell can still hand it on
    person.types("hello\n");
    person.sees("hello\r\n");
    person.types(ctrl_c);
    person.sees(Person::prompt);
    CHECK(person.code() == "130");
}

TEST_CASE("timeout at a terminal: what a command did to its modes is undone where a signal ended it") {
    const Census census;
    Person person(census);
    person.types("timeout 120 sh -c 'stty raw; kill -9 $$'\n");
    person.sees(Person::prompt);
    CHECK(person.code() == "137");
    person.types("stty -a\n");
    const std::string modes = person.sees(Person::prompt);
    CHECK_FALSE(contains(modes, "-icanon"));
    CHECK_FALSE(contains(modes, "-isig"));
}

TEST_CASE("timeout at a terminal: Ctrl-C reaches all of the command") {
    const Census census;
    Person person(census);
    person.types("timeout 120 sh -c 'cat & cat </dev/tty'\n");
    person.types("hello\n");
    person.sees("hello\r\n");
    person.types(ctrl_c);
    person.sees(Person::prompt);
    CHECK(person.code() == "130");
    CHECK(census.reaches(1));
}

TEST_CASE("timeout at a terminal: started in the background, it is stopped as it reads, and fg helps") {
    const Census census;
    Person person(census);
    person.types("timeout 120 cat &\n");
    person.sees(Person::prompt);
    CHECK(eventually([&] {
        person.types("jobs\n");
        return contains(person.sees(Person::prompt), "Stopped");
    }));
    person.types("fg\n");
    person.types("hello\n");
    person.sees("hello\r\n");
    person.types(ctrl_c);
    person.sees(Person::prompt);
    CHECK(person.code() == "130");
    CHECK(census.reaches(1));
}

TEST_CASE("timeout at a terminal, but with another input: Ctrl-C is its own, and ends the command") {
    const Census census;
    Person person(census);
    person.types("timeout 120 sh -c 'echo ready; sleep 60 & sleep 60' </dev/null\n");
    person.sees("ready\r\n");
    person.types(ctrl_c);
    person.sees(Person::prompt);
    CHECK(person.code() == "130");
    CHECK(census.reaches(1));
}

TEST_CASE("timeout --idle at a terminal: the command reads it, and its silence counts") {
    const Census census;
    Person person(census);
    person.types("timeout --idle 60 120 cat\n");
    person.types("hello\n");
    person.sees("hello\r\n");
    person.types(ctrl_c);
    person.sees(Person::prompt);
    CHECK(person.code() == "130");
    person.types("timeout --idle 0.3 120 cat\n");
    person.sees(Person::prompt);
    CHECK(person.code() == "124");
    CHECK(census.reaches(1));
}
