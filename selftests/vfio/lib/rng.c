// SPDX-License-Identifier: GPL-2.0
/* splitmix64: the same seed, the same numbers. */
#include "rng.h"

u64 rnd64(u64 *rng)
{
	u64 z = *rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

u32 rnd(u64 *rng, u32 below)
{
	return rnd64(rng) % below;
}
