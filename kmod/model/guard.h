/* SPDX-License-Identifier: GPL-2.0 */
/* I/O commands of a guarded instance: guard.c.  Included by model.h. */
#ifndef _LIOV_GUARD_H
#define _LIOV_GUARD_H

#define LIOV_STEP_SHIFT		21	/* guest memory comes in steps of 2 MiB */
#define LIOV_STEP_PAGES		512
#define LIOV_NO_DMA		(~0ULL)	/* a page of a step that is not mapped */
#define LIOV_GUARD_PAGE_SHIFT	12	/* CC.MPS 0, the only page size of the guard */
#define LIOV_GUARD_PAGE_SIZE	4096U

/* Copy descriptors that fit the page of a command, whatever MSRC says. */
#define LIOV_COPY_MAX_RANGES	(LIOV_GUARD_PAGE_SIZE / 32)
/*
 * The most data of one command: PRP1 and a list of one page.  MDTS never says
 * more, so that a slot needs one page and the copied list no chain.
 */
#define LIOV_GUARD_MAX_BYTES	(LIOV_STEP_PAGES * LIOV_GUARD_PAGE_SIZE)

/* linux/nvme.h has no name for it. */
#define LIOV_CMD_COPY		0x19

/*
 * What one pass in an interrupt, in a timer or at a halt may do, so that together it takes
 * 50 us at most (make bench-guard); what is more goes to a job of the queue.
 *
 * Looking up a step of guest memory is what takes longest, with three or four misses of
 * the caches.  A list costs LIOV_LIST_LOOKUPS(entries) more, for reading it; whether a
 * command goes on is decided before, by all that it may need.
 */
#define LIOV_PASS_COMPLETIONS	64
#define LIOV_PASS_COMMANDS	32
#define LIOV_PASS_LOOKUPS	72
#define LIOV_LIST_LOOKUPS(n)	(2 + (n) / 16)

/* Kinds of I/O commands, for statistics. */
enum liov_io_class {
	LIOV_IO_READ,		/* Read, Compare, Verify */
	LIOV_IO_WRITE,		/* Write, Write Uncorrectable, Copy */
	LIOV_IO_FLUSH,
	LIOV_IO_DISCARD,	/* Dataset Management, Write Zeroes */
	LIOV_NR_IO_CLASSES
};

/* Why a guarded command was refused, for statistics; from its status. */
enum liov_refusal {
	LIOV_REFUSED_OPCODE,
	LIOV_REFUSED_FIELD,
	LIOV_REFUSED_NSID,
	LIOV_REFUSED_LBA,
	LIOV_REFUSED_PRP,	/* offsets */
	LIOV_REFUSED_MEMORY,	/* not the guest's, or it cannot be pinned */
	LIOV_REFUSED_OTHER,
	LIOV_NR_REFUSALS
};

/**
 * struct liov_guard - what an instance may do with its drive
 * @nsid:      the guest's namespace ID
 * @hw_nsid:   the hardware's
 * @first:     first LBA of the backing, in the hardware's namespace
 * @nlb:       LBAs of the backing; may be changed at any time (resize), read
 *             once per command
 * @max_bytes: most data of one command, a multiple of the page size and at
 *             most LIOV_GUARD_MAX_BYTES
 * @max_copy:  LBAs one Copy may have (MCL), @max_copy_range of them in one
 *             source range (MSSRL), from at most @max_copy_ranges ranges (MSRC
 *             + 1)
 * @oncs:      optional commands offered to the guest, as in its Identify
 * @lba_shift: log2 of the bytes of an LBA, without metadata
 * @max_verify: bytes of the LBAs that one Verify may name, @max_zeroes one Write Zeroes,
 *             @max_uncor one Write Uncorrectable
 * @max_dsm:   LBAs one Dataset Management may have (DMSL), @max_dsm_range of them in one
 *             range (DMRSL), in at most @max_dsm_ranges (DMRL)
 */
struct liov_guard {
	u32 nsid;
	u32 hw_nsid;
	u64 first;
	u64 nlb;
	u32 max_bytes;
	u32 max_copy;
	u16 max_copy_range;
	u16 max_copy_ranges;
	u16 oncs;
	u8  lba_shift;
	u16 max_dsm_ranges;
	u32 max_verify;
	u32 max_zeroes;
	u32 max_uncor;
	u32 max_dsm_range;
	u64 max_dsm;
};

/*
 * What commands that make the drive work without moving data through guest memory may
 * be at the hardware, of one instance: a flood of them is not slowed by anything else.
 * Counted in bytes of the LBAs they name, with two exceptions: deallocating is cheaper
 * than its size, and Flush names no LBA.
 */
#define LIOV_LOAD_MAX		(64U << 20)
#define LIOV_LOAD_DSM		(LIOV_LOAD_MAX / 8)
#define LIOV_LOAD_FLUSH		(LIOV_LOAD_MAX / 16)

/* In an entry of a step: the device may read that page, and not write to it. */
#define LIOV_STEP_RO	1ULL

/**
 * struct liov_step_map - where the device finds the pages of a 2 MiB step
 * @bus:  bus address of each of the LIOV_STEP_PAGES pages, some with LIOV_STEP_RO, or
 *        LIOV_NO_DMA; NULL if they are one run of addresses that it may also write to
 * @base: without @bus: the bus address of the first page, or LIOV_NO_DMA: no step
 */
struct liov_step_map {
	const u64 *bus;
	u64 base;
};

static inline bool liov_step_none(struct liov_step_map map)
{
	return !map.bus && map.base == LIOV_NO_DMA;
}

/**
 * struct liov_guard_env - guest memory and host memory for one command
 * @step: the 2 MiB step that holds guest-physical address @gpa; the entry of @gpa's own
 *        page is not LIOV_NO_DMA.  No step if that page is no memory of the
 *        guest's or cannot be pinned; *@status then is what the guest is told.
 *        May sleep.  Stays valid until the command is done.
 * @read: copies @len bytes, which do not cross a page, out of guest memory; 0
 *        or the NVMe status for the guest.  May sleep.
 * @page: one page of host memory for this command (a copied PRP list, ranges,
 *        descriptors: @n entries) and its bus address; NULL if there is none
 * @ctx:  for all three
 */
struct liov_guard_env {
	struct liov_step_map (*step)(void *ctx, u64 gpa, u16 *status);
	u16 (*read)(void *ctx, u64 gpa, void *buf, u32 len);
	void *(*page)(void *ctx, u32 n, u64 *bus);
	void *ctx;
};

/**
 * struct liov_guarded - a command that passed the guard
 * @cmd:   for the hardware, all but the command identifier
 * @io:    its kind
 * @load:  what it counts of LIOV_LOAD_MAX while the hardware has it; 0: not at all
 * @bytes: of the LBAs it names, for statistics
 */
struct liov_guarded {
	struct nvme_command cmd;
	enum liov_io_class io;
	u32 load;
	u64 bytes;
};

/* Checks @in (host memory, not the guest's) and makes @out; 0 or an NVMe status. */
enum liov_refusal liov_guard_refusal(u16 status);
u16 liov_guard_check(const struct liov_guard *g, const struct liov_guard_env *env,
		     const struct nvme_command *in, struct liov_guarded *out);

#endif /* _LIOV_GUARD_H */
