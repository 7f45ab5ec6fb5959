/* A script through Lua's whole library: strings, tables, coroutines, metatables, errors, UTF-8, garbage collection. */
#include <stdio.h>
#include "lauxlib.h"
#include "lualib.h"

static const char script[] =
    "local words = {}\n"
    "for word in ('pages of all sizes load on all kernels'):gmatch('%a+') do words[#words + 1] = word end\n"
    "table.sort(words, function(a, b) return #a < #b or (#a == #b and a < b) end)\n"
    "print(_VERSION, table.concat(words, ' '), string.format('%q %5.2f %x', 'a\\n', math.pi, 65536))\n"
    "local next = coroutine.wrap(function() local a, b = 0, 1 while true do coroutine.yield(a) a, b = b, a + b end end)\n"
    "local row = {} for i = 1, 30 do row[i] = next() end print(table.concat(row, ','))\n"
    "local V = {} V.__index = V V.__add = function(a, b) return setmetatable({x = a.x + b.x}, V) end\n"
    "V.__tostring = function(v) return 'V' .. v.x end V.__close = function(v) print('closed', v.x) end\n"
    "local sum = setmetatable({x = 1}, V) + setmetatable({x = 41}, V) print(tostring(sum))\n"
    "do local guard <close> = sum end\n"
    "print(type(select(2, pcall(error, {code = 2})))) print(select(2, pcall(function() local x = nil; return x.y end)))\n"
    "print(xpcall(function() error('deep') end, function(m) return m .. ' handled' end))\n"
    "print(utf8.char(228, 8364, 128512), utf8.len('\\u{e4}\\u{20ac}'), ('abc'):rep(3, '-'), ('x'):byte())\n"
    "goto done\n"
    "print('never')\n"
    "::done::\n"
    "collectgarbage() collectgarbage('generational') local t = {} for i = 1, 20000 do t[i % 50] = {i} end\n"
    "print(#t, math.type(3 // 2), 7 // 2.0, 3 | 4, string.pack('<i4', 7):byte(1, -1))\n"
    "print(load('return ' .. '1 + 2 * 3')(), load('syntax error here'))\n"
    "print(os.time{year = 2000, month = 1, day = 1, hour = 12} ~= nil, type(os.getenv('HOME')), #arg)\n";

int main(void)
{
    lua_State *state = luaL_newstate();
    luaL_openlibs(state);
    lua_newtable(state);
    lua_setglobal(state, "arg");
    int status = luaL_dostring(state, script);
    if (status)
        printf("%s\n", lua_tostring(state, -1));
    lua_close(state);
    return status;
}
