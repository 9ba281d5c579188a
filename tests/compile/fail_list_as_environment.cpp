// expect: leash: a list is no environment: write leash::Env::inherited().set("NAME", "value"), or leash::Env::from({"NAME=value"}) for nothing else.
#include <leash/leash.hpp>

int main() {
    leash::Options options;
    options.env = {{"A", "1"}, {"B", "2"}};
    options.env = {"A=1"};
    options.env = {{std::string("A"), std::string("1")}};
}
