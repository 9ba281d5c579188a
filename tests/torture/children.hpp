// tests/torture/children.hpp - what is started: every way in which a child can behave, at random.
#pragma once

#include "dice.hpp"

#include "../support.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace torture {

using leash::ExitStatus;
using support::child;

struct Child {
    std::string name;
    leash::Command command;
    bool ends = true;                              ///< by itself, once its input has come to its end
    ExitStatus status = ExitStatus::from_code(0);  ///< how it ends then
    std::optional<std::string> out = "";           ///< all that it says, where that can be known beforehand
    bool echoes = false;                           ///< it says what it is told
    bool escapes = false;                          ///< something of it may leave the group
    std::optional<int> stays = 0;  ///< how many of its group live on when the leader has ended, where that is known
    bool is_late = false;          ///< it says the last of it after the leader's end
    int apart = 0;                 ///< how many are in groups of their own, with parents that live; it is "ready" then
    std::shared_ptr<support::TemporaryDirectory> place =
        {};            ///< where it saves its state at SIGTERM, once it is "ready"
    int on_term = -1;  ///< the code with which it exits at SIGTERM, where it does
    bool is_shell = false;
    bool is_missing = false;  ///< there is no such program
};

inline Child script(const char* name, const char* text) {
    Child shell{name, leash::shell(text, {support::helper()})};
    shell.is_shell = true;
    return shell;
}

inline Child ending(const char* name, leash::Command command, std::optional<std::string> out = "", int code = 0) {
    return {name, std::move(command), true, ExitStatus::from_code(code), std::move(out)};
}

inline Child endless(const char* name, leash::Command command, std::optional<std::string> out = "") {
    return {name, std::move(command), false, {}, std::move(out)};
}

inline Child escaping(Child child) {
    child.escapes = true;
    return child;
}

inline Child staying(std::optional<int> count, Child child) {
    child.stays = count;
    return child;
}

inline Child late(Child child) {
    child.is_late = true;
    return staying(std::nullopt, std::move(child));
}

/// One that needs nothing of its surroundings.
inline Child any_child(Dice& dice) {
    const int code = dice.between(0, 255);
    const std::string number = std::to_string(code);
    const auto endless_script = [](const char* name, const char* text) {
        Child shell = script(name, text);
        shell.ends = false;
        shell.out.reset();
        return shell;
    };
    switch (dice.between(0, 35)) {
        case 0: return ending("exit", child({"exit", number}), "", code);
        case 1: {
            const int signal = dice.one_of({SIGHUP, SIGINT, SIGABRT, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGUSR1});
            Child killed = ending("kill", child({"kill", std::to_string(signal)}));
            killed.status = ExitStatus::from_signal(signal);
            return killed;
        }
        case 2:
        case 3: {
            Child cat = ending("cat", child({"cat"}));
            cat.echoes = true;
            return cat;
        }
        case 4:
        case 5: {
            const int size = dice.one_of({0, 1, 1000, 65'536, 65'537, 300'000, 2'000'000});
            return ending("write", child({"write", std::to_string(size)}),
                          support::pattern(static_cast<std::size_t>(size)));
        }
        case 6: return ending("write-both", child({"write-both", "200000"}), support::pattern(200'000));
        case 7: return ending("print-slowly", child({"print-slowly", "a\n", "b", "c\n", "d"}), "a\nbc\nd");
        case 8: return ending("wait-then-exit", child({"wait-then-exit", number}), "ready\n", code);
        case 9: return ending("close-output-wait-exit", child({"close-output-wait-exit", number}), "", code);
        case 10: return ending("spin", child({"spin", "3", "4"}));
        case 11: return staying(1, ending("fork-holder", child({"fork-holder", number, "1", "2"}), {}, code));
        case 12:
            return staying(1, ending("fork-ignoring-holder", child({"fork-ignoring-holder", number, "1"}), {}, code));
        case 13: return escaping(ending("setsid-holder", child({"setsid-holder", number, "1", "2"}), {}, code));
        case 14: return escaping(ending("setsid-silent", child({"setsid-holder", number}), {}, code));
        case 15: return escaping(staying({}, script("daemon", "(setsid sleep 60 </dev/null >/dev/null 2>&1 &)")));
        case 16: return script("short-lived", "for i in 1 2 3 4 5; do (exit $i) & done; wait");
        case 17: return staying(2, script("background", "sleep 60 & sleep 60 >/dev/null & :"));
        case 18: {
            Child missing = ending("missing", {"/no/such/program"});
            missing.is_missing = true;
            return missing;
        }
        case 19: return endless("flood", child({"flood"}), {});
        case 20: return endless("sleep", child({"sleep", "x\n"}), "x\n");
        case 21: return endless("ignore-term", child({"ignore-term"}), "ready\n");
        case 22: {
            Child catches = endless("catch-term", child({"catch-term", number}), "ready\n");
            catches.on_term = code;
            return catches;
        }
        case 23: return endless("stop-self", child({"stop-self"}), {});
        case 24: return endless("close-all", child({dice.chance(50) ? "close-all" : "close-input"}), {});
        case 25: return endless("fork-and-wait", child({"fork-and-wait", "1"}), {});
        case 26: return escaping(endless("change-group", child({"change-group"}), {}));
        case 27: return endless_script("tree", "f() { [ $1 = 0 ] && exec sleep 60; f $(($1-1)) & f $(($1-1)); }; f 3");
        case 28: return endless_script("deaf-tree", "trap '' TERM; sleep 60 & sleep 60 & \"$1\" ignore-term & wait");
        case 29: {
            const int size = dice.one_of({1, 5000, 300'000});
            return late(ending("write-after", child({"write-after", std::to_string(size)}),
                               support::pattern(static_cast<std::size_t>(size))));
        }
        case 30: {
            Child writer = late(script("background-writer", "echo early; (sleep 0.01; echo late) &"));
            writer.out = "early\nlate\n";
            return writer;
        }
        case 31: {  // the shell dies of SIGTERM at once, and what it runs needs its time
            Child wrapper = endless_script("wrapper", "\"$1\" save-on-term \"$2\"; echo done");
            wrapper.place = std::make_shared<support::TemporaryDirectory>();
            wrapper.command =
                leash::shell("\"$1\" save-on-term \"$2\"; echo done", {support::helper(), *wrapper.place / "state"});
            wrapper.out = "ready\n";
            return wrapper;
        }
        case 32:
        case 33: {  // as a job of leash's in a job of leash's
            const int count = dice.between(1, 3);
            const char* const kind = dice.one_of({"group", "session"});
            const char* const ignores = dice.one_of({"", "children", "all"});
            Child nested = endless("apart", child({"apart", kind, std::to_string(count), ignores}), "ready\n");
            nested.apart = count;
            return nested;
        }
        case 34: {
            Child nested = endless_script("timeout", "timeout 60 \"$1\" sleep 'ready\n'; :");
            nested.out = "ready\n";
            nested.apart = 2;
            nested.on_term = 0;  // the shell's own end, where what it runs has no reader
            return nested;
        }
        default: return endless_script("storm", "while :; do sleep 0.002 & (:); done");
    }
}

/// Could it have ended like that? `interfered`: it may have been ended by force, or its reader have gone.
inline bool is_plausible(const Child& child, ExitStatus status, bool interfered) {
    if (child.ends && status == child.status) return true;
    if (status.code() == 98) return true;  // it could not do its part: its child went first, or it leads a session
    if (status.unknown() || !interfered) return false;
    const int signal = status.signal();
    if (status.signaled()) return signal == SIGHUP || signal == SIGTERM || signal == SIGKILL || signal == SIGPIPE;
    const bool has_no_reader = status.code() == 74;
    return has_no_reader || status.code() == child.on_term || (child.is_shell && status.code() > 128);
}

}  // namespace torture
