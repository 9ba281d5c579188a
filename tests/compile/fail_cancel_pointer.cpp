// expect: leash: a token is given as it is: write .cancel = token
#include <leash/leash.hpp>

int main() {
    leash::Cancel token;
    leash::Options options;
    options.cancel = &token;
}
