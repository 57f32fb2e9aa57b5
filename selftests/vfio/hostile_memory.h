/* SPDX-License-Identifier: GPL-2.0 */
/* The upper half of the hostile guest's memory: pages for lists, ranges and data; canaries. */
#ifndef _LIOV_HOSTILE_MEMORY_H
#define _LIOV_HOSTILE_MEMORY_H

#include "hostile.h"

/*
 * Pages of the upper half of memory, which nothing else uses: lists, ranges,
 * data with a canary after every three pages, and canaries around all that.
 */
#define H_LIST		0
#define H_LIST2		SLOTS
#define H_RANGES	(2 * SLOTS)
#define H_DATA		256
#define H_DATA_END	1792
#define H_PAGES		2048

u8 *page_at(struct hostile *h, unsigned int nr);
bool is_canary(unsigned int nr);
u8 *data_page(struct hostile *h, u64 *rng);
bool is_data_page(struct hostile *h, u64 addr);

#endif /* _LIOV_HOSTILE_MEMORY_H */
