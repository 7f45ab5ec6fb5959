/* Round trips through zlib: every level, raw streams and gzip, small pieces; and what it says of broken data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "zlib.h"

static unsigned char text[100000], packed[200000], again[100000];

int main(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)("pages of all sizes "[i % 19] + (i * i >> 12) % 5);
    printf("%s %lx %lx\n", zlibVersion(), crc32(0, text, sizeof text), adler32(1, text, sizeof text));
    for (int level = 0; level <= 9; level++) {
        uLongf size = sizeof packed, length = sizeof again;
        int status = compress2(packed, &size, text, sizeof text, level);
        printf("%d: %d %lu", level, status, size);
        status = uncompress(again, &length, packed, size);
        printf(" %d %d\n", status, memcmp(text, again, sizeof text));
        memset(again, 0, sizeof again);
    }
    for (int bits = -15; bits <= 31; bits += 46) {
        z_stream stream = {0};
        int status = deflateInit2(&stream, 6, Z_DEFLATED, bits, 8, Z_FILTERED);
        stream.next_in = text, stream.avail_in = sizeof text, stream.next_out = packed;
        do {
            stream.avail_out = 777;
            status = deflate(&stream, Z_FINISH);
        } while (status == Z_OK || status == Z_BUF_ERROR);
        printf("%d: %d %lu", bits, status, stream.total_out);
        deflateEnd(&stream);
        z_stream back = {0};
        inflateInit2(&back, bits);
        back.next_in = packed, back.avail_in = (uInt)stream.total_out;
        back.next_out = again, back.avail_out = sizeof again;
        status = inflate(&back, Z_FINISH);
        printf(" %d %lu %d\n", status, back.total_out, memcmp(text, again, sizeof text));
        inflateEnd(&back);
        packed[50] ^= 0xff;
        inflateInit2(&back, bits);
        back.next_in = packed, back.avail_in = (uInt)stream.total_out;
        back.next_out = again, back.avail_out = sizeof again;
        status = inflate(&back, Z_FINISH);
        printf("broken: %d %s\n", status, back.msg ? back.msg : "");
        inflateEnd(&back);
    }
    return 0;
}
