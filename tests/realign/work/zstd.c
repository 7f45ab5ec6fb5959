/* Round trips through zstd: levels from fastest to strongest, a dictionary, streams, and what it says of broken data. */
#include <stdio.h>
#include <string.h>
#include "zstd.h"

static char text[100000], packed[120000], again[100000];

int main(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)("pages of all sizes "[i % 19] + (i * i >> 12) % 5);
    puts(ZSTD_versionString());
    for (int level = -5; level <= 22; level += 3) {
        size_t size = ZSTD_compress(packed, sizeof packed, text, sizeof text, level);
        size_t length = ZSTD_decompress(again, sizeof again, packed, size);
        printf("%d: %zu %zu %d\n", level, size, length, memcmp(text, again, sizeof text));
        memset(again, 0, sizeof again);
    }
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_loadDictionary(context, text, 2000);
    size_t size = ZSTD_compress2(context, packed, sizeof packed, text, sizeof text);
    ZSTD_DCtx *back = ZSTD_createDCtx();
    ZSTD_DCtx_loadDictionary(back, text, 2000);
    size_t length = ZSTD_decompressDCtx(back, again, sizeof again, packed, size);
    printf("dictionary: %zu %zu %d\n", size, length, memcmp(text, again, sizeof text));
    packed[size / 2] ^= 0x55;
    length = ZSTD_decompressDCtx(back, again, sizeof again, packed, size);
    printf("broken: %s\n", ZSTD_getErrorName(length));
    ZSTD_freeCCtx(context);
    ZSTD_freeDCtx(back);
    return 0;
}
