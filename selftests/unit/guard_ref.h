/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A second, slow opinion on I/O commands, written from the specification and not from
 * guard.c: which statuses a command may be refused with, and, if none, the exact
 * command, ranges and bytes of memory that the hardware must be given.
 */
#ifndef _LIOV_GUARD_REF_H
#define _LIOV_GUARD_REF_H

#include "model/model.h"

#define REF_MAX_PIECES	1024
#define REF_MAX_STATUS	8

/**
 * struct ref_mem - memory as the reference sees it, byte by byte
 * @byte: value of the byte at @addr; 0 or an NVMe status
 * @bus:  bus address of the byte at @addr; 0 or an NVMe status
 * @ctx:  for both
 */
struct ref_mem {
	u16 (*byte)(void *ctx, u64 addr, u8 *val);
	u16 (*bus)(void *ctx, u64 addr, u64 *bus);
	void *ctx;
};

/**
 * struct ref_pieces - memory that a command transfers, in order
 * @n:     pieces; neighbours that touch are merged
 * @piece: address and bytes
 */
struct ref_pieces {
	unsigned int n;
	struct ref_piece {
		u64 addr;
		u64 len;
	} piece[REF_MAX_PIECES];
};

/**
 * struct ref_verdict - what is right for a command
 * @nr_status: 0: it must pass.  Else it must be refused
 * @status:    with one of these: when several things of one stage are wrong, the
 *             specification does not say which is told
 * @cmd:       what the hardware must get; bytes of DPTR are 0
 * @data:      bus addresses of the data it transfers; none: DPTR must be 0
 * @page:      ranges or descriptors it must get instead of the guest's
 * @page_len:  bytes of them
 * @needs_page: host memory is needed
 * @io:        kind
 * @bytes:     size of the LBAs named
 * @load:      what it counts of the work an instance may have at the drive
 */
struct ref_verdict {
	unsigned int nr_status;
	u16 status[REF_MAX_STATUS];
	u8 cmd[64];
	struct ref_pieces data;
	u8 page[4096];
	u32 page_len;
	bool needs_page;
	enum liov_io_class io;
	u64 bytes;
	u64 load;
};

/* @has_page: host memory can be had */
void ref_judge(const struct liov_guard *g, const struct nvme_command *c,
	       const struct ref_mem *mem, bool has_page, struct ref_verdict *v);

/*
 * The memory that a PRP command of @len bytes transfers, as a controller finds it.
 * Returns 0 or what is wrong with its PRPs (the first of it).
 */
u16 ref_transfer(const u8 *cmd, u64 len, const struct ref_mem *mem, struct ref_pieces *p);

#endif /* _LIOV_GUARD_REF_H */
