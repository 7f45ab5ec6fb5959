#include <stdexcept>
#include <string>
#include <vector>
#include <cstdio>
struct Mine { int x; virtual ~Mine(){} };
int g = 5; static int table[4] = {1,2,3,4}; int big[100];
__attribute__((noinline)) int f(int x){ if (x>3) throw std::runtime_error("a"); if (x<0) throw Mine{}; if (x==2) throw 5; return table[x]+g+big[x]; }
extern "C" int run(int x){ try { return f(x);} catch(std::exception&e){ return -(int)std::string(e.what()).size();} catch(Mine&){return 77;} catch(int i){ return i*10; } catch(...){return 1;} }
