// SPDX-License-Identifier: GPL-2.0
/*
 * How large one command without data may be: Identify CNS 06h, I/O Command Set specific
 * Identify Controller for the NVM Command Set (NVM Command Set 1.0 section 4.1.5.4), and
 * CNS 05h.
 *
 * MDTS binds commands that transfer data.  Write Zeroes, Verify, Write Uncorrectable,
 * Dataset Management and Copy make the drive work without any, and many drives set no
 * limit of their own: a queue full of the largest ones keeps a drive busy for minutes.  So
 * a guarded instance has limits of ours, or the drive's where those are smaller; guard.c
 * keeps them.
 *
 * Owns no state.  Called by nscheck.c and admin.c.  Context: any.
 */
#include "model/model.h"

/*
 * Write Zeroes, Verify, Write Uncorrectable: a power of two of memory pages, as the fields
 * can say no other.  Linux before 5.11 does not ask and sends Write Zeroes up to MDTS,
 * which is 2 MiB at most (LIOV_GUARD_MAX_BYTES).  Else arbitrary: some milliseconds of a
 * drive's time.
 */
#define LIOV_LIMIT_SHIFT	23

/* Copy: the same, read and written. */
#define LIOV_LIMIT_COPY		BIT_ULL(LIOV_LIMIT_SHIFT)

/*
 * Dataset Management: deallocating writes tables, not blocks.  Linux discards less than
 * 4 GiB by one command, mkfs 2 GiB; far more than that, and less than a drive.
 */
#define LIOV_LIMIT_DSM_SHIFT	35

#define LIOV_DSM_MAX_RANGES	256

/* ONCS bit of Verify, which linux/nvme.h does not name. */
#define LIOV_ONCS_VERIFY	BIT(7)

/* What a later specification adds does not reach a guest by accident. */
static void liov_keep_below(void *data, u32 end)
{
	memset((u8 *)data + end, 0, NVME_IDENTIFY_DATA_SIZE - end);
}

/* log2 of bytes; @hw: the drive's field, which counts in powers of two of its pages. */
static u8 liov_limit_shift(u8 hw, unsigned int page_shift)
{
	return hw ? min_t(unsigned int, hw + page_shift, LIOV_LIMIT_SHIFT) : LIOV_LIMIT_SHIFT;
}

/* The same as a field for the guest, whose pages have LIOV_GUARD_PAGE_SIZE. */
static u8 liov_limit_field(u32 max_bytes)
{
	u8 n = 0;

	while (n < LIOV_LIMIT_SHIFT - LIOV_GUARD_PAGE_SHIFT &&
	       (u64)LIOV_GUARD_PAGE_SIZE << (n + 1) <= max_bytes)
		n++;
	/* 0 would say "no limit"; a drive's limit is two pages at least. */
	return n;
}

/**
 * liov_limits_make() - the limits of an instance's commands without data
 * @g:          out: max_verify to max_dsm; max_copy and max_copy_range become smaller.
 *              In: lba_shift
 * @hw:         the drive's CNS 06h; all zero if it has none
 * @page_shift: log2 of the drive's smallest memory page (CAP.MPSMIN)
 */
void liov_limits_make(struct liov_guard *g, const struct nvme_id_ctrl_nvm *hw,
		      unsigned int page_shift)
{
	u64 ranges = LIOV_DSM_MAX_RANGES, dsm = 1ULL << (LIOV_LIMIT_DSM_SHIFT - g->lba_shift);
	u64 copy = LIOV_LIMIT_COPY >> g->lba_shift;

	g->max_verify = 1U << liov_limit_shift(hw->vsl, page_shift);
	g->max_zeroes = 1U << liov_limit_shift(hw->wzsl, page_shift);
	g->max_uncor = 1U << liov_limit_shift(hw->wusl, page_shift);

	g->max_dsm_ranges = hw->dmrl ? min_t(u64, hw->dmrl, ranges) : ranges;
	g->max_dsm = hw->dmsl ? min_t(u64, le64_to_cpu(hw->dmsl), dsm) : dsm;
	g->max_dsm_range = hw->dmrsl ? min_t(u64, le32_to_cpu(hw->dmrsl), g->max_dsm) :
			   g->max_dsm;

	g->max_copy = min_t(u64, g->max_copy, copy);
	g->max_copy_range = min_t(u64, g->max_copy_range, copy);
}

/**
 * liov_limits_fell() - may a command without data that passed not pass any more?
 * @was: limits of before
 * @now: and those that would be made now
 *
 * Return: true if one is smaller; but for those of Copy.
 */
bool liov_limits_fell(const struct liov_guard *was, const struct liov_guard *now)
{
	return now->max_verify < was->max_verify || now->max_zeroes < was->max_zeroes ||
	       now->max_uncor < was->max_uncor || now->max_dsm_ranges < was->max_dsm_ranges ||
	       now->max_dsm_range < was->max_dsm_range || now->max_dsm < was->max_dsm;
}

/**
 * liov_identify_cs_ctrl() - CNS 06h of an instance
 * @data: in: the hardware's 4096 bytes, all zero if it has none; out: what the guest gets
 * @id:   identity of the instance
 *
 * In direct mode the drive keeps its own limits, and the guest is told those.  A field of
 * a command that is not offered is 0.
 *
 * Context: caller holds the instance lock.
 */
void liov_identify_cs_ctrl(void *data, const struct liov_ident *id)
{
	const struct liov_guard *g = id->guard;
	struct nvme_id_ctrl_nvm *nvm = data;

	if (!g) {
		liov_keep_below(data, offsetofend(struct nvme_id_ctrl_nvm, dmsl));
		return;
	}
	memset(data, 0, NVME_IDENTIFY_DATA_SIZE);
	if (g->oncs & LIOV_ONCS_VERIFY)
		nvm->vsl = liov_limit_field(g->max_verify);
	if (g->oncs & NVME_CTRL_ONCS_WRITE_ZEROES)
		nvm->wzsl = liov_limit_field(g->max_zeroes);
	if (g->oncs & NVME_CTRL_ONCS_WRITE_UNCORRECTABLE)
		nvm->wusl = liov_limit_field(g->max_uncor);
	if (!(g->oncs & NVME_CTRL_ONCS_DSM))
		return;
	/* 256, which has no place in it, is what a command can say: no limit. */
	nvm->dmrl = g->max_dsm_ranges < LIOV_DSM_MAX_RANGES ? g->max_dsm_ranges : 0;
	nvm->dmrsl = cpu_to_le32(g->max_dsm_range);
	nvm->dmsl = cpu_to_le64(g->max_dsm);
}

/**
 * liov_identify_cs_ns() - CNS 05h of an instance in direct mode
 * @data: in: the hardware's 4096 bytes for the backing, all zero if it has none; out: what
 *        the guest gets: the extensions of its formats
 *
 * Context: caller holds the instance lock.
 */
void liov_identify_cs_ns(void *data)
{
	/* LBSTM and PIC; what follows up to the formats is reserved */
	memset((u8 *)data + offsetofend(struct nvme_id_ns_nvm, pic), 0,
	       offsetof(struct nvme_id_ns_nvm, elbaf) - offsetofend(struct nvme_id_ns_nvm, pic));
	liov_keep_below(data, offsetofend(struct nvme_id_ns_nvm, elbaf));
}
