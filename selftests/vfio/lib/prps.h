/* SPDX-License-Identifier: GPL-2.0 */
/* PRPs of any shape (NVMe Base 2.0 section 4.1.1). */
#ifndef _LIOV_PRPS_H
#define _LIOV_PRPS_H

#include "nvme.h"

#define PRPS_MAX_LISTS	4

/**
 * struct prps - where the data of a command lies and how that is told
 * @page:     its pages, anywhere
 * @off:      of the first byte in the first page
 * @len:      bytes
 * @list:     pages for the list, chained
 * @list_off: of the list in its first page
 */
struct prps {
	u8 *page[520];
	u32 off;
	u32 len;
	u64 *list[PRPS_MAX_LISTS];
	u32 list_off;
};

/* Fills PRP1, PRP2 and the lists; returns how many list pages it took, -1 if too few. */
int prps_set(struct nvme *n, struct nvme_sqe *sqe, const struct prps *p);
unsigned int prps_pages(const struct prps *p);
/* The data as one piece of memory, in and out. */
void prps_copy_in(const struct prps *p, const void *from);
void prps_copy_out(const struct prps *p, void *to);

#endif /* _LIOV_PRPS_H */
