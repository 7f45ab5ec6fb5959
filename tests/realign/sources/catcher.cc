// The library that catches: by value, by reference, by base, and by rethrowing what another library has thrown.
#include "thrower.h"
#include <cstring>

static int cleanups;
struct Guard {
    ~Guard() { cleanups++; }
};

static void pass_on(int x)
{
    Guard guard;
    try {
        attempt(x);
    } catch (const Base &) {
        throw;
    }
}

extern "C" int run(int x)
{
    try {
        pass_on(x);
    } catch (const Derived &error) {
        return 1000 + error.value + cleanups + thrown;
    } catch (const std::exception &error) {
        return 2000 + (int)std::strlen(error.what()) + cleanups + thrown;
    } catch (int value) {
        return 3000 + value + cleanups + thrown;
    } catch (const char *text) {
        return 4000 + (int)std::strlen(text) + cleanups + thrown;
    }
    return cleanups + thrown;
}
