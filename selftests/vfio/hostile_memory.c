// SPDX-License-Identifier: GPL-2.0
/* Which pages of the hostile guest are for what, and which nobody may write. */
#include "hostile_memory.h"
#include "lib/rng.h"

u8 *page_at(struct hostile *h, unsigned int nr)
{
	return h->mem + nr * SZ_4K;
}

bool is_canary(unsigned int nr)
{
	return nr >= H_DATA_END || (nr >= H_RANGES + SLOTS && nr < H_DATA) ||
	       (nr >= H_DATA && nr % 4 == 3);
}

u8 *data_page(struct hostile *h, u64 *rng)
{
	unsigned int nr = H_DATA + rnd(rng, H_DATA_END - H_DATA);

	return page_at(h, is_canary(nr) ? nr - 1 : nr);
}

bool is_data_page(struct hostile *h, u64 addr)
{
	u8 *p = nvme_ptr(&h->n, addr);
	unsigned int nr = (p - h->mem) / SZ_4K;

	return p && p >= page_at(h, H_DATA) && nr < H_DATA_END && !is_canary(nr);
}
