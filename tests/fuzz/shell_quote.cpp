// tests/fuzz/shell_quote.cpp - what shell_quote() has quoted, real shells read back as it was.
#include "fuzz.hpp"

#include <leash/leash.hpp>

#include <chrono>
#include <optional>

using namespace std::chrono_literals;

namespace {

/// A shell that lives as long as the program does, and prints what it is told to.
class Shell {
  public:
    Shell(const char* name, const char* locale) {
        leash::Options options;
        options.in = leash::piped;
        options.out = leash::piped;
        options.err = leash::to_out;
        options.env.set("LC_ALL", locale);
        auto started = leash::Popen::try_spawn({name}, options);
        if (started) shell_.emplace(std::move(*started));
    }

    bool exists() const { return shell_.has_value(); }

    void check(const std::vector<std::string>& words) {
        std::string script = "printf '%s\\000'";
        for (const std::string& word : words) script += " " + leash::shell_quote(word);
        FUZZ_NEEDS(shell_->in().write(script + "\n", 60s));
        for (const std::string& word : words) {
            const leash::Read answer = shell_->out().read_until(std::string_view("\0", 1), 60s);
            FUZZ_NEEDS(answer);
            FUZZ_NEEDS(answer.data == word + '\0');
        }
    }

  private:
    std::optional<leash::Popen> shell_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Shell sh("sh", "C"), bash("bash", "C.UTF-8");
    std::vector<std::string> words = fuzz::Bytes(data, size).words();
    for (std::string& word : words) {
        std::string without_nul;
        for (const char c : word) {
            if (c != '\0') without_nul += c;
        }
        word = without_nul;
    }
    sh.check(words);
    if (bash.exists()) bash.check(words);
    return 0;
}
