/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A minimal NVMe driver on struct vfio, for tests: one admin queue, I/O queues of any
 * shape, nothing hidden.  Little-endian hosts only.  Here is what its parts share.
 */
#ifndef _LIOV_NVME_H
#define _LIOV_NVME_H

#include "queue.h"
#include "vfio.h"

/**
 * struct nvme - the controller
 * @v:        device and memory
 * @vsec:     position of the LightIOV capability, 0 if there is none
 * @uuid:     of the mdev; NULL with nvme_open_pci()
 * @bar:      addresses of BAR0 and BAR2
 * @direct:   direct mode
 * @dma_base: what the device calls the start of @v.mem
 * @brk:      first free byte of @v.mem, @base its value without any queue
 * @nr_pairs: I/O queue pairs granted
 * @oncs:     optional commands offered
 * @nsid:     first active namespace, @lba bytes a block, @nsze blocks
 * @max_xfer: bytes of one command (MDTS), at most 1 MiB
 * @sq_live, @cq_live: I/O queues that exist, bit per qid
 */
struct nvme {
	struct vfio v;
	const char *uuid;
	u64 bar[2];
	u64 cap;
	u32 page;
	u32 stride;
	u32 mqes;
	u32 timeout_ms;
	u8 vsec;
	bool direct;
	u64 dma_base;
	size_t brk, base;
	struct nvme_queue adm;
	u8 id[4096];
	u16 nr_pairs;
	u16 oncs;
	u32 nsid;
	u32 lba;
	u64 nsze;
	u32 max_xfer;
	u32 sq_live, cq_live;
};

#endif /* _LIOV_NVME_H */
