/* SPDX-License-Identifier: GPL-2.0 */
/* Random numbers for tests: of a generator, or chosen by a fuzzer. */
#ifndef _LIOV_DICE_H
#define _LIOV_DICE_H

#include "shim.h"

/**
 * struct dice - where random numbers come from
 * @data: bytes that a fuzzer chose; NULL: @seed
 * @size: of @data that are left; then all is 0
 * @seed: of a generator, not 0
 */
struct dice {
	const u8 *data;
	size_t size;
	u64 seed;
};

static inline u64 dice_any(struct dice *d, unsigned int bytes)
{
	u64 v = 0;

	if (!d->data) {
		/* xorshift64* */
		d->seed ^= d->seed >> 12;
		d->seed ^= d->seed << 25;
		d->seed ^= d->seed >> 27;
		v = d->seed * 0x2545f4914f6cdd1dULL;
		return bytes < 8 ? v >> (64 - 8 * bytes) : v;
	}
	for (; bytes && d->size; bytes--, d->size--)
		v = v << 8 | *d->data++;
	return v;
}

/* 0 .. @n - 1 */
static inline u32 dice_roll(struct dice *d, u32 n)
{
	return dice_any(d, n <= 256 ? 1 : n <= 65536 ? 2 : 4) % n;
}

/* rarely true, and never once a fuzzer's bytes are used up */
static inline bool one_in(struct dice *d, u32 n)
{
	return n && dice_roll(d, n) == n - 1;
}

#endif /* _LIOV_DICE_H */
