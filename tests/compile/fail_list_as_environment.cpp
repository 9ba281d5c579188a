// expect: leash: a list is no environment: write leash::Env::inherited().set("NAME", "value"), or leash::Env::from({"NAME=value"}) for nothing else.
// expect: leash: a container is no environment: write leash::Env::from(it).
#include <leash/leash.hpp>

#include <map>
#include <string>

int main() {
    leash::Options options;
    options.env = {{"A", "1"}, {"B", "2"}};
    options.env = {"A=1"};
    options.env = std::map<std::string, std::string>{{"A", "1"}};
    options.env = {{std::string("A"), std::string("1")}};
}
