// The four headers that nobody does without.
#include <chrono>
#include <string>
#include <system_error>
#include <vector>

int main() { return std::vector<std::string>(2).size() == 2 ? 0 : 1; }
