// SPDX-License-Identifier: GPL-2.0
/*
 * prp.c on PRPs and lists that the fuzzer makes.  With pages of 4 KiB the pieces are
 * compared with those of the reference in selftests/unit/guard_ref.c.
 */
#include "fuzz.h"
#include "guard_ref.h"

#define MAX_SEGS	520
#define MAX_LEN		(2U << 20)
#define MAX_READS	16384

/* Guest memory is whatever the fuzzer answers; each answer is kept, in order. */
static struct list {
	struct dice d;
	u32 page_size;
	u32 bad;
	bool failed;
	unsigned int n, pos;
	struct {
		u64 addr;
		u8 val;
	} byte[MAX_READS];
} list;

static int rd(void *ctx, u64 addr, void *buf, u32 len)
{
	u32 mask = list.page_size - 1, i;
	u64 entry, end;
	u8 *out = buf;

	MUST(ctx == &list && len && len % 8 == 0);
	MUST(!check_add_overflow(addr, (u64)len - 1, &end));
	MUST((addr & ~(u64)mask) == (end & ~(u64)mask));
	if (list.n + len > MAX_READS || (list.bad && one_in(&list.d, 64))) {
		list.failed = true;
		return -14;
	}
	for (i = 0; i < len; i++, list.n++) {
		if (i % 8 == 0) {
			entry = dice_any(&list.d, 5) * list.page_size;
			if (list.bad && one_in(&list.d, list.bad))
				entry = dice_any(&list.d, 8);
			memcpy(out + i, &entry, 8);
		}
		list.byte[list.n].addr = addr + i;
		list.byte[list.n].val = out[i];
	}
	return 0;
}

static u16 again_byte(void *ctx, u64 addr, u8 *val)
{
	if (list.pos == list.n || list.byte[list.pos].addr != addr)
		return 1;
	*val = list.byte[list.pos++].val;
	return 0;
}

static u16 same_address(void *ctx, u64 addr, u64 *bus)
{
	*bus = addr;
	return 0;
}

static void compare(u64 prp1, u64 prp2, u32 len, const struct liov_prp_seg *seg,
		    unsigned int n)
{
	const struct ref_mem mem = { .byte = again_byte, .bus = same_address };
	static struct ref_pieces ref;
	struct nvme_command c = { };
	unsigned int i, p = 0;
	u64 in_piece = 0;

	c.common.dptr.prp1 = cpu_to_le64(prp1);
	c.common.dptr.prp2 = cpu_to_le64(prp2);
	list.pos = 0;
	MUST(!ref_transfer((const u8 *)&c, len, &mem, &ref));
	/* read once, in order, and no more than the specification's controller does */
	MUST(list.pos == list.n);
	for (i = 0; i < n; i++) {
		MUST(p < ref.n && seg[i].addr == ref.piece[p].addr + in_piece);
		in_piece += seg[i].len;
		MUST(in_piece <= ref.piece[p].len);
		if (in_piece == ref.piece[p].len) {
			in_piece = 0;
			p++;
		}
	}
	MUST(p == ref.n);
}

int fuzz_one_input(const u8 *data, size_t size)
{
	struct dice d = { .data = data, .size = size };
	static struct liov_prp_seg seg[MAX_SEGS + 1];
	const u64 poison = 0x5a5a5a5a5a5a5a5aULL;
	unsigned int n, i, max;
	u64 prp1, prp2, total = 0;
	u16 status = 0xffff;
	u32 len;

	list.page_size = dice_roll(&d, 4) ? 4096 : 4096U << dice_roll(&d, 5);
	list.bad = dice_roll(&d, 2) ? 1 + dice_roll(&d, 256) : 0;
	list.failed = false;
	list.n = 0;
	prp1 = dice_roll(&d, 2) ? dice_any(&d, 8) & ~3ULL : dice_any(&d, 8);
	prp2 = dice_any(&d, 8);
	switch (dice_roll(&d, 4)) {
	case 0:
		prp2 &= ~(u64)(list.page_size - 1);
		break;
	case 1:
		/* the last entries of a page */
		prp2 |= (list.page_size - 1) & ~7U;
		prp2 -= dice_roll(&d, 32) & ~7U;
		break;
	case 2:
		prp2 &= ~7ULL;
	}
	len = dice_roll(&d, 2) ? dice_roll(&d, MAX_LEN + 1) : dice_roll(&d, 16 * 4096);
	/* the reference goes byte by byte where all is odd: not for long */
	if (len > 8192 && (prp1 | len) & 511 && dice_roll(&d, 32)) {
		len &= ~511;
		prp1 &= ~511ULL;
	}
	max = dice_roll(&d, 4) ? MAX_SEGS : dice_roll(&d, MAX_SEGS);
	memset(seg, 0x5a, sizeof(seg));
	list.d = d;

	n = liov_prp_walk(prp1, prp2, len, list.page_size, rd, &list, seg, max, &status);
	MUST(n <= max);
	/* what is behind @max is not touched */
	MUST(seg[max].addr == poison);
	if (status) {
		MUST(!n);
		MUST(status == (NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR) ||
		     status == (NVME_SC_INVALID_FIELD | NVME_STATUS_DNR) ||
		     status == (NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR));
		return 0;
	}
	MUST(!list.failed);
	for (i = 0; i < n; i++) {
		MUST(seg[i].len && seg[i].addr + seg[i].len > seg[i].addr);
		MUST((seg[i].addr & (list.page_size - 1)) + seg[i].len <= list.page_size);
		MUST(!i || !(seg[i].addr & (list.page_size - 1)));
		total += seg[i].len;
	}
	MUST(total == len);
	if (len && list.page_size == 4096)
		compare(prp1, prp2, len, seg, n);
	return 0;
}
