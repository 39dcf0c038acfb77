// Digests with instructions that not every processor has. Swift has no way to choose instructions at
// run time; what is here has a twin in Swift, and the tests compare the two.

#include "CBerthLinux.h"

#include <string.h>

#if defined(__x86_64__)

#include <immintrin.h>

int berth_crc32c_is_fast(void) {
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

// Bytes of each of three parts that are worked on at once: the instruction takes three cycles but
// begins anew in each. A page of 4096 bytes is one round of three and two words.
enum { part = 1360 };

// What a checksum is multiplied by to move it past one and two parts of zeros: x^(8n - 33) modulo
// the polynomial, in the instruction's order of bits.
static const uint32_t past_one_part = 0x3f70cc6f;
static const uint32_t past_two_parts = 0x5aa1f3cf;

__attribute__((target("sse4.2,pclmul"))) static uint32_t moved(uint64_t crc, uint32_t factor) {
    __m128i product = _mm_clmulepi64_si128(
        _mm_cvtsi64_si128((long long)crc), _mm_cvtsi32_si128((int)factor), 0);
    return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) uint32_t berth_crc32c(
    uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *next = bytes;
    uint64_t first = ~crc;
    while (count >= 3 * part) {
        uint64_t second = 0, third = 0;
        for (size_t offset = 0; offset < part; offset += 8) {
            uint64_t words[3];
            memcpy(&words[0], next + offset, 8);
            memcpy(&words[1], next + part + offset, 8);
            memcpy(&words[2], next + 2 * part + offset, 8);
            first = _mm_crc32_u64(first, words[0]);
            second = _mm_crc32_u64(second, words[1]);
            third = _mm_crc32_u64(third, words[2]);
        }
        first = moved(first, past_two_parts) ^ moved(second, past_one_part) ^ third;
        next += 3 * part;
        count -= 3 * part;
    }
    for (; count >= 8; next += 8, count -= 8) {
        uint64_t word;
        memcpy(&word, next, 8);
        first = _mm_crc32_u64(first, word);
    }
    for (; count > 0; next += 1, count -= 1) first = _mm_crc32_u8((uint32_t)first, *next);
    return ~(uint32_t)first;
}

int berth_blake3_is_fast(void) {
    return __builtin_cpu_supports("avx2");
}

// BLAKE3 with eight compressions side by side: the four chunks of two pages.
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

typedef uint32_t lanes __attribute__((vector_size(32), aligned(32)));
typedef uint32_t unaligned_lanes __attribute__((vector_size(32), aligned(1)));

static const uint32_t start_value[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

// Which word of the block takes part where, for each round: the format's permutation, repeated.
static const uint8_t order[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1},
    {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4},
    {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

enum { chunk_start = 1, chunk_end = 2, parent = 4, root = 8 };

static inline __attribute__((always_inline)) lanes rotated(lanes value, int count) {
    return value >> count | value << (32 - count);
}

static inline __attribute__((always_inline)) void mix(
    lanes v[16], int a, int b, int c, int d, lanes x, lanes y) {
    v[a] = v[a] + v[b] + x;
    v[d] = rotated(v[d] ^ v[a], 16);
    v[c] = v[c] + v[d];
    v[b] = rotated(v[b] ^ v[c], 12);
    v[a] = v[a] + v[b] + y;
    v[d] = rotated(v[d] ^ v[a], 8);
    v[c] = v[c] + v[d];
    v[b] = rotated(v[b] ^ v[c], 7);
}

static inline __attribute__((always_inline)) lanes all(uint32_t value) {
    return (lanes){value, value, value, value, value, value, value, value};
}

// One compression of a whole block in each lane.
static inline __attribute__((always_inline)) void compress(
    lanes chain[8], const lanes m[16], lanes counter, uint32_t flags) {
    lanes v[16];
    for (int index = 0; index < 8; index++) v[index] = chain[index];
    for (int index = 0; index < 4; index++) v[8 + index] = all(start_value[index]);
    v[12] = counter;
    v[13] = all(0);
    v[14] = all(64);
    v[15] = all(flags);
#pragma clang loop unroll(full)
    for (int round = 0; round < 7; round++) {
        const uint8_t *o = order[round];
        mix(v, 0, 4, 8, 12, m[o[0]], m[o[1]]);
        mix(v, 1, 5, 9, 13, m[o[2]], m[o[3]]);
        mix(v, 2, 6, 10, 14, m[o[4]], m[o[5]]);
        mix(v, 3, 7, 11, 15, m[o[6]], m[o[7]]);
        mix(v, 0, 5, 10, 15, m[o[8]], m[o[9]]);
        mix(v, 1, 6, 11, 12, m[o[10]], m[o[11]]);
        mix(v, 2, 7, 8, 13, m[o[12]], m[o[13]]);
        mix(v, 3, 4, 9, 14, m[o[14]], m[o[15]]);
    }
    for (int index = 0; index < 8; index++) chain[index] = v[index] ^ v[8 + index];
}

// Turns eight rows of eight words into columns.
static inline __attribute__((always_inline)) void transpose(lanes r[8]) {
    lanes a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        a[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int half = 0; half < 2; half++) {
            lanes low = a[i + half], high = a[i + 2 + half];
            b[i + 2 * half] = __builtin_shufflevector(low, high, 0, 1, 8, 9, 4, 5, 12, 13);
            b[i + 2 * half + 1] = __builtin_shufflevector(low, high, 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    for (int i = 0; i < 4; i++) {
        r[i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        r[i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

static inline __attribute__((always_inline)) void begin(lanes chain[8]) {
    for (int index = 0; index < 8; index++) chain[index] = all(start_value[index]);
}

// The digests of two pages.
static void digest_two(const uint8_t *const pages[2], uint8_t digests[2][32]) {
    lanes chain[8], m[16];
    begin(chain);
    for (int block = 0; block < 16; block++) {
        for (int half = 0; half < 2; half++) {
            for (int lane = 0; lane < 8; lane++) {
                const uint8_t *chunk = pages[lane / 4] + (lane % 4) * 1024;
                m[half * 8 + lane] = *(const unaligned_lanes *)(chunk + block * 64 + half * 32);
            }
            transpose(m + half * 8);
        }
        uint32_t flags = (block == 0 ? chunk_start : 0) | (block == 15 ? chunk_end : 0);
        compress(chain, m, (lanes){0, 1, 2, 3, 0, 1, 2, 3}, flags);
    }
    for (int level = 0; level < 2; level++) {
        // Neighbours become the two halves of a block; of the second level only two lanes count.
        for (int index = 0; index < 8; index++) {
            lanes value = chain[index];
            m[index] = __builtin_shufflevector(value, value, 0, 2, 4, 6, 0, 2, 4, 6);
            m[8 + index] = __builtin_shufflevector(value, value, 1, 3, 5, 7, 1, 3, 5, 7);
        }
        begin(chain);
        compress(chain, m, all(0), parent | (level == 1 ? root : 0));
    }
    for (int page = 0; page < 2; page++) {
        for (int index = 0; index < 8; index++) {
            uint32_t word = chain[index][page];
            memcpy(&digests[page][index * 4], &word, 4);
        }
    }
}

void berth_blake3_pages(const void *pages, size_t count, uint8_t *digests) {
    const uint8_t *next = pages;
    for (size_t done = 0; done < count; done += 2) {
        size_t second = done + 1 < count ? 1 : 0;
        const uint8_t *two[2] = {next, next + second * 4096};
        uint8_t output[2][32];
        digest_two(two, output);
        memcpy(digests, output, 32 * (1 + second));
        next += 8192;
        digests += 64;
    }
}

#pragma clang attribute pop

#else

int berth_crc32c_is_fast(void) { return 0; }
uint32_t berth_crc32c(uint32_t crc, const void *bytes, size_t count) { return 0; }
int berth_blake3_is_fast(void) { return 0; }
void berth_blake3_pages(const void *pages, size_t count, uint8_t *digests) {}

#endif
