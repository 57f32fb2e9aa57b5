/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest for the guard's tests: sparse memory with holes, pages that are not mapped
 * yet and pages that cannot be pinned, one page of host memory, and a record of all
 * that was read.
 */
#ifndef _LIOV_GUARD_WORLD_H
#define _LIOV_GUARD_WORLD_H

#include "dice.h"
#include "guard_ref.h"

#define PAGE		4096ULL
#define STEP		(512 * PAGE)
#define HOST_BUS	0x7fedcba98000ULL	/* of the page of host memory */

/* What the world answers for memory that is none, or is none now. */
#define WORLD_HOLE	(NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR)
#define WORLD_UNPINNED	NVME_SC_CMD_INTERRUPTED

/*
 * Steps of memory, by number: the lowest four, three around 4 GiB, one far away and
 * the last one there can be.  Of a step's pages nr % 32 == 7 is a hole, 15 cannot be
 * pinned, 22 can be read by the device and not written, and nr % 8 == 3 is mapped only
 * when it is asked for.  One step has all of its pages, in a row.
 */
#define WORLD_STEPS	9
#define WORLD_LINEAR	2049
extern const u64 world_steps[WORLD_STEPS];

struct world {
	const struct liov_guard_env *env;
	bool has_page;			/* host memory can be had */
	bool hostile;			/* what was read is something else afterwards */
	u64 scramble;			/* with which pattern */
	void (*after_read)(u64 gpa, u32 len);
	bool to_memory;			/* the command judged writes there */
	unsigned int nr_steps, nr_reads, nr_pages;
	/* what env->page was told, and the counts when it was: no more comes of it */
	unsigned int page_entries, page_steps, page_reads;
	u8 *page;			/* host memory, 4096 bytes of its own */
	struct liov_guarded out;	/* what world_compare() got */
	/* every byte that env->read gave away, in order */
	struct world_read {
		u64 gpa;
		u32 len;
		u32 at;
	} read[64];
	u32 nr_read_bytes;
	const char *broken;		/* a rule of struct liov_guard_env, by the guard */
	u8 bytes[16384];
};

extern struct world world;

void world_reset(void);
void world_poke(u64 gpa, const void *buf, u32 len);
void world_poke64(u64 gpa, u64 val);
u16 world_bus(u64 gpa, u64 *bus);	/* 0 or WORLD_... */
u64 world_bus_ok(u64 gpa);		/* of memory that is there */

/*
 * Lets the guard and the reference judge @c and compares all there is to compare.
 * NULL, or what differs; @status is what the guard said.
 */
const char *world_compare(const struct liov_guard *g, const struct nvme_command *c,
			  u16 *status);

/* A guard, a command and what its PRPs need in guest memory; mostly nearly right. */
void world_generate(struct dice *d, struct liov_guard *g, struct nvme_command *c);

#endif /* _LIOV_GUARD_WORLD_H */
