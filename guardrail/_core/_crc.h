/* CRC-32 (IEEE 802.3, reflected; RFC 1952), as `zlib.crc32` computes it.

   A journal calls `guardrail_crc32` for every entry before a call goes on, for some 100 to 300
   bytes, where zlib's function would cost more than the rest of the append. It uses carry-less
   multiplication if the machine has it (V. Gopal et al., "Fast CRC Computation for Generic
   Polynomials Using PCLMULQDQ Instruction", Intel, 2009), and eight tables otherwise
   (M. Kounavis and F. Berry, 2005); `tests/parity` compares both with zlib. It reads only the
   bytes that it is given. */

#ifndef GUARDRAIL_CRC_H
#define GUARDRAIL_CRC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint32_t guardrail_crc_tables[8][256];

/* All on the inverted remainder, as they pass it on among themselves. */
static uint32_t guardrail_crc_any(uint32_t rest, const unsigned char *data, size_t size)
{
    const uint32_t (*table)[256] = (const uint32_t (*)[256]) guardrail_crc_tables;
    while (size >= 8) {
        rest ^= (uint32_t) data[0] | (uint32_t) data[1] << 8 | (uint32_t) data[2] << 16
            | (uint32_t) data[3] << 24;
        rest = table[7][rest & 255] ^ table[6][rest >> 8 & 255] ^ table[5][rest >> 16 & 255]
            ^ table[4][rest >> 24] ^ table[3][data[4]] ^ table[2][data[5]] ^ table[1][data[6]]
            ^ table[0][data[7]];
        data += 8;
        size -= 8;
    }
    if (size >= 4) {
        rest ^= (uint32_t) data[0] | (uint32_t) data[1] << 8 | (uint32_t) data[2] << 16
            | (uint32_t) data[3] << 24;
        rest = table[3][rest & 255] ^ table[2][rest >> 8 & 255] ^ table[1][rest >> 16 & 255]
            ^ table[0][rest >> 24];
        data += 4;
        size -= 4;
    }
    while (size--)
        rest = table[0][(rest ^ *data++) & 255] ^ rest >> 8;
    return rest;
}

#if defined(__x86_64__) && defined(__GNUC__)
#define GUARDRAIL_CRC_FOLDS
#include <immintrin.h>

#define GUARDRAIL_CRC_LOAD(at) _mm_loadu_si128((const __m128i *) (at))
#define GUARDRAIL_CRC_FOLD(one, by, other) _mm_xor_si128(_mm_xor_si128( \
    _mm_clmulepi64_si128(one, by, 0x00), _mm_clmulepi64_si128(one, by, 0x11)), other)

/* At least 16 bytes. */
__attribute__((target("pclmul,sse4.1")))
static uint32_t guardrail_crc_folded(uint32_t rest, const unsigned char *data, size_t size)
{
    const __m128i by_four = _mm_set_epi64x(0x1c6e41596, 0x154442bd4);
    const __m128i by_one = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
    const __m128i last = _mm_set_epi64x(0, 0x163cd6124);
    const __m128i reduce = _mm_set_epi64x(0x1f7011641, 0x1db710641);
    const __m128i low = _mm_setr_epi32(-1, 0, -1, 0);
    __m128i sum = _mm_xor_si128(GUARDRAIL_CRC_LOAD(data), _mm_cvtsi32_si128((int) rest));
    __m128i part;
    data += 16;
    size -= 16;
    if (size >= 48) {
        __m128i second = GUARDRAIL_CRC_LOAD(data);
        __m128i third = GUARDRAIL_CRC_LOAD(data + 16);
        __m128i fourth = GUARDRAIL_CRC_LOAD(data + 32);
        data += 48;
        size -= 48;
        for (; size >= 64; data += 64, size -= 64) {
            sum = GUARDRAIL_CRC_FOLD(sum, by_four, GUARDRAIL_CRC_LOAD(data));
            second = GUARDRAIL_CRC_FOLD(second, by_four, GUARDRAIL_CRC_LOAD(data + 16));
            third = GUARDRAIL_CRC_FOLD(third, by_four, GUARDRAIL_CRC_LOAD(data + 32));
            fourth = GUARDRAIL_CRC_FOLD(fourth, by_four, GUARDRAIL_CRC_LOAD(data + 48));
        }
        sum = GUARDRAIL_CRC_FOLD(sum, by_one, second);
        sum = GUARDRAIL_CRC_FOLD(sum, by_one, third);
        sum = GUARDRAIL_CRC_FOLD(sum, by_one, fourth);
    }
    for (; size >= 16; data += 16, size -= 16)
        sum = GUARDRAIL_CRC_FOLD(sum, by_one, GUARDRAIL_CRC_LOAD(data));
    /* From 128 bits to 64, and by Barrett to 32. */
    sum = _mm_xor_si128(_mm_srli_si128(sum, 8), _mm_clmulepi64_si128(sum, by_one, 0x10));
    part = _mm_srli_si128(sum, 4);
    sum = _mm_xor_si128(_mm_clmulepi64_si128(_mm_and_si128(sum, low), last, 0x00), part);
    part = _mm_clmulepi64_si128(_mm_and_si128(sum, low), reduce, 0x10);
    part = _mm_clmulepi64_si128(_mm_and_si128(part, low), reduce, 0x00);
    rest = (uint32_t) _mm_extract_epi32(_mm_xor_si128(sum, part), 1);
    return guardrail_crc_any(rest, data, size);
}
#endif

static int guardrail_crc_folds;

/* Once, before any other. */
static void guardrail_crc_begin(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t rest = byte;
        for (int bit = 0; bit < 8; bit++)
            rest = rest & 1 ? rest >> 1 ^ 0xEDB88320u : rest >> 1;
        guardrail_crc_tables[0][byte] = rest;
    }
    for (int table = 1; table < 8; table++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t rest = guardrail_crc_tables[table - 1][byte];
            guardrail_crc_tables[table][byte] = guardrail_crc_tables[0][rest & 255] ^ rest >> 8;
        }
#ifdef GUARDRAIL_CRC_FOLDS
    guardrail_crc_folds = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

static uint32_t guardrail_crc32(
    uint32_t check, const unsigned char *data, size_t size, int is_portable
)
{
#ifdef GUARDRAIL_CRC_FOLDS
    if (size >= 16 && guardrail_crc_folds && !is_portable)
        return ~guardrail_crc_folded(~check, data, size);
#endif
    (void) is_portable;
    return ~guardrail_crc_any(~check, data, size);
}

#endif
