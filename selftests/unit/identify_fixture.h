/* SPDX-License-Identifier: GPL-2.0 */
/* The instance whose Identify data are asked for. */
#ifndef _LIOV_IDENTIFY_FIXTURE_H
#define _LIOV_IDENTIFY_FIXTURE_H

#include "harness.h"
#include "model/model.h"

static const struct liov_ident ident = {
	.uuid = { { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
		    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } },
	.nsid = 3, .nr_pairs = 4, .vs = NVME_VS(1, 4, 0), .cntlid = 0x1234,
};

/* hardware that claims everything */
static inline void all_ones(void *data)
{
	memset(data, 0xff, NVME_IDENTIFY_DATA_SIZE);
}

#endif /* _LIOV_IDENTIFY_FIXTURE_H */
