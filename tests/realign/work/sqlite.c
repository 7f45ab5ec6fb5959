/* Full-text search, recursive queries, window functions, transactions and errors in sqlite. */
#include <stdio.h>
#include "sqlite3.h"

static int show(void *unused, int count, char **values, char **names)
{
    (void)unused;
    for (int i = 0; i < count; i++)
        printf("%s=%s%s", names[i], values[i] ? values[i] : "NULL", i + 1 < count ? " " : "\n");
    return 0;
}

static const char *const statements[] = {
    "create virtual table pages using fts5(title, body, tokenize = 'porter unicode61')",
    "insert into pages values ('sizes', 'Pages are loaded, four or sixty-four KiB'), ('loaders', 'A loader loads pages'),"
    " ('kernels', 'Kernels give memory'), ('empty', '')",
    "select title, highlight(pages, 1, '[', ']') as h, bm25(pages) < 0 as b from pages where pages match 'load* page'"
    " order by rank",
    "select title, snippet(pages, 1, '<', '>', '...', 4) as s from pages where pages match 'body : (kernel OR loader)'",
    "select title from pages where pages match 'NEAR(loader page, 3)'",
    "create table numbers (n integer primary key, square real generated always as (n * n) stored)",
    "with recursive c(n) as (select 1 union all select n + 1 from c where n < 500) insert into numbers(n) select n from c",
    "select count(*) as c, sum(square) as s, avg(n) as a, group_concat(n % 7, '') as g from numbers where n < 20",
    "select n, sum(n) over (order by n rows 2 preceding) as w, ntile(3) over (order by n) as t from numbers limit 4",
    "create index half on numbers(square) where n % 2 = 0",
    "explain query plan select * from numbers where square > 100 and n % 2 = 0",
    "select json_extract('{\"a\":[1,{\"b\":2.5}]}', '$.a[1].b') as j, printf('%08.3f', 3.14159) as p, hex(x'00ff') as x",
    "begin; update numbers set n = n + 1000; savepoint s; delete from numbers; rollback to s; commit",
    "select min(n) as low, max(n) as high, typeof(square) as t from numbers",
    "select date('2026-11-23', '+1 month', 'start of month') as d, strftime('%j', '2026-03-01') as j",
    "insert into numbers(n) values (1001)",
    "select nothing from nowhere",
    "insert into pages(pages) values ('integrity-check')",
    "pragma integrity_check",
};

int main(void)
{
    sqlite3 *base;
    char *error = NULL;
    sqlite3_open(":memory:", &base);
    puts(sqlite3_libversion());
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (sqlite3_exec(base, statements[i], show, NULL, &error)) {
            printf("error %d: %s\n", sqlite3_extended_errcode(base), error);
            sqlite3_free(error);
        }
    return sqlite3_close(base);
}
